"""Large images as overlapping tiles, and the tiles' maps as one map without seams."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from realnet.data.images import resize_image

# Neighbours share a quarter of a tile at least, so that a defect on one's edge lies well inside the other.
_STRIDE = 0.75


class Box(NamedTuple):
    """A tile's place in its image, in pixels."""

    top: int
    left: int
    height: int
    width: int


def tile_boxes(height: int, width: int, tile: int) -> list[Box]:
    """Squares of side ``tile`` (narrower where the image is) that cover an image, evenly spread, row by row."""
    rows, columns = _starts(height, tile), _starts(width, tile)
    return [Box(top, left, min(tile, height), min(tile, width)) for top in rows for left in columns]


def _starts(length: int, tile: int) -> list[int]:
    if length <= tile:
        return [0]
    count = math.ceil((length - tile) / (_STRIDE * tile)) + 1
    return [round(position * (length - tile) / (count - 1)) for position in range(count)]


def cut(image: np.ndarray, box: Box, size: int) -> np.ndarray:
    """The tile of ``image`` ``[h, w, 3]`` at ``box``, resized to ``[size, size, 3]``."""
    return resize_image(image[box.top : box.top + box.height, box.left : box.left + box.width], size)


def stitch(maps: Sequence[np.ndarray], boxes: Sequence[Box], height: int, width: int) -> np.ndarray:
    """One map float32 ``[height, width]`` of the tiles' maps ``[S, S]``.

    Where tiles overlap, their maps are averaged with weights that fall to nothing towards a tile's edge, so that the
    result is as smooth as the maps are: no seam is left.
    """
    total = np.zeros((height, width), np.float32)
    weights = np.zeros((height, width), np.float32)
    for anomaly_map, box in zip(maps, boxes, strict=True):
        weight = np.outer(_ramp(box.height), _ramp(box.width))
        place = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
        total[place] += weight * cv2.resize(anomaly_map, (box.width, box.height), interpolation=cv2.INTER_LINEAR)
        weights[place] += weight
    return total / weights


def _ramp(length: int) -> np.ndarray:
    """1 at the middle, falling to nearly 0 at both ends: ``[length]``."""
    position = (np.arange(length, dtype=np.float32) + 0.5) / length
    return 2 * np.minimum(position, 1 - position)
