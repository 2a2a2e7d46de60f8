"""Perlin noise masks (Sec. 3.1; Perlin, An image synthesizer, SIGGRAPH 1985, DOI 10.1145/325165.325247)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from realnet.synthesis.shapes import blob, pixel_of

THRESHOLD = 0.5
LARGEST_EXPONENT = 5
SMALLEST_SHARE = 4e-4
LARGEST_SHARE = 0.5
ATTEMPTS = 10


def perlin_noise(shape: tuple[int, int], scales: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return gradient noise [h, w] in about -1..1 on a grid of ``scales`` = (rows, columns) cells, any size.

    Unit gradients at the corners, faded by 6t^5 - 15t^4 + 10t^3, times sqrt(2). A corner's weight is a
    factor of the row times a factor of the column, so that columns are interpolated first, on the few grid
    rows only.
    """
    angle = rng.uniform(0.0, 2.0 * np.pi, (scales[0] + 1, scales[1] + 1)).astype(np.float32)
    across, down = np.cos(angle), np.sin(angle)
    column, column_weights, column_offsets = _neighbours(shape[1], scales[1])
    row, row_weights, row_offsets = _neighbours(shape[0], scales[0])
    across_lines = np.zeros((scales[0] + 1, shape[1]), dtype=np.float32)
    down_lines = np.zeros_like(across_lines)
    for i in (0, 1):
        across_lines += column_weights[i] * column_offsets[i] * across[:, column + i]
        down_lines += column_weights[i] * down[:, column + i]
    noise = np.zeros(shape, dtype=np.float32)
    for i in (0, 1):
        noise += row_weights[i][:, None] * across_lines[row + i]
        noise += (row_weights[i] * row_offsets[i])[:, None] * down_lines[row + i]
    noise *= np.float32(np.sqrt(2.0))
    return noise


_Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def _neighbours(length: int, cells: int) -> tuple[NDArray[np.intp], _Pair, _Pair]:
    """Return, for each of ``length`` pixels, the grid line before it, and weight and offset of both its lines."""
    position = np.arange(length) * (cells / length)
    before = position.astype(np.intp)
    offset = (position - before).astype(np.float32)
    fade = (offset**3 * (offset * (offset * 6.0 - 15.0) + 10.0)).astype(np.float32)
    one = np.float32(1.0)
    return before, (one - fade, fade), (offset, offset - one)


def perlin_mask(foreground: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a random mask inside ``foreground``, bool [h, w], never empty.

    Row and column scales 2^U{0..5}, rotated by U(-90, 90) degrees, threshold 0.5. Masks under 0.04% or over
    half of the image are redrawn; after some attempts a round spot in the foreground takes their place.
    """
    height, width = foreground.shape
    for _ in range(ATTEMPTS):
        rows, columns = (int(2**exponent) for exponent in rng.integers(0, LARGEST_EXPONENT + 1, 2))
        noise = perlin_noise((height, width), (rows, columns), rng)
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(rng.uniform(-90.0, 90.0)), 1.0)
        turned = cv2.warpAffine(noise, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
        mask = (turned > THRESHOLD) & foreground
        if max(4, SMALLEST_SHARE * mask.size) <= np.count_nonzero(mask) <= LARGEST_SHARE * mask.size:
            return mask
    row, column = pixel_of(foreground, rng)
    mask = blob((height, width), (row, column), max(2.0, 0.05 * min(height, width)), rng) >= 128
    mask[row, column] = True
    inside = mask & foreground
    return inside if inside.any() else mask
