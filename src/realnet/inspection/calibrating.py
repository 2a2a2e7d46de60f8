"""Calibration of a trained inspector on good images of the line."""

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from realnet.calibration import Calibration, calibrate, pixel_threshold
from realnet.inspection.inspector import Inspector

# Pixels kept of each map: enough for the one in a thousand, and thousands of images fit in memory.
_PIXELS = 4096


def calibrate_on(
    inspector: Inspector,
    good: Sequence[Path],
    false_alarms: float,
    progress: Callable[[int], None] = lambda done: None,
) -> Calibration:
    """Thresholds for ``false_alarms`` by the good images in the files ``good``, which the run was not trained on.

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
    return calibrate(
        scores,
        pixel_threshold(np.concatenate(pixels), inspector.config.model.discriminator.kind),
        false_alarms,
        "good images given to `realnet calibrate`",
        datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
