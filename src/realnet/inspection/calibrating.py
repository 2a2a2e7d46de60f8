"""Calibration of a trained or exported inspector on good images of the line."""

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from realnet.calibration import Calibration, calibrate, pixel_threshold
from realnet.data.good_images import short_names
from realnet.inspection.judging import Judge
from realnet.seen import picture_digests

# Pixels kept of each map: enough for the one in a thousand, and thousands of images fit in memory.
_PIXELS = 4096
_FALSE_ALARMS = 0.01


def calibrate_on(
    inspector: Judge,
    good: Sequence[Path],
    false_alarms: float,
    seen: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Calibration:
    """Thresholds for ``false_alarms`` by the good images in the files ``good``, of which ``seen`` were trained on.

    Raises:
        UserError: where a file cannot be read: a calibration must not rest on other images than were given.
    """
    rng = np.random.default_rng(0)
    scores: list[float] = []
    pixels: list[np.ndarray] = []
    for result in inspector.inspect_many(good):
        scores.append(result.score)
        flat = result.anomaly_map.ravel()
        pixels.append(flat[rng.integers(0, flat.size, min(_PIXELS, flat.size))])
        progress(len(scores))
    made = calibrate(
        scores,
        pixel_threshold(np.concatenate(pixels), inspector.discriminator),
        false_alarms,
        "good images given to `realnet calibrate`",
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        names=short_names(good),
        seen=seen,
    )
    return made.model_copy(update={"good_digests": tuple(sorted(picture_digests(good)))})


def usual_false_alarms(inspector: Judge, before: Calibration | None) -> float:
    """The rate that was asked for last, or, of a run, when it was trained."""
    if before is not None:
        return before.asked
    config = getattr(inspector, "config", None)
    return _FALSE_ALARMS if config is None else float(config.training.false_alarms)
