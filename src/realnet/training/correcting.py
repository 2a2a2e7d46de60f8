"""A run is taught what people said of its verdicts: confirmed good images join, confirmed defects stand guard."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realnet.calibration import Calibration, read_calibration
from realnet.calibrations import install
from realnet.data import read_image
from realnet.data.images import image_hash
from realnet.errors import UserError
from realnet.history import Store, labelled_images
from realnet.progress import Listener, Stage, Watcher, quiet
from realnet.run_folder import Run
from realnet.training.known_images import NOTHING_SAID, Named, Said, read_known
from realnet.training.teaching import Compared, Lesson, check_teachable, compare_defects, learn, save_lesson


@dataclass(frozen=True)
class Correction:
    """A lesson and what it means for confirmed defects; nothing of it is written yet.

    Attributes:
        lesson: what was learned.
        compared: the confirmed defects, before and after.
        missed: names of those that are found now and would not be.
    """

    lesson: Lesson
    compared: Compared
    missed: tuple[str, ...]

    def sentences(self) -> list[str]:
        """What became of the new images and of the defects."""
        learned = self.lesson.defects is not None
        return [*self.lesson.sentences(), *([self.compared.sentence(learned)] if self.compared.before else [])]


def prepare_correction(
    run: Path, good: Sequence[Named], defects: Sequence[Named], device: str = "cpu", stage: Stage = quiet,
    join: bool = False, said: Said = NOTHING_SAID,
) -> Correction:  # fmt: skip
    """Learn ``good``, with ``join`` also confirmed ``defects``, judge these before and after; UserError as `learn`."""
    shown = [file for file, _ in defects]
    files, names = [file for file, _ in good], [name for _, name in good]
    lesson = learn(run, files, names, device, stage, shown if join else None, said)
    compared = compare_defects(run, lesson, shown, device)
    return Correction(lesson, compared, tuple(compared.newly_missed([name for _, name in defects])))


def apply_correction(run: Path, correction: Correction, force: bool = False) -> Calibration:
    """Make it the state in force; UserError where fewer confirmed defects would be found than now, unless ``force``."""
    without, learned = correction.lesson.found
    if learned < without and not force:
        raise UserError(
            f"{without} of the confirmed defects are found without learning from them, and {learned} with it: nothing "
            "is changed. Teach without --defects, or go on with --force."
        )
    if correction.missed and not force:
        raise UserError(
            f"{', '.join(correction.missed[:5])} would be missed, which people called defective and the run finds: "
            "nothing is changed. Look at the images that were given, or go on with `realnet teach --force`."
        )
    return save_lesson(run, correction.lesson)


def correct(
    run: Path, good: Sequence[Named], store: Store | None, device: str, watcher: Watcher, *, force: bool = False,
    dry_run: bool = False, join: bool = False, said: Said = NOTHING_SAID,
) -> Calibration:  # fmt: skip
    """Teach the run ``good`` images, what a results store says people confirmed, and what is ``said`` of good images,
    and say what comes of it.

    ``dry_run`` changes nothing; with ``join`` confirmed defects are learned, too. UserError where nothing is new, a
    confirmed defect would be missed and that is not forced, or the run cannot learn.
    """
    if not good and store is None and not said.exclude:
        return _confirm(run, said.keep, watcher, dry_run)
    defects: Sequence[Named] = ()
    with tempfile.TemporaryDirectory(prefix="realnet-") as folder:
        if store is not None:
            opened = Run(run)
            levels = opened.levels
            labelled = labelled_images(
                store, opened.digests, Path(folder), lambda file: image_hash(read_image(file, levels=levels))
            )
            if labelled.lost:
                watcher.say(labelled.sentence())
            good, defects = [*good, *labelled.good], labelled.defects
            if not good and not join and not said.exclude:
                raise UserError(f"Nobody has confirmed an image of {run} as good yet: {store.path} holds none of them.")
        correction = prepare_correction(run, good, defects, device, watcher.stage, join, said)
        for line in correction.sentences():
            watcher.say(line)
        made = correction.lesson.calibration if dry_run else apply_correction(run, correction, force)
    for line in made.sentences():
        watcher.say(line)
    return made


def _confirm(run: Path, keep: Sequence[str], watcher: Watcher, dry_run: bool) -> Calibration:
    """Only say of good images that they are: the threshold stays as it is."""
    known, before = read_known(Run(run)), read_calibration(run)
    if before is None:
        raise UserError(f"{run} has no calibration.json, which names its good images; restore it or train again.")
    # A calibration may rest on other images than the run learned.
    named = [name for name in keep if name in before.good_names]
    others = [name for name in keep if name not in named]
    made = before.with_confirmed([*named, *known.kept(others, known.left_out)])
    for line in made.sentences():
        watcher.say(line)
    return made if dry_run else install(run, made)


def correct_by_store(run: Path, store: Store, device: str = "cpu") -> list[str]:
    """As :func:`correct`, by what the store says; what to say of it."""
    check_teachable(run)
    listener = Listener()
    correct(run, [], store, device, listener)
    return listener.said
