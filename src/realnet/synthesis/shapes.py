"""Random outlines: spots, cracks and large regions."""

import cv2
import numpy as np
from numpy.typing import NDArray

# [h, w], as NumPy gives it.
Shape = tuple[int, ...]
# OpenCV draws polygons at sub-pixel positions given as fixed-point numbers with this many binary places.
_PLACES = 4


def pixel_of(foreground: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    """Return the (row, column) of a random pixel of ``foreground``, or of the image where that is empty."""
    # A few blind draws nearly always hit and are far cheaper than listing all pixels.
    for _ in range(8):
        index = int(rng.integers(foreground.size))
        if foreground.flat[index]:
            return divmod(index, foreground.shape[1])
    inside = np.flatnonzero(foreground)
    if inside.size:
        index = int(inside[rng.integers(inside.size)])
    return divmod(index, foreground.shape[1])


def blob(shape: Shape, centre: tuple[float, float], radius: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a rounded irregular spot about ``centre`` (row, column): coverage 0..255, uint8 [h, w].

    ``radius`` is the mean radius in pixels; the spot is stretched up to 2:1 and its outline waves by three
    harmonics.
    """
    angle = np.linspace(0.0, 2.0 * np.pi, 32, endpoint=False)
    outline = np.ones_like(angle)
    for harmonic in (2, 3, 5):
        outline += rng.uniform(0.0, 0.5 / harmonic) * np.sin(harmonic * angle + rng.uniform(0.0, 2.0 * np.pi))
    stretch, turn = float(np.sqrt(rng.uniform(1.0, 2.0))), float(rng.uniform(0.0, np.pi))
    along, across = np.cos(angle) * outline * radius * stretch, np.sin(angle) * outline * radius / stretch
    columns = centre[1] + along * np.cos(turn) - across * np.sin(turn)
    rows = centre[0] + along * np.sin(turn) + across * np.cos(turn)
    coverage = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(coverage, [_fixed(columns, rows)], 255, cv2.LINE_AA, _PLACES)
    return coverage


def crack(
    shape: Shape, start: tuple[float, float], length: float, width: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a wandering line from ``start`` (row, column): coverage 0..255, uint8 [h, w].

    ``length`` and ``width`` are in pixels. The heading drifts smoothly (scratch) or jumps (crack), the width
    varies, and one in three has a branch.
    """
    coverage = np.zeros(shape, dtype=np.uint8)
    _walk(coverage, start, float(rng.uniform(0.0, 2.0 * np.pi)), length, width, float(rng.uniform(0.02, 0.6)), rng)
    return coverage


def _walk(
    coverage: NDArray[np.uint8],
    start: tuple[float, float],
    heading: float,
    length: float,
    width: float,
    jitter: float,
    rng: np.random.Generator,
    branches: bool = True,
) -> None:
    count = int(np.clip(length / 6.0, 2, 40))
    turns = np.cumsum(rng.normal(0.0, jitter * 0.5, count)) + rng.normal(0.0, jitter, count)
    steps = rng.uniform(0.5, 1.5, count) * length / count
    columns = start[1] + np.concatenate([[0.0], np.cumsum(steps * np.cos(heading + turns))])
    rows = start[0] + np.concatenate([[0.0], np.cumsum(steps * np.sin(heading + turns))])
    points = _fixed(columns, rows)
    # Thin ends, thicker stretches between: two or three overlapping pieces of different width.
    for _ in range(3):
        first, last = sorted(int(i) for i in rng.integers(0, count + 1, 2))
        thickness = max(1, round(width * float(rng.uniform(0.5, 1.0))))
        if last > first:
            cv2.polylines(coverage, [points[first : last + 1]], False, 255, thickness, cv2.LINE_AA, _PLACES)
    cv2.polylines(coverage, [points], False, 255, max(1, round(width * 0.5)), cv2.LINE_AA, _PLACES)
    if branches and rng.random() < 1 / 3:
        at = int(rng.integers(count + 1))
        side = heading + float(turns[min(at, count - 1)]) + float(rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 1.2))
        _walk(coverage, (float(rows[at]), float(columns[at])), side, 0.5 * length, 0.7 * width, jitter, rng, False)


def few_pieces(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return one to three connected pieces of ``mask``, large ones more often: most defects are one spot."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    pieces = count - 1
    wanted = int(rng.integers(1, 4))
    if pieces <= wanted:
        return mask
    areas = statistics[1:, cv2.CC_STAT_AREA].astype(np.float64)
    chosen = rng.choice(pieces, wanted, replace=False, p=areas / areas.sum())
    keep = np.zeros(count, dtype=bool)
    keep[chosen + 1] = True
    return keep[labels]


def large_region(shape: Shape, centre: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a rectangle, ellipse or spot about ``centre`` over 3-45% of the image, bool [h, w]."""
    area = float(rng.uniform(0.03, 0.45)) * shape[0] * shape[1]
    aspect = float(np.exp(rng.uniform(np.log(0.4), np.log(2.5))))
    size = (float(np.sqrt(area * aspect)), float(np.sqrt(area / aspect)))
    place = (float(centre[1]), float(centre[0]))
    choice = rng.random()
    if choice < 0.3:
        return blob(shape, centre, float(np.sqrt(area / np.pi)), rng) >= 128
    coverage = np.zeros(shape, dtype=np.uint8)
    tilt = 0.0 if rng.random() < 0.5 else float(rng.uniform(-45.0, 45.0))
    if choice < 0.5:
        cv2.ellipse(coverage, (place, size, tilt), 1, -1)
    else:
        cv2.fillPoly(coverage, [np.rint(cv2.boxPoints((place, size, tilt))).astype(np.int32)], 1)
    return coverage.astype(bool)


def _fixed(columns: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(np.stack([columns, rows], axis=1) * 2**_PLACES).astype(np.int32)
