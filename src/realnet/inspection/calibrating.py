"""Calibration of a trained or exported inspector on good images of the line."""

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from realnet.calibration import Calibration, calibrate, images_needed, pixel_threshold
from realnet.data.good_images import short_names
from realnet.errors import UserError, advise
from realnet.inspection.judging import Judge
from realnet.progress import Watcher
from realnet.provenance import timestamp
from realnet.run_folder import Run, Seen

# Pixels kept of each map: enough for the one in a thousand, and thousands of images fit in memory.
_PIXELS = 4096
# What is asked of an export that was never calibrated.
_FALSE_ALARMS = 0.01


@dataclass(frozen=True)
class Judged:
    """Good images as the inspector sees them, and the pixel threshold they give.

    Attributes:
        scores, names, digests: of each image; a digest is empty where it is not known.
        pixel: the threshold of the anomaly map.
        source: which images, in words.
        seen: how many of them the run was trained on; ``trained`` which files these are, as far as files were judged.
    """

    scores: tuple[float, ...]
    names: tuple[str, ...]
    digests: tuple[str, ...]
    pixel: float
    source: str
    seen: int = 0
    trained: tuple[Path, ...] = ()

    def with_confirmed(
        self, good: Sequence[tuple[str, str, float]], defects: Sequence[tuple[str, str, float]]
    ) -> "Judged":
        """These images with those that people confirmed as good, each once, and without those confirmed as defective.

        Confirmed ones, with name, digest and score, were mostly rejected: their scores are higher than chance would
        have it, so the threshold is rather too high than too low, and the promise holds.
        """
        defective, known = {digest for _, digest, _ in defects}, set(self.digests)
        kept = [i for i, digest in enumerate(self.digests) if digest not in defective]
        new = [image for image in good if image[1] not in known]
        return replace(
            self,
            scores=(*(self.scores[i] for i in kept), *(score for _, _, score in new)),
            names=(*(self.names[i] for i in kept), *(name for name, _, _ in new)),
            digests=(*(self.digests[i] for i in kept), *(digest for _, digest, _ in new)),
            source=self.source + (f" and {len(new)} that people confirmed" if new else ""),
        )


def judge_good(
    inspector: Judge, good: Sequence[Path], trained: AbstractSet[str] = frozenset(), watcher: Watcher | None = None
) -> Judged:
    """Judge the good images in the files ``good``; ``trained`` are digests of those that the run was trained on.

    UserError where one cannot be read, as a calibration must not rest on other images than were given.
    """
    rng = np.random.default_rng(0)
    scores: list[float] = []
    digests: list[str] = []
    pixels: list[np.ndarray] = []
    for result in inspector.inspect_many(good):
        scores.append(result.score)
        digests.append(result.trace.image_hash)
        flat = result.anomaly_map.ravel()
        pixels.append(flat[rng.integers(0, flat.size, min(_PIXELS, flat.size))])
        if watcher is not None:
            watcher.stage("Judging good images", len(scores), len(good))
    known = tuple(file for file, digest in zip(good, digests, strict=True) if digest in trained)
    return Judged(
        tuple(scores),
        tuple(short_names(good)),
        tuple(digests),
        pixel_threshold(np.concatenate(pixels), inspector.discriminator),
        "good images given to `realnet calibrate`",
        len(known),
        known,
    )


def judged_before(before: Calibration) -> Judged:
    """The good images that the calibration in force rests on; nothing is judged again."""
    unknown = ("",) * len(before.good_scores)
    return Judged(
        before.good_scores,
        before.good_names or unknown,
        before.good_digests or unknown,
        before.pixel,
        "good images of the calibration before",
        before.seen,
    )


def check_unseen(run: Run, judged: Judged) -> None:
    """Refuse images that the run was trained on, whose scores are too low; UserError which names them."""
    if judged.trained:
        sentence = Seen(judged.trained, ()).sentence(run.folder, len(judged.scores))
        raise advise(f"{sentence} Give others, or go on with", "force=True.", "--force.")


def check_enough(images: int, false_alarms: float) -> None:
    """Refuse a rate of false alarms that so few images cannot promise; UserError which says how many it takes."""
    needed = images_needed(false_alarms)
    if images < needed:
        least = math.ceil(1e4 / (images + 1)) / 1e4  # as finely as the option reads
        raise UserError(
            f"{images} good images cannot promise {100 * false_alarms:.4g}% false alarms, which takes {needed:,}: give "
            f"more, or ask for what they can promise, --false-alarms {100 * least:.4g}%."
        )


def check_product(scores: Sequence[float], before: Calibration | None) -> None:
    """Refuse good images, by a UserError, of which the inspector takes more than half for defective."""
    if before is None:
        return
    above = sum(score > before.score for score in scores)
    if 2 * above > len(scores):
        raise advise(
            f"{above} of these {len(scores)} good images are above the threshold in force ({before.score:.4f}): they "
            "seem to show another product, or light and camera have changed so much that the run should be trained "
            "again. If they are right, go on with",
            "force=True.",
            "--force.",
        )


def calibrate_by(judged: Judged, false_alarms: float, before: Calibration | None = None) -> Calibration:
    """Thresholds for ``false_alarms`` by good images that were judged, measured by ``before``'s synthetic defects."""
    made = calibrate(
        judged.scores,
        judged.pixel,
        false_alarms,
        judged.source,
        timestamp(),
        before.defect_scores if before else (),
        judged.names,
        judged.seen,
    ).with_confirmed(() if before is None else before.confirmed)
    if not any(judged.digests):
        return made
    order = np.argsort(np.asarray(judged.scores), kind="stable")
    return made.model_copy(update={"good_digests": tuple(judged.digests[i] for i in order)})


def usual_rate(run: Run) -> float:
    """The rate of false alarms that was asked for last, or, of a run, when it was trained."""
    if run.calibration is not None:
        return run.calibration.asked
    return _FALSE_ALARMS if run.is_export else run.config.training.false_alarms
