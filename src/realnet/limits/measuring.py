"""How small and how faint a defect an inspector finds: the share of drawn defects above its threshold."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.stats import beta

from realnet.data import read_image
from realnet.errors import UserError
from realnet.inspection.judging import Judge
from realnet.limits.drawn import KINDS, Kind, draw
from realnet.progress import Watcher
from realnet.synthesis.foreground import foreground_mask

DEPTHS = (8, 16, 32, 64, 128)
"""Grey levels."""
SHARES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
"""Sizes that are tried where none are given, in shares of the images' shorter side."""
# 29 of 29 found is the least that shows 90 % with a confidence of 95 % (a90/95 of non-destructive testing).
EACH, RELIABLE, CONFIDENCE = 29, 0.9, 0.95
_BATCH = 16
# The map of where the inspector is blind has so many cells a side.
GRID = 6


@dataclass(frozen=True)
class Found:
    """Of how many drawn defects of one kind, size and depth how many were found.

    ``size`` is in pixels of the images, ``depth`` in grey levels (None: the kind has none).
    """

    kind: Kind
    size: float
    depth: int | None
    found: int
    of: int

    @property
    def share(self) -> float:
        """Share that was found."""
        return self.found / self.of

    @property
    def at_least(self) -> float:
        """What share is found at least, with a confidence of 95 % (Clopper and Pearson, one-sided)."""
        if self.found == 0:
            return 0.0
        return float(beta.ppf(1 - CONFIDENCE, self.found, self.of - self.found + 1))

    @property
    def reliable(self) -> bool:
        """Whether nine of ten are found at least, with that confidence."""
        return self.at_least >= RELIABLE


@dataclass(frozen=True)
class Limits:
    """What an inspector finds.

    Attributes:
        cells: each kind, size and depth.
        images: how many good images were drawn on; ``left_out``: how many were above the threshold as they are.
        side: the shorter side of the images in pixels, by the median.
        threshold: of the image score.
        blind: of defects that are found sometimes, the share found in each cell of a grid over the image,
            ``[GRID][GRID]``, rows from the top; None where too few lay there to say.
    """

    cells: tuple[Found, ...]
    images: int
    left_out: int
    side: int
    threshold: float
    blind: tuple[tuple[float | None, ...], ...]

    def smallest(self, kind: Kind, depth: int | None) -> float | None:
        """The smallest size from which on every larger one of that depth is found reliably; None: none is."""
        sizes = sorted((cell for cell in self.cells if (cell.kind, cell.depth) == (kind, depth)), key=lambda c: -c.size)
        found = None
        for cell in sizes:
            if not cell.reliable:
                break
            found = cell.size
        return found

    def sentences(self) -> list[str]:
        """What the inspector finds reliably, a sentence a kind."""
        said = []
        for kind in KINDS:
            depths = sorted({cell.depth or 0 for cell in self.cells if cell.kind == kind})
            parts = []
            for depth in depths:
                size = self.smallest(kind, depth or None)
                if size is not None:
                    parts.append(f"{size:g} px" + (f" at {depth} grey levels" if depth else ""))
            if depths:
                said.append(f"{kind}: " + (f"from {', '.join(parts)}" if parts else "none of those tried") + ".")
        return said

    def to_json(self) -> str:
        """All figures."""
        cells = [
            {**asdict(cell), "share": round(cell.share, 4), "at_least": round(cell.at_least, 4)} for cell in self.cells
        ]
        return json.dumps({**asdict(self), "cells": cells}, indent=2)


def measure_limits(
    judge: Judge,
    files: Sequence[Path],
    kinds: Sequence[Kind] = KINDS,
    sizes: Sequence[float] = (),
    depths: Sequence[int] = DEPTHS,
    *,
    each: int = EACH,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> Limits:
    """Draw defects of every kind, size and depth on good images, and count what is found.

    Images whose score is above the threshold as they are, are left out: everything would be found on them.

    Args:
        files: good images, rather such that the run was not trained on: it knows its own too well.
        sizes: in pixels of the images; empty: :data:`SHARES` of their shorter side.
        each: defects of one kind, size and depth.

    Raises:
        UserError: where an image cannot be read, or none is good to the inspector.
    """
    watcher = watcher or Watcher()
    images = [read_image(path, None, judge.levels) for path in files]
    good = [
        image
        for image, verdict in zip(images, judge.inspect_many(images, _BATCH), strict=True)
        if not verdict.is_anomalous
    ]
    if not good:
        raise UserError("The inspector takes all of these images for defective: calibrate it first.")
    side = int(np.median([min(image.shape[:2]) for image in good]))
    chosen = [float(size) for size in sizes or sorted({max(1, round(share * side)) for share in SHARES})]
    foregrounds = [foreground_mask(image) for image in good]
    wanted: list[tuple[Kind, float, int | None]] = [
        (kind, size, depth) for kind in kinds for size in chosen for depth in ((None,) if kind == "missing" else depths)
    ]
    cells, places, hits = [], [], []
    for number, (kind, size, depth) in enumerate(wanted):
        watcher.stage("Drawing defects", number * each, len(wanted) * each)
        drawn = list(_drawn(good, foregrounds, kind, size, depth, each, np.random.default_rng([seed, number])))
        verdicts = [one.is_anomalous for one in judge.inspect_many([image for image, _ in drawn], _BATCH)]
        cell = Found(kind, size, depth, sum(verdicts), each)
        cells.append(cell)
        if 0 < cell.found < cell.of:
            places += [place for _, place in drawn]
            hits += verdicts
    return Limits(tuple(cells), len(good), len(images) - len(good), side, judge.threshold, _grid(places, hits))


def _drawn(
    good: Sequence[np.ndarray],
    foregrounds: Sequence[np.ndarray],
    kind: Kind,
    size: float,
    depth: int | None,
    each: int,
    rng: np.random.Generator,
) -> Iterator[tuple[np.ndarray, tuple[float, float]]]:
    """Images with a defect, and where it is in shares of the image; good images serve by turns."""
    order = rng.permutation(len(good))
    for number in range(each):
        chosen = order[number % len(good)]
        image = good[chosen]
        drawn, _, (row, column) = draw(image, foregrounds[chosen], kind, size, depth or 0, rng)
        yield drawn, (row / image.shape[0], column / image.shape[1])


def _grid(places: Sequence[tuple[float, float]], hits: Sequence[bool]) -> tuple[tuple[float | None, ...], ...]:
    least = 10
    total, found = np.zeros((GRID, GRID), int), np.zeros((GRID, GRID), int)
    for (row, column), hit in zip(places, hits, strict=True):
        cell = int(row * GRID), int(column * GRID)
        total[cell] += 1
        found[cell] += hit
    return tuple(
        tuple(None if t < least else round(float(f / t), 3) for f, t in zip(fs, ts, strict=True))
        for fs, ts in zip(found, total, strict=True)
    )
