"""Defects of a given size and depth, drawn on good images: what an inspector's limits are measured with."""

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from realnet.synthesis.shapes import crack, pixel_of

Kind = Literal["scratch", "hole", "stain", "texture", "missing", "sia"]
KINDS: tuple[Kind, ...] = get_args(Kind)[:-1]
"""What can be drawn on any image; ``sia`` needs generated images of the product."""
# A scratch is this share of the image's shorter side long, and at least three times as long as wide.
_LENGTH = 0.15
# Coverage of a pixel, of 255, from which on it belongs to the line.
_HALF = 127


@dataclass(frozen=True)
class Wanted:
    """Defects to draw: their kind, size in pixels of the images, and depth (None: the kind has none).

    The depth is in grey levels or, of SIA, in percent.
    """

    kind: Kind
    size: float
    depth: int | None


def draw(
    image: NDArray[np.uint8],
    foreground: NDArray[np.bool_],
    kind: Kind,
    size: float,
    depth: float,
    rng: np.random.Generator,
    generated: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], tuple[int, int]]:
    """Return ``image`` uint8 ``[h, w, 3]`` with one defect, its mask bool ``[h, w]``, and its place (row, column).

    Args:
        foreground: where the product is ``[h, w]``.
        size: width in pixels of the image, 1 or more.
        depth: by how many grey levels it is darker or lighter, at most: what would leave 0..255 is clipped. Of ``sia``
            the strength in percent, which is delta of Eq. 3.
        generated: an anomaly image of the product, of the same shape, that shows through a spot of kind ``sia``, which
            is a ValueError without it.
    """
    height, width = image.shape[:2]
    row, column = pixel_of(foreground, rng)
    if kind == "missing":
        half = max(1, round(size / 2))
        mask = np.zeros((height, width), np.uint8)
        mask[max(0, row - half) : row + half, max(0, column - half) : column + half] = 255
        filled = cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA)
        return np.asarray(filled, dtype=np.uint8), mask > 0, (row, column)
    if kind == "scratch":
        length = max(3.0 * size, _LENGTH * min(height, width))
        path = skeletonize(crack((height, width), (row, column), length, 1.0, rng) > _HALF)
        path[row, column] = True
        distance = cv2.distanceTransform((~path).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    else:
        rows, columns = np.ogrid[:height, :width]
        distance = np.hypot(rows - row, columns - column).astype(np.float32)
    # Pixels at the edge are covered in part, so that the width is right to a fraction of a pixel.
    share = np.clip(size / 2 + 0.5 - distance, 0, 1).astype(np.float64)[..., None]
    if kind == "stain":
        share = np.asarray(cv2.GaussianBlur(share, (0, 0), max(0.5, size / 6)), dtype=np.float64)[..., None]
    if kind == "sia":
        if generated is None:
            raise ValueError("a defect of kind sia is made of a generated image")
        change = depth / 100 * (generated.astype(np.float64) - image)
    elif kind == "texture":
        change = rng.normal(0, depth, (height, width, 1))
    else:
        change = np.full((1, 1, 1), -depth if rng.random() < 0.5 else depth, np.float64)
    drawn = np.clip(image + share * change, 0, 255).astype(np.uint8)
    return drawn, share[..., 0] > 0.5, (row, column)
