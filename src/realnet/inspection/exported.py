"""An exported inspector: the same answers as a trained run's, from another program."""

from collections.abc import Sequence

import numpy as np

from realnet.data import resize_image
from realnet.errors import UserError
from realnet.inspection.engines import Engine, open_engine
from realnet.inspection.judging import Judge, finite
from realnet.inspection.trace import Origin
from realnet.manifest import Manifest
from realnet.run_folder import Run
from realnet.view import View, find_reference, view_of


class ExportedInspector(Judge):
    """An exported graph with its thresholds. Made by :func:`realnet.load`."""

    def __init__(self, engine: Engine, manifest: Manifest, view: View | None = None) -> None:
        super().__init__(
            manifest.image_size, manifest.threshold, manifest.pixel_threshold, 0, manifest.tile, manifest.levels,
            manifest.discriminator, view,
        )  # fmt: skip
        self.origin = Origin(manifest.digest)
        self.engine, self.manifest = engine, manifest

    def after_fork(self) -> None:
        """It cannot be used: a graph opened anew would wait for threads that stayed in the first process."""
        program = "ONNX Runtime" if self.manifest.format == "onnx" else "OpenVINO"
        raise UserError(
            f"{program} cannot go on in a process that was forked off: load the inspector in the worker, or start "
            'workers with multiprocessing.get_context("spawn").'
        )

    @property
    def bytes_held(self) -> int:
        """As :attr:`Judge.bytes_held`: programs keep the file's numbers, and about as much to compute with."""
        return 2 * sum(file.length for file in self.manifest.files)

    def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        """As :meth:`Judge.measure`."""
        maps, scores = self.engine(to_batch([resize_image(image, self.manifest.image_size) for image in images]))
        return finite(maps, scores.tolist())


def to_batch(images: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 ``[S, S, 3]`` RGB images as what a graph takes: float32 ``[N, 3, S, S]`` in 0..1."""
    batch = np.stack(list(images)).transpose(0, 3, 1, 2).astype(np.float32, order="C")
    batch /= np.float32(255)
    return batch


def exported_inspector(run: Run, device: str = "auto") -> ExportedInspector:
    """The inspector of an export, as :func:`realnet.load` gives it; ``device`` and errors as for `open_engine`."""
    view = view_of(find_reference(run.folder, run.manifest.view))
    inspector = ExportedInspector(open_engine(run.folder, run.manifest, device), run.manifest, view)
    if run.calibration is not None:
        inspector.follow(run.calibration)
    return inspector
