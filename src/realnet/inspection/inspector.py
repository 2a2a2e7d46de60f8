"""The trained inspector: one image in, score, verdict and anomaly map out."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from realnet.calibration import read_calibration
from realnet.config import Config
from realnet.data import image_from_array, read_image, resize_image
from realnet.errors import UserError
from realnet.inspection.inspection import Inspection
from realnet.model.network import RealNet, image_score, predict
from realnet.model.saving import METRICS_FILE, load_model, read_metrics


class Inspector:
    """A model with its thresholds. Made by :func:`load`.

    Args:
        model: in eval mode.
        config: the run's.
        threshold: of the image score.
        pixel_threshold: of the anomaly map.
        minimum_area: of a defect, in pixels of the image; 0: any.
    """

    def __init__(
        self, model: RealNet, config: Config, threshold: float, pixel_threshold: float, minimum_area: int = 0
    ) -> None:
        self.model = model.eval()
        self.config, self.threshold, self.pixel_threshold = config, threshold, pixel_threshold
        self.minimum_area = minimum_area

    def inspect(self, image: Any) -> Inspection:
        """Judge one image: a path, a PIL image, or an array (grey, RGB or RGBA; 8 or 16 bits, or float 0..1).

        Raises:
            UserError: for a file that cannot be read.
        """
        return next(self.inspect_many([image]))

    def inspect_many(self, images: Iterable[Any], batch_size: int = 8) -> Iterator[Inspection]:
        """Judge images, in order, a batch at a time; they may differ in size."""
        batch: list[np.ndarray] = []
        for image in images:
            batch.append(read_image(image) if isinstance(image, str | Path) else image_from_array(image))
            if len(batch) == batch_size:
                yield from self._judge(batch)
                batch = []
        if batch:
            yield from self._judge(batch)

    def _judge(self, images: Sequence[np.ndarray]) -> Iterator[Inspection]:
        size = self.config.model.image_size
        maps = predict(self.model, [resize_image(image, size) for image in images])
        scores = image_score(torch.from_numpy(maps)[:, None], self.config.model.image_score)
        for image, anomaly_map, score in zip(images, maps, scores.tolist(), strict=True):
            height, width = image.shape[:2]
            own = cv2.resize(anomaly_map, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)
            yield Inspection(score, self.threshold, self.pixel_threshold, own, image, self.minimum_area)


def load(run: str | Path, device: str | torch.device = "cpu") -> Inspector:
    """Load a trained run as an inspector.

    Args:
        run: the ``--output`` folder of ``realnet train``.
        device: ``cpu``, ``cuda``, ...

    Raises:
        UserError: for a folder that is no finished run, or is damaged.

    Example:
        >>> from realnet import load  # doctest: +SKIP
        >>> load("runs/bottle").inspect("photo.png").is_anomalous  # doctest: +SKIP
    """
    folder = Path(run)
    if not folder.is_dir():
        raise UserError(f"There is no run {folder}: give the --output folder of `realnet train`.")
    model, config = load_model(folder, device)
    return Inspector(model, config, *read_thresholds(folder))


def read_thresholds(run: Path) -> tuple[float, float]:
    """The thresholds of image score and anomaly map that a run was calibrated to.

    Raises:
        UserError: where neither its ``calibration.json`` nor its ``metrics.json`` has them, or they are damaged.
    """
    calibration = read_calibration(run)
    if calibration is not None:
        return calibration.score, calibration.pixel
    try:
        threshold = read_metrics(run)["threshold"]
        return float(threshold["score"]), float(threshold["pixel"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{run / METRICS_FILE} names no threshold; restore it or train again.") from error
