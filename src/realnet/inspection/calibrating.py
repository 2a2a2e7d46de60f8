"""Calibration of a trained inspector on good images of the line."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realnet.calibration import Calibration, calibrate, images_needed, pixel_threshold
from realnet.errors import UserError
from realnet.inspection.inspector import Inspector

# Pixels kept of each map: enough for the one in a thousand, and thousands of images fit in memory.
_PIXELS = 4096
_NAMED = 3


@dataclass(frozen=True)
class Judged:
    """Good images as the inspector sees them: their scores and names, and the pixel threshold they give."""

    scores: tuple[float, ...]
    names: tuple[str, ...]
    pixel: float
    source: str


def judge_good(
    inspector: Inspector,
    good: Sequence[Path],
    known: Mapping[str, str],
    progress: Callable[[int], None] = lambda done: None,
) -> Judged:
    """Judge the good images in the files ``good``.

    Args:
        inspector: of the run.
        good: image files.
        known: names of the images that the run was trained on, by hash.
        progress: told how many are done.

    Raises:
        UserError: where a file cannot be read, as a calibration must not rest on other images than were given; and
            for images that the run was trained on, whose scores are too low.
    """
    rng = np.random.default_rng(0)
    scores: list[float] = []
    pixels: list[np.ndarray] = []
    seen: list[str] = []
    for file, result in zip(good, inspector.inspect_many(good), strict=True):
        scores.append(result.score)
        flat = result.anomaly_map.ravel()
        pixels.append(flat[rng.integers(0, flat.size, min(_PIXELS, flat.size))])
        if result.trace.image_hash in known:
            seen.append(file.name)
        progress(len(scores))
    if seen:
        more = f" and {len(seen) - _NAMED} more" if len(seen) > _NAMED else ""
        raise UserError(
            f"The run was trained on {len(seen)} of these {len(good)} images ({', '.join(seen[:_NAMED])}{more}): their "
            "scores are too low for a threshold. Give images that were taken since, or leave those out."
        )
    return Judged(
        tuple(scores),
        tuple(file.name for file in good),
        pixel_threshold(np.concatenate(pixels), inspector.config.model.discriminator.kind),
        "good images given to `realnet calibrate`",
    )


def check_enough(images: int, false_alarms: float) -> None:
    """Refuse a rate of false alarms that so few images cannot promise.

    Raises:
        UserError: which says how many it takes, and what these images can promise.
    """
    needed = images_needed(false_alarms)
    if images < needed:
        raise UserError(
            f"{images} good images cannot promise {false_alarms:.4g} false alarms ({false_alarms:.2%}), which takes "
            f"{needed:,}: give more, or ask for what they can promise, --false-alarms {_least(images):.4g}."
        )


def check_product(scores: Sequence[float], before: Calibration) -> None:
    """Refuse images most of which the inspector takes for defective.

    Raises:
        UserError: where more than half of ``scores`` are above the threshold in force.
    """
    above = sum(score > before.score for score in scores)
    if 2 * above > len(scores):
        raise UserError(
            f"{above} of these {len(scores)} good images are above the threshold in force ({before.score:.4f}): they "
            "seem to show another product, or light and camera have changed so much that the run should be trained "
            "again. If they are right, repeat the call with --anyway."
        )


def calibrate_by(
    judged: Judged, false_alarms: float, before: Calibration | None, confirmed: Sequence[tuple[str, float]] = ()
) -> Calibration:
    """Thresholds for ``false_alarms`` by good images that were judged, and by ones that people have confirmed.

    Confirmed images are mostly those that were rejected: their scores are higher than chance would have it, so the
    threshold is rather too high than too low, and the promise holds.

    Args:
        judged: good images that the run was not trained on.
        false_alarms: the rate asked for.
        before: the calibration in force, whose synthetic defects measure the new threshold.
        confirmed: name and score of each further image.
    """
    further = f" and {len(confirmed)} that people confirmed" if confirmed else ""
    return calibrate(
        [*judged.scores, *(score for _, score in confirmed)],
        judged.pixel,
        false_alarms,
        judged.source + further,
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        before.defect_scores if before else (),
        [*judged.names, *(name for name, _ in confirmed)],
    )


def judged_before(before: Calibration) -> Judged:
    """The good images that the calibration in force rests on; nothing is judged again."""
    names = before.good_names or tuple("" for _ in before.good_scores)
    return Judged(before.good_scores, names, before.pixel, "good images of the calibration before")


def _least(images: int) -> float:
    """The least rate that so many images can promise, rounded up to what ``--false-alarms`` reads."""
    return float(np.ceil(1e4 / (images + 1)) / 1e4)
