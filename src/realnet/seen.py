"""Which images a run has seen, known by what they show: those it was trained on and those it was calibrated on."""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from realnet.atomic import write_text
from realnet.calibration import drift
from realnet.data import Category, check_dataset, open_dataset, read_image, summarize
from realnet.data.checks import raise_problems
from realnet.data.images import image_hash
from realnet.data.levels import Levels
from realnet.errors import UserError, advise, listed
from realnet.progress import Watcher
from realnet.run_folder import LEFT_OUT, SEEN_FILE, TRAINED_ON, Run

_ANOTHER_P = 1e-4


def picture_digests(files: Sequence[Path], levels: Levels | None) -> list[str]:
    """The :func:`image_hash` of each file: the same for copies under other names and in other lossless formats.

    ``levels`` are the run's, by which results have their hashes, too. UserError, a sentence each (the first 20), for
    files that cannot be read.
    """

    def look(file: Path) -> str | UserError:
        try:
            return image_hash(read_image(file, levels=levels))
        except UserError as error:
            return error

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(look, files))
    raise_problems([str(one) for one in found if isinstance(one, UserError)])
    return [one for one in found if isinstance(one, str)]


def save_seen(folder: Path, digests: Iterable[str], left_out: Iterable[str] = ()) -> None:
    """Write ``images.json``: :func:`picture_digests` of what a run was trained on, or taught, in order.

    ``left_out`` are those of all these that a person has taken out again.
    """
    write_text(folder / SEEN_FILE, json.dumps({TRAINED_ON: list(digests), LEFT_OUT: sorted(left_out)}, indent=1))


@dataclass(frozen=True)
class Seen:
    """Those of some images that a run has seen before."""

    trained: tuple[Path, ...]
    calibrated: tuple[Path, ...]

    def __bool__(self) -> bool:
        return bool(self.trained or self.calibrated)

    def sentence(self, run: Path, total: int) -> str:
        """Which images these are, of ``total``, and why it matters."""
        parts = [
            f"{len(files)} of the {total} images {what}: {listed(files)}"
            for files, what in ((self.trained, "were trained on"), (self.calibrated, "set its threshold"))
            if files
        ]
        return f"{run} has seen these images before, so that they judge nothing: {'; '.join(parts)}."


def find_seen(run: Run, files: Sequence[Path]) -> Seen:
    """Those of ``files`` whose pixels the run (or export) has seen; UserError where one cannot be read."""
    trained = run.trained_on
    thresholded = frozenset(run.calibration.good_digests) if run.calibration is not None else frozenset()
    if not trained and not thresholded:
        return Seen((), ())
    digests = picture_digests(files, run.levels)
    return Seen(
        tuple(file for file, digest in zip(files, digests, strict=True) if digest in trained),
        tuple(file for file, digest in zip(files, digests, strict=True) if digest in thresholded - trained),
    )


def choose_tests(
    run: Run, data: str | Path, category: str | None, good: Sequence[str], force: bool, watcher: Watcher
) -> tuple[list[Category], list[str]]:
    """The categories to measure ``run`` on, checked: those that are named, or what it was trained on where there.

    Returns them, and why their figures are to be marked; ``good`` names folders of good images in ``data``. UserError
    where something is wrong with the images, or the run has seen some and that is not forced.
    """
    categories = choose_trained(run, data, category, good)
    for line in summarize(categories, evaluating=True):
        watcher.say(line)
    for line in check_dataset(categories, need_test=True, need_train=False):
        watcher.say(line)
    files = [sample.image for one in categories for sample in one.test]
    seen = find_seen(run, files)
    if not seen:
        return categories, []
    sentence = seen.sentence(run.folder, len(files))
    if not force:
        marked = "every figure is marked then."
        raise advise(
            f"{sentence} Evaluate others, or go on with", f"force=True: {marked}", f"--force: {marked}",
        )  # fmt: skip
    return categories, [sentence]


def seems_other(run: Run, names: Sequence[str], good: Sequence[float]) -> str:
    """Why images of products ``names`` seem to show another than the run was trained on; empty where they do not.

    More than half of the scores of the ``good`` ones are above the threshold, and that either is no chance
    (Kolmogorov-Smirnov, p below 0.0001) or goes with another name than the run was trained on.
    """
    trained = run.products
    high = sum(score > run.thresholds[0] for score in good)
    if not good or high / len(good) <= 0.5:
        return ""
    renamed = bool(trained) and not set(trained) & set(names)
    found = drift(run.calibration.good_scores, good) if run.calibration is not None else None
    if not renamed and not (found is not None and found.higher and found.p_value < _ANOTHER_P):
        return ""
    was = f"{', '.join(trained)}, this is {', '.join(names)}; " if renamed else ""
    return (
        f"These images seem to show another product than {run.folder} was trained on: {was}"
        f"{high} of {len(good)} good images score above its threshold."
    )


def choose_trained(run: Run, data: str | Path, category: str | None, good: Sequence[str] = ()) -> list[Category]:
    """The categories of ``data``: one that is named, or those that ``run`` was trained on; all where it has none."""
    categories = open_dataset(Path(data), category, good)
    if category is not None:
        return categories
    return [one for one in categories if one.name in run.products] or categories
