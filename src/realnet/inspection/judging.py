"""What every inspector does with images, whatever runs its network; imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realnet.calibration import Calibration
from realnet.data import image_from_array, measure_tiled, read_image
from realnet.errors import UserError
from realnet.inspection.inspection import Inspection
from realnet.inspection.trace import Origin


class Judge(ABC):
    """Thresholds, and images in any form judged by them.

    Args:
        threshold: of the image score.
        pixel_threshold: of the anomaly map.
        minimum_area: of a defect, in pixels of the image; 0: any.

    ``origin`` says which model and calibration these are, for the results.
    """

    def __init__(self, threshold: float, pixel_threshold: float, minimum_area: int = 0) -> None:
        self.threshold, self.pixel_threshold, self.minimum_area = threshold, pixel_threshold, minimum_area
        self.origin = Origin()

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side S of the square that the network sees, in pixels."""

    @property
    @abstractmethod
    def tile(self) -> int | None:
        """Side in pixels of the tiles that images are cut into; None: they are judged whole."""

    @abstractmethod
    def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        """Anomaly maps float32 ``[N, S, S]`` in 0..1 and image scores of uint8 ``[h, w, 3]`` images of any size."""

    def follow(self, calibration: Calibration) -> None:
        """Take the thresholds of ``calibration``, and name it in results from now on."""
        self.threshold, self.pixel_threshold = calibration.score, calibration.pixel
        self.origin = Origin(self.origin.model_digest, calibration.version, calibration.score)

    def inspect(self, image: Any, threshold: float | None = None) -> Inspection:
        """Judge one image: a path, a PIL image, or an array (grey, RGB or RGBA; 8 or 16 bits, or float 0..1).

        Args:
            threshold: of the image score, for this image; default: the inspector's.

        Raises:
            UserError: for a file that cannot be read, or a threshold outside 0..1.
        """
        return next(self.inspect_many([image], threshold=threshold))

    def inspect_many(
        self, images: Iterable[Any], batch_size: int = 8, threshold: float | None = None
    ) -> Iterator[Inspection]:
        """Judge images, in order, a batch at a time; they may differ in size. Otherwise as :meth:`inspect`."""
        if threshold is not None:
            check_threshold(threshold)
        batch: list[np.ndarray] = []
        for image in images:
            batch.append(read_image(image) if isinstance(image, str | Path) else image_from_array(image))
            if len(batch) == batch_size:
                yield from self._judge(batch, threshold)
                batch = []
        if batch:
            yield from self._judge(batch, threshold)

    def _judge(self, images: Sequence[np.ndarray], threshold: float | None) -> Iterator[Inspection]:
        limit = self.threshold if threshold is None else threshold
        if self.tile is None:
            maps, scores = self.measure(images)
            whole = (full_size(map_, *image.shape[:2]) for map_, image in zip(maps, images, strict=True))
            measured: Iterable[tuple[np.ndarray, float]] = zip(whole, scores, strict=True)
        else:
            measured = (measure_tiled(self.measure, image, self.tile, self.image_size) for image in images)
        for image, (own, score) in zip(images, measured, strict=True):
            trace = self.origin.trace(image, limit)
            yield Inspection(score, limit, self.pixel_threshold, own.clip(0, 1), image, self.minimum_area, trace)


def full_size(anomaly_map: np.ndarray, height: int, width: int) -> np.ndarray:
    """A measured map ``[S, S]`` at the size of its image, float32 ``[height, width]``."""
    return cv2.resize(anomaly_map, (width, height), interpolation=cv2.INTER_LINEAR)


def finite(maps: np.ndarray, scores: list[float]) -> tuple[np.ndarray, list[float]]:
    """Maps and scores as they came, once they are numbers: of any other no image would be found anomalous.

    Raises:
        UserError: for values that are not finite.
    """
    if not (np.isfinite(scores).all() and np.isfinite(maps).all()):
        raise UserError("The model gives values that are not finite: it is damaged. Restore it or train again.")
    return maps, scores


def check_threshold(value: float) -> None:
    """Refuse what is no score.

    Raises:
        UserError: for a threshold outside 0..1.
    """
    if not 0 <= value <= 1:
        raise UserError(f"A threshold is a score in 0..1, not {value:g}.")
