"""Good images join a finished closed-form inspector: its subspaces, levels and threshold, as if they had been there.

Features, their standardisation and selection, and the heads stay as they were trained. All that is solved for is solved
for again, out of the kept features of the earlier good images and those of the new ones; every image is judged by what
has not seen it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from realnet.calibration import Calibration, calibrate
from realnet.calibrations import install
from realnet.config import Config
from realnet.data.images import image_hashes
from realnet.errors import UserError, listed
from realnet.inspection.inspector import Inspector, trained_inspector
from realnet.model.network import RealNet
from realnet.model.saving import TAUGHT_PARTS, load_model, save_weights
from realnet.progress import Stage, quiet
from realnet.provenance import timestamp
from realnet.run_folder import Run, save_seen, unfinished
from realnet.taught import SUBSPACES_FILE, next_version, taught_folder
from realnet.training.extracting import Extractor
from realnet.training.folds import fit_familiarity, judge_by_folds, set_solved
from realnet.training.heads import FoldedValidation
from realnet.training.kept_defects import DEFECTS_FILE, KeptDefects, read_defect_images, read_defects, save_defects
from realnet.training.kept_features import FEATURES_FILE, KeptFeatures, save_features
from realnet.training.known_images import NOTHING_SAID, Said, read_known
from realnet.training.learned_defects import LEAST_DEFECTS, LEAST_GOOD, DefectsLearner
from realnet.training.moved import STRENGTHS, copies
from realnet.training.out_of_sample import OutOfSample, file_scores, scores_by_file
from realnet.training.prepare import images_of


@dataclass(frozen=True)
class Lesson:
    """What a run becomes with further good images; nothing of it is written yet.

    Attributes:
        model: with its new subspaces, in eval mode.
        calibration: by all good images.
        names: of the new images.
        before: their scores by the inspector as it was; ``after``: by what has not seen them.
        left_out: how many images the run had seen already, or that came twice.
        refused: names of good images that a person has taken out now; ``returned``: how many of those that had been
            taken out before were given again, and count again.
        taught: features of all that the run was taught, these images last; ``digests``: of their pixels; ``gone``:
            of all that a person has taken out, now or before.
        threshold: that was in force before.
        defects: all confirmed defects that the run has learned, with these; None: none.
        found: how many of them are found without what they teach, and by what has not seen them.
        wrong: how many confirmed defects are left out, as the run has learned the same image as good.
    """

    model: RealNet
    calibration: Calibration
    names: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    left_out: int
    refused: tuple[str, ...]
    returned: int
    taught: KeptFeatures
    digests: tuple[str, ...]
    gone: frozenset[str]
    threshold: float
    defects: KeptDefects | None = None
    found: tuple[int, int] = (0, 0)
    wrong: int = 0

    def sentences(self) -> list[str]:
        """What the new images are to the inspector, before and after."""
        count = len(self.names)
        were = sum(score > self.threshold for score in self.before)
        are = sum(score > self.calibration.score for score in self.after)
        images = "1 image is" if self.left_out == 1 else f"{self.left_out} images are"
        left = (
            [f"{images} left out: the run has been trained on the same, or they came twice."] if self.left_out else []
        )
        if self.refused:
            are_out = f"{listed(self.refused)} {'is' if len(self.refused) == 1 else 'are'} left out, as you said"
            left.append(f"{are_out}: {len(self.calibration.good_scores)} good images remain.")
        if self.returned:
            those = "1 image counts" if self.returned == 1 else f"{self.returned} images count"
            left.append(f"{those} as good again: left out before, and now given.")
        if count:
            left.append(
                f"{count} good image{'' if count == 1 else 's'} joined {len(self.calibration.good_scores) - count}; "
                f"rejected of them: {were} before, {are} now, each judged by what has not seen it."
            )
        if self.wrong:
            those = "1 confirmed defect is" if self.wrong == 1 else f"{self.wrong} confirmed defects are"
            left.append(
                f"{those} left out: the run has learned the same images as good ones. Take them out, "
                "`realnet teach RUN --exclude IMAGE`."
            )
        if self.defects is not None:
            left.append(
                f"{len(self.defects.digests)} confirmed defects are learned: {self.found[0]} of them are found without "
                f"that, and {self.found[1]} with it, each judged by what has not seen it."
            )
        return left


def check_teachable(run: Path) -> None:
    """Refuse a run whose reconstruction is trained, and one that kept no features; UserError which says what else to
    do.
    """
    if members := Run(run).members:
        raise UserError(
            f"{run} is an inspector of several products: teach the one that the images show, such as "
            f"{members[0].folder}; the whole follows when it is loaded again."
        )
    if not Run(run).is_finished:
        raise unfinished(run)
    config = Run(run).config
    if config.model.reconstruction.network != "subspace":
        raise UserError(
            f"{run} is of preset {config.preset}, whose networks are trained and cannot take further images: train "
            "again with all of them, `realnet train DATA --add IMAGES`."
        )
    if not (run / FEATURES_FILE).is_file():
        raise UserError(
            f"{run} kept no features of its good images ({FEATURES_FILE}), so none can join them: train again with "
            "all images, `realnet train DATA --add IMAGES`."
        )


def learn(
    run: Path, files: Sequence[Path], names: Sequence[str], device: str = "cpu", stage: Stage = quiet,
    defects: Sequence[Path] | None = None, said: Said = NOTHING_SAID,
) -> Lesson:  # fmt: skip
    """What the finished closed-form run becomes once the good images in ``files``, called ``names``, have joined it.

    Images that it has been trained on are left out; ``defects`` join what it has learned of such (None: nothing does).
    ``said`` is of images in ``files`` and of those that it has learned.

    Raises:
        UserError: for another kind of run, a damaged one, images that cannot be read or found, where nothing changes,
            where too few good images are left, and for fewer than five confirmed defects.
    """
    check_teachable(run)
    opened = Run(run)
    known = read_known(opened)
    refused, given = known.refuse(said.exclude, list(zip(files, names, strict=True)))
    digests = image_hashes([file for file, _ in given], known.levels)
    gone, returned = (known.left_out | refused) - set(digests), len(known.left_out & set(digests))
    new = {d: one for d, one in zip(digests, given, strict=True) if d not in opened.trained_on}
    model, config, there = load_model(opened, device), opened.config, known.features.without(known.numbers(gone))
    # Each good image has to be judged by what others span.
    if len({number % config.training.folds for number in there.files}) < 2:
        raise UserError(f"Too few good images of {run} would be left: nothing is changed. Teach it others first.")
    read = list(zip((file for file, _ in new.values()), known.called(list(new.values())), strict=True))
    confirmed = known.kept(said.keep, gone, read)
    learned, more, wrong = _defects_to_learn(opened, model, opened.trained_on - gone, digests, defects)
    if not new and not more and gone == known.left_out:
        raise UserError(f"{run} has been trained on all of these images already: there is nothing new to learn.")
    stage(f"Reading {len(new)} good images")
    place = torch.device(device)
    added = _features(model, config, read, there, place) if new else there.none_of_them()
    if more:
        stage(f"Reading {len(more)} confirmed defects")
        shown = read_defect_images(model, config, more, place)
        learned = shown if learned is None else learned.with_others(shown)
    before = tuple(file_scores(model, added.parts["good"], added.groups))
    stage(f"Solving for the subspaces of {len(there.groups) + len(added.groups)} good images")
    calibration, scores, found = _solve(model, config, there.with_others(added), opened.calibration, learned, stage)
    refused_names = {name for file, name in zip(files, names, strict=True) if (file, name) not in given}
    refused_names |= {there.names[number] for number in known.numbers(gone - known.left_out)}
    return Lesson(
        model, calibration.with_confirmed(confirmed), added.names, before, scores[len(scores) - len(added.names) :],
        left_out=len(given) - len(new) - returned, refused=tuple(sorted(refused_names)), returned=returned,
        taught=added if known.taught is None else known.taught.with_others(added),
        digests=(*known.digests[len(known.trained.names) :], *new), gone=gone,
        threshold=opened.calibration.score if opened.calibration else 1.0, defects=learned, found=found, wrong=wrong,
    )  # fmt: skip


def _defects_to_learn(
    opened: Run, model: RealNet, learned: frozenset[str], good: Sequence[str], files: Sequence[Path] | None
) -> tuple[KeptDefects | None, dict[str, Path], int]:
    """Those that the run has learned, without what is called good now, the new ones of ``files`` by their pixels'
    digests, and how many of these it has learned as good; UserError where there are fewer than five in all.

    ``learned`` are digests of its good images, ``good`` of those that join them.
    """
    run = opened.folder
    known = None if opened.taught is None else read_defects(opened.taught / DEFECTS_FILE)
    known = None if known is None else known.without(set(good))
    if known is None and files is None:
        return None, {}, 0
    if model.evidence is None:
        raise UserError(
            f"{run} has the paper's discriminator, which confirmed defects cannot join: leave out --defects."
        )
    there = () if known is None else known.digests
    given = dict(zip(image_hashes(files or (), opened.levels), files or (), strict=True))
    wrong = [digest for digest in given if digest in learned or digest in good]
    more = {digest: file for digest, file in given.items() if digest not in there and digest not in wrong}
    count = len(there) + len(more)
    if count < LEAST_DEFECTS:
        raise UserError(
            f"There {'is 1 confirmed defect' if count == 1 else f'are {count} different confirmed defects'} for {run} "
            f"to learn; with fewer than {LEAST_DEFECTS} an inspector can become worse: confirm more first."
        )
    if (there_are := len(learned | set(good))) < LEAST_GOOD:
        raise UserError(
            f"{run} has {there_are} good image{'' if there_are == 1 else 's'}. Confirmed defects are learned from "
            f"{LEAST_GOOD} on: teach it more good images first."
        )
    return known, more, len(wrong)


def save_lesson(run: Path, lesson: Lesson) -> Calibration:
    """Make what was learned the state in force, as a version, or leave the run as it was; versions stay."""
    version = next_version(run)
    folder = taught_folder(run, version)
    save_features(folder / FEATURES_FILE, lesson.taught)
    if lesson.defects is not None:
        save_defects(folder / DEFECTS_FILE, lesson.defects)
    save_seen(folder, lesson.digests, lesson.gone)
    save_weights(folder / SUBSPACES_FILE, lesson.model, TAUGHT_PARTS)
    return install(run, lesson.calibration, version)


@dataclass(frozen=True)
class Compared:
    """Scores of confirmed defects by the inspector as it is and as it would be, in order, and the two thresholds."""

    before: tuple[float, ...]
    after: tuple[float, ...]
    thresholds: tuple[float, float]

    def newly_missed(self, names: Sequence[str]) -> list[str]:
        """Those of ``names`` that are found now and would not be."""
        pairs = zip(names, self.before, self.after, strict=True)
        return [name for name, was, now in pairs if was > self.thresholds[0] and now <= self.thresholds[1]]

    def sentence(self, learned: bool = False) -> str:
        """How many are found; ``learned``: by an inspector that has learned some of them."""
        was, now = (
            sum(score > limit for score in scores)
            for scores, limit in zip((self.before, self.after), self.thresholds, strict=True)
        )
        noun = "confirmed defect" if len(self.before) == 1 else "confirmed defects"
        how = ", those included that the inspector has learned" if learned else ""
        return f"Of {len(self.before)} {noun} {was} were found, and {now} are{how}."


def compare_defects(run: Path, lesson: Lesson, files: Sequence[Path], device: str = "cpu") -> Compared:
    """What the lesson means for images that people called defective; they only measure, and join nothing."""
    now = trained_inspector(Run(run), device)
    calibration = lesson.calibration
    then = Inspector(lesson.model, now.config, calibration.score, calibration.pixel)
    before, after = (tuple(found.score for found in one.inspect_many(files)) for one in (now, then))
    return Compared(before, after, (now.threshold, then.threshold))


@torch.no_grad()
def _features(
    model: RealNet, config: Config, new: Sequence[tuple[Path, str]], there: KeptFeatures, device: torch.device
) -> KeptFeatures:
    """Features of the new images and of as many copies of each as the run has of its own, made in the same way."""
    images = images_of([file for file, _ in new], [name for _, name in new], config)
    extractor, count, first = Extractor(model, device), len(images), len(there.groups)
    tolerance = config.training.tolerance
    limits = tolerance if tolerance.asked else STRENGTHS[there.augmentation]
    shown: dict[str, tuple[Iterable[np.ndarray], Tensor]] = {"good": (images, torch.arange(count))}
    if "moved" in there.parts:
        moved = copies(images, limits, there.each, config.seed, first=first)
        shown["moved"] = (moved, torch.arange(count).repeat_interleave(there.each))
    if "at_limit" in there.parts:
        shown["at_limit"] = (copies(images, limits, 1, config.seed, True, first), torch.arange(count))
    return KeptFeatures(
        tuple(name for _, name in new), torch.tensor(images.files), there.augmentation, there.each,
        {name: of for name, (_, of) in shown.items()},
        {name: [f.cpu() for f in extractor.selected(extractor.raw(some))] for name, (some, _) in shown.items()},
    )  # fmt: skip


@torch.no_grad()
def refit(model: RealNet, config: Config, kept: KeptFeatures) -> tuple[OutOfSample, FoldedValidation]:
    """Fit what is solved for to ``kept``, in place; these images, judged by folds, and what judges them."""
    device = next(model.buffers()).device
    result = kept.out_of_sample()
    parts = {name: [f.to(device) for f in features] for name, features in kept.parts.items()}
    judged_parts = [name for name in parts if name != "moved"]
    set_solved(model, judge_by_folds(model, config, result, parts, judged_parts))
    fit_familiarity(model, config, result, parts)
    learned = model.evidence is not None and bool(model.evidence.trained)
    validation = FoldedValidation(model, result, learned)
    validation.settle()
    return result, validation


@torch.no_grad()
def _solve(
    model: RealNet, config: Config, kept: KeptFeatures, before: Calibration | None, defects: KeptDefects | None,
    stage: Stage,
) -> tuple[Calibration, tuple[float, ...], tuple[int, int]]:  # fmt: skip
    """Fit what is solved for to ``kept`` and to confirmed ``defects``, in place; the calibration, the score of each
    file in order, and how many of the defects are found without what they teach, and by what has not seen them.
    """
    result, validation = refit(model, config, kept)
    asked, found = config.training.false_alarms if before is None else before.asked, (0, 0)
    if defects is not None:
        learner = DefectsLearner(model, result, defects, validation, config.seed)
        found = learner.found(asked, stage)
        learner.fit()
    elif model.evidence is not None:
        model.evidence.confirmed = None
    scores = scores_by_file(result.groups.tolist(), validation.scores(result.limiting).tolist())
    calibration = calibrate(
        scores,
        validation.pixel_threshold(),
        asked,
        result.source,
        timestamp(),
        validation.scores(result.faint).tolist(),
        [kept.names[number] for number in kept.files],
    )
    return calibration.with_confirmed(() if before is None else before.confirmed), tuple(scores), found
