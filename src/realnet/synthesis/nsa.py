"""Natural synthetic anomalies: Poisson-blended patches of good images (NSA, arXiv 2109.15222, Sec. 3)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from realnet.synthesis.anomaly import Anomaly, GoodsProposer, Image, Mask, Trim, compose, natural_variation
from realnet.synthesis.augment import rotated
from realnet.synthesis.shapes import blob, pixel_of

_MOST_PATCHES = 3
# Sides as shares of the image: shift + Gamma(shape, scale), clipped; then resized.
_SIDE_SHIFT, _SIDE_SHAPE, _SIDE_SCALE = 0.03, 2.0, 0.05
_SIDE_LIMITS = (0.03, 0.4)
_RESIZE = (0.7, 1.3)
_SMALLEST_SIDE = 5
# OpenCV takes this many pixels off the edge of the mask before it clones.
_ERODED = 3


class Nsa(GoodsProposer):
    """One to three patches of another good image, resized, some turned, joined without a seam.

    The label is where the image visibly changed.
    """

    def _propose(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly | None:
        other, origin = self._other((image.shape[0], image.shape[1]), rng)
        source = image
        region = np.zeros(foreground.shape, dtype=bool)
        threshold = natural_variation(image)
        for _ in range(int(rng.integers(1, _MOST_PATCHES + 1))):
            source = _with_patch(source, other, 3.0 * threshold, foreground, region, rng)
        trim = Trim(window=3, closing=9, threshold=threshold, least_share=0.25)
        return compose(image, source, region, self._draw_opacity(rng), "nsa", origin, trim)


def _with_patch(
    image: Image, other: Image, contrast: float, foreground: Mask, region: Mask, rng: np.random.Generator
) -> Image:
    """Return ``image`` with a patch of ``other`` cloned in; the pixels it covers are added to ``region``."""
    rows, columns = foreground.shape
    patch = _patch(other, contrast, rng)
    height, width = patch.shape[:2]
    row, column = pixel_of(foreground, rng)
    top = int(np.clip(row - height // 2, 0, rows - height))
    left = int(np.clip(column - width // 2, 0, columns - width))
    if rng.random() < 0.5:
        cover = np.full((height, width), 255, dtype=np.uint8)
    else:
        radius = 0.45 * min(height, width)
        cover = blob((height, width), ((height - 1) / 2, (width - 1) / 2), radius, rng)
        cover = np.where(cover >= 128, np.uint8(255), np.uint8(0))
    mode = cv2.NORMAL_CLONE if rng.random() < 0.7 else cv2.MIXED_CLONE
    cloned = _cloned(image, patch, cover, (top, left), mode)
    if cloned is None:
        return image
    region[top : top + height, left : left + width] |= cover > 0
    return cloned


def _patch(other: Image, contrast: float, rng: np.random.Generator) -> Image:
    """Cut a piece out of ``other``, resize it, turn every second one.

    Cloning keeps differences within a patch only, so one flatter than ``contrast`` grey levels (standard
    deviation) would leave no trace: its differences are enlarged, up to fivefold.
    """
    rows, columns = other.shape[:2]
    shares = np.clip(_SIDE_SHIFT + rng.gamma(_SIDE_SHAPE, _SIDE_SCALE, 2), *_SIDE_LIMITS)
    height = int(np.clip(round(shares[0] * rows), _SMALLEST_SIDE, rows))
    width = int(np.clip(round(shares[1] * columns), _SMALLEST_SIDE, columns))
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    factor = float(rng.uniform(*_RESIZE))
    height_out = int(np.clip(round(height * factor), _SMALLEST_SIDE, rows))
    width_out = int(np.clip(round(width * factor), _SMALLEST_SIDE, columns))
    cut = np.ascontiguousarray(other[top : top + height, left : left + width])
    patch = np.asarray(cv2.resize(cut, (width_out, height_out)), dtype=np.uint8)
    mean, deviation = float(patch.mean()), float(patch.std())
    if 0.0 < deviation < contrast:
        gain = min(contrast / deviation, 5.0)
        patch = np.clip((patch.astype(np.float32) - mean) * gain + mean, 0.0, 255.0).astype(np.uint8)
    return rotated(patch, float(rng.uniform(-90.0, 90.0))) if rng.random() < 0.5 else patch


def _cloned(image: Image, patch: Image, cover: NDArray[np.uint8], corner: tuple[int, int], mode: int) -> Image | None:
    """Clone ``patch`` into ``image`` at ``corner`` (row, column) by Poisson editing; None where that fails.

    Only a frame around the patch is handed to OpenCV, widened by mirroring: it refuses patches that touch
    the edge, and the frame is all that the solution depends on.
    """
    margin = _ERODED + 3
    height, width = patch.shape[:2]
    wide = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
    top, left = corner
    frame = np.s_[top : top + height + 2 * margin, left : left + width + 2 * margin]
    inner = np.ascontiguousarray(wide[frame])
    framed = cv2.copyMakeBorder(patch, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
    mask = cv2.copyMakeBorder(cover, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    mask = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=_ERODED)
    # OpenCV centres the bounding box of the mask, not the patch, on the given point.
    x, y, box_width, box_height = cv2.boundingRect(mask)
    try:
        solved = cv2.seamlessClone(framed, inner, mask, (x + box_width // 2, y + box_height // 2), mode)
    except cv2.error:
        return None
    result = image.copy()
    result[top : top + height, left : left + width] = solved[margin:-margin, margin:-margin]
    return result
