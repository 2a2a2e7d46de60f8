"""Regions: what of an anomaly map is outlined, piece by piece."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Region:
    """One connected suspicious area, in pixels of the image; x to the right, y down, from the upper left corner.

    Attributes:
        area: number of pixels; ``share`` of the image, 0..1.
        centroid: ``(x, y)`` of its middle.
        box: ``(x, y, width, height)`` of the smallest upright rectangle around it.
        peak: the largest value of the map in it, 0..1; ``peak_at`` is where, ``(x, y)``.
    """

    area: int
    share: float
    centroid: tuple[float, float]
    box: tuple[int, int, int, int]
    peak: float
    peak_at: tuple[int, int]


def find_regions(anomaly_map: np.ndarray, mask: np.ndarray) -> tuple[Region, ...]:
    """The 8-connected areas of ``mask`` bool ``[h, w]``, what is outlined of the map ``[h, w]``, highest peak first."""
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    found = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        inside = np.where(
            labels[y : y + height, x : x + width] == label, anomaly_map[y : y + height, x : x + width], -np.inf
        )
        row, column = np.unravel_index(int(inside.argmax()), inside.shape)
        found.append(
            Region(
                area=area,
                share=area / mask.size,
                centroid=(float(centroids[label][0]), float(centroids[label][1])),
                box=(x, y, width, height),
                peak=float(inside[row, column]),
                peak_at=(x + int(column), y + int(row)),
            )
        )
    return tuple(sorted(found, key=lambda region: -region.peak))


def keep_large(mask: np.ndarray, minimum_area: int) -> np.ndarray:
    """``mask`` bool ``[h, w]`` without its 8-connected areas of fewer than ``minimum_area`` pixels."""
    if minimum_area <= 1 or not mask.any():
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= minimum_area
    large[0] = False
    return large[labels]
