"""What every inspector does with images, whatever runs its network; imports no torch."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realnet.calibration import Calibration
from realnet.config import DiscriminatorKind
from realnet.data import image_from_array, measure_tiled, read_image
from realnet.data.levels import Levels
from realnet.errors import UserError
from realnet.inspection.inspection import Inspection
from realnet.inspection.trace import Origin
from realnet.view import Looked, View


class Judge(ABC):
    """Thresholds, and images in any form judged by them.

    Args:
        threshold: of the image score.
        pixel_threshold: of the anomaly map.
        minimum_area: of a defect, in pixels of the image; 0: any.
        view: where it looks; None: at whole images as they are.

    ``origin`` says which model and calibration these are, for the results.
    """

    def __init__(
        self, threshold: float, pixel_threshold: float, minimum_area: int = 0, view: View | None = None
    ) -> None:
        self.threshold, self.pixel_threshold, self.minimum_area = threshold, pixel_threshold, minimum_area
        self.origin = Origin()
        self.view = view
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _process=os.getpid())

    def _settle(self) -> None:
        """Make ready for a process that was forked off since the inspector was made: its threads stayed behind."""
        if self._process != os.getpid():
            self.after_fork()
            self._process = os.getpid()

    def after_fork(self) -> None:
        """What the engine needs in a forked process before it is used there.

        Raises:
            UserError: where it cannot be used there.
        """
        cv2.setNumThreads(0)

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side S of the square that the network sees, in pixels."""

    @property
    @abstractmethod
    def tile(self) -> int | None:
        """Side in pixels of the tiles that images are cut into; None: they are judged whole."""

    @property
    @abstractmethod
    def levels(self) -> Levels | None:
        """The stored values that are black and white in images of more than 8 bits; None: each type's own."""

    @property
    def discriminator(self) -> DiscriminatorKind:
        """The kind of discriminator, which bounds the threshold of the anomaly map."""
        return "paper"

    @abstractmethod
    def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        """Anomaly maps float32 ``[N, S, S]`` in 0..1 and image scores of uint8 ``[h, w, 3]`` images of any size.

        The images are what :meth:`look` lets the network see.
        """

    def look(self, image: Any, name: str | None = None) -> Looked:
        """An image made ready: read, aligned and cut as the inspector's view says.

        Args:
            image: as for :meth:`inspect`.
            name: what an error calls it; default: its path.

        Raises:
            UserError: for a file that cannot be read, or an image that cannot be aligned.
        """
        if isinstance(image, Looked):
            return image
        named = isinstance(image, str | Path)
        pixels = read_image(image, levels=self.levels) if named else image_from_array(image, self.levels)
        if self.view is None:
            return Looked(pixels, pixels)
        return self.view.look(pixels, name or (str(image) if named else "The image"))

    def follow(self, calibration: Calibration) -> None:
        """Take the thresholds of ``calibration``, and name it in results from now on."""
        self.threshold, self.pixel_threshold = calibration.score, calibration.pixel
        self.origin = Origin(self.origin.model_digest, calibration.version, calibration.score)

    def inspect(self, image: Any, threshold: float | None = None) -> Inspection:
        """Judge one image: a path, or what :func:`realnet.data.image_from_array` takes (PIL image, array, tensor).

        Values of more than 8 bits are read by the run's levels. Or one that :meth:`look` has made ready.

        Args:
            threshold: of the image score, for this image; default: the inspector's.

        Raises:
            UserError: for a file that cannot be read, an image that cannot be aligned, or a threshold outside 0..1.
        """
        return next(self.inspect_many([image], threshold=threshold))

    def inspect_many(
        self, images: Iterable[Any], batch_size: int = 8, threshold: float | None = None
    ) -> Iterator[Inspection]:
        """Judge images, in order, a batch at a time; they may differ in size. Otherwise as :meth:`inspect`."""
        if threshold is not None:
            check_threshold(threshold)
        self._settle()
        batch: list[Looked] = []
        for image in images:
            batch.append(self.look(image))
            if len(batch) == batch_size:
                yield from self._judge(batch, threshold)
                batch = []
        if batch:
            yield from self._judge(batch, threshold)

    def __call__(self, images: Any, batch_size: int = 8, threshold: float | None = None) -> list[dict[str, Any]]:
        """Judge several images, and give a row for each: ``pandas.DataFrame(inspector(images))`` is a table.

        As :func:`realnet.inspection.calling.judge_rows`, whose arguments these are.
        """
        from realnet.inspection.calling import judge_rows

        return judge_rows(self, images, batch_size, threshold)

    def __repr__(self) -> str:
        size = f"{self.image_size}x{self.image_size} pixels"
        return f"<{type(self).__name__}: {size}, threshold {self.threshold:.4f}>"

    def _judge(self, images: Sequence[Looked], threshold: float | None) -> Iterator[Inspection]:
        limit = self.threshold if threshold is None else threshold
        if self.tile is None:
            maps, scores = self.measure([image.seen for image in images])
            whole = (full_size(map_, *image.seen.shape[:2]) for map_, image in zip(maps, images, strict=True))
            measured: Iterable[tuple[np.ndarray, float]] = zip(whole, scores, strict=True)
        else:
            measured = (measure_tiled(self.measure, image.seen, self.tile, self.image_size) for image in images)
        for image, (own, score) in zip(images, measured, strict=True):
            trace = self.origin.trace(image.image, limit)
            yield Inspection(
                score, limit, self.pixel_threshold, image.restore(own).clip(0, 1), image.image, self.minimum_area,
                image.inside, image.alignment, trace,
            )  # fmt: skip


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
        UserError: for a threshold outside 0..1, also what is no number.
    """
    if not 0 <= value <= 1:
        raise UserError(f"A threshold is a score in 0..1, not {value:g}.")
