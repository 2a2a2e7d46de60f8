"""An exported inspector: the same answers as a trained run's, from another program."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from realnet.calibration import read_calibration
from realnet.data import resize_image
from realnet.errors import UserError
from realnet.inspection.judging import Judge, finite
from realnet.inspection.trace import Origin
from realnet.runtime.engines import Engine, open_engine
from realnet.runtime.manifest import Manifest, read_manifest


class ExportedInspector(Judge):
    """An exported graph with its thresholds. Made by :func:`load_exported`, and by ``realnet.load``.

    Args:
        engine: runs the graph.
        manifest: what the export says of itself.
    """

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        super().__init__(manifest.threshold, manifest.pixel_threshold)
        self.origin = Origin(manifest.digest)
        self.engine, self.manifest = engine, manifest

    @property
    def image_size(self) -> int:
        """As :attr:`Judge.image_size`."""
        return self.manifest.image_size

    @property
    def tile(self) -> int | None:
        """As :attr:`Judge.tile`."""
        return self.manifest.tile

    def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        """As :meth:`Judge.measure`."""
        maps, scores = self.engine(to_batch([resize_image(image, self.manifest.image_size) for image in images]))
        return finite(maps, scores.tolist())


def to_batch(images: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 ``[S, S, 3]`` RGB images as what a graph takes: float32 ``[N, 3, S, S]`` in 0..1."""
    stacked = np.ascontiguousarray(np.stack(list(images)).transpose(0, 3, 1, 2))
    return stacked.astype(np.float32) / np.float32(255)


def load_exported(folder: str | Path, device: str = "cpu") -> ExportedInspector:
    """Load the folder that ``realnet export`` wrote.

    Args:
        device: see :func:`realnet.runtime.engines.open_engine`.

    Raises:
        UserError: for a folder that is no export, a damaged one, an absent package or device.
    """
    place = Path(folder)
    if not place.is_dir():
        raise UserError(f"There is no export {place}: give the --output folder of `realnet export`.")
    manifest = read_manifest(place)
    inspector = ExportedInspector(open_engine(place, manifest, device), manifest)
    if (calibration := read_calibration(place)) is not None:
        inspector.follow(calibration)
    return inspector
