"""What a run is tested on: images that it has not seen, of the product that it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from realnet.calibration import drift
from realnet.data import Category, check_dataset, open_dataset, summarize
from realnet.errors import advise
from realnet.progress import Watcher
from realnet.run_folder import Run, open_run

_ANOTHER_P = 1e-4


@dataclass(frozen=True)
class Trial:
    """What a run is measured on.

    Attributes:
        data: name of the data set, for the record.
        categories: whose test images these are.
        caveats: why every figure is to be marked.
    """

    run: Run
    data: str
    categories: Sequence[Category]
    caveats: Sequence[str] = ()


def choose_tests(
    folder: str | Path, data: str | Path, category: str | None, good: Sequence[str], force: bool, watcher: Watcher
) -> Trial:
    """The categories to measure the run in ``folder`` on, checked: those named, or what it was trained on where there.

    ``good`` names folders of good images in ``data``. UserError for a folder that is no run, where something is wrong
    with the images, or where the run has seen some and that is not forced.
    """
    run = open_run(folder)
    own = run.own(open_dataset(Path(data), category, good))
    categories = [_with_unseen(run, one) for one in own]
    for line in summarize(categories, evaluating=True):
        watcher.say(line)
    for line in check_dataset(categories, need_test=True, need_train=False):
        watcher.say(line)
    files = [sample.image for one in categories for sample in one.test]
    # Those that joined the tests have been looked at.
    seen = run.seen([sample.image for one in own for sample in one.test])
    tests = Trial(run, Path(data).name, categories)
    if not seen:
        return tests
    sentence = seen.sentence(run.folder, len(files))
    if not force:
        marked = "every figure is marked then."
        raise advise(
            f"{sentence} Evaluate others, or go on with", f"force=True: {marked}", f"--force: {marked}",
        )  # fmt: skip
    return replace(tests, caveats=(sentence,))


def _with_unseen(run: Run, category: Category) -> Category:
    """``category``, where no folder names a split: its good images that the run has not seen are all for the test.

    A fifth of them is, of a data set that is trained on; of one that was kept back, none need be left out.
    """
    if category.has_splits or not run.trained_on:
        return category
    seen = run.seen([sample.image for sample in category.train])
    known = {*seen.trained, *seen.calibrated}
    new = [replace(sample, split="test") for sample in category.train if sample.image not in known]
    train = tuple(sample for sample in category.train if sample.image in known)
    test = sorted((*category.test, *new), key=lambda sample: str(sample.image))
    return replace(category, train=train, test=tuple(test))


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
