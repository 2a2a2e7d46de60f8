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


def perlin_noise(
    shape: tuple[int, int], scales: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return gradient noise [h, w] in about -1..1 on a grid of ``scales`` = (rows, columns) cells, any size.

    Unit gradients at the corners, faded by 6t^5 - 15t^4 + 10t^3, times sqrt(2). The weights of a pixel's four
    corners are products of one factor a row and one a column, so that the whole field is two matrix products.
    """
    angle = rng.uniform(0.0, 2.0 * np.pi, (scales[0] + 1, scales[1] + 1)).astype(np.float32)
    row_weight, row_offset = _corner_weights(shape[0], scales[0])
    column_weight, column_offset = _corner_weights(shape[1], scales[1])
    along_rows = (row_weight * row_offset) @ np.sin(angle) @ column_weight.T
    along_columns = row_weight @ np.cos(angle) @ (column_weight * column_offset).T
    return np.sqrt(np.float32(2.0)) * (along_rows + along_columns)


def _corner_weights(length: int, cells: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each pixel's weight for, and offset in cells from, each grid line: two float32 [length, cells + 1]."""
    position = np.arange(length) * (cells / length)
    offset = (position[:, None] - np.arange(cells + 1)).astype(np.float32)
    t = np.clip(1.0 - np.abs(offset), 0.0, 1.0)
    return t * t * t * (t * (6.0 * t - 15.0) + 10.0), offset


def perlin_mask(
    shape: tuple[int, int], foreground: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return a random mask inside ``foreground``, bool [h, w], never empty.

    Row and column scales 2^U{0..5}, rotated by U(-90, 90) degrees, threshold 0.5. Masks under 0.04% or over half
    of the image are redrawn; after some attempts a round spot in the foreground takes their place.
    """
    for _ in range(ATTEMPTS):
        rows, columns = (int(2**exponent) for exponent in rng.integers(0, LARGEST_EXPONENT + 1, 2))
        noise = perlin_noise(shape, (rows, columns), rng)
        centre = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
        turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-90.0, 90.0)), 1.0)
        turned = cv2.warpAffine(noise, turn, (shape[1], shape[0]), borderMode=cv2.BORDER_REFLECT_101)
        mask = (turned > THRESHOLD) & foreground
        if max(4, SMALLEST_SHARE * mask.size) <= np.count_nonzero(mask) <= LARGEST_SHARE * mask.size:
            return mask
    row, column = pixel_of(foreground, rng)
    mask = blob(shape, (row, column), max(2.0, 0.05 * min(shape)), rng) >= 128
    mask[row, column] = True
    inside = mask & foreground
    return inside if inside.any() else mask
