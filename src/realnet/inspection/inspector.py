"""The trained inspector: one image in, score, verdict and anomaly map out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from realnet.config import Config
from realnet.data import resize_image
from realnet.errors import UserError
from realnet.inspection.judging import Judge, finite
from realnet.inspection.trace import Origin
from realnet.model.devices import choose_device
from realnet.model.folding import fold_batch_norms
from realnet.model.network import RealNet, measure
from realnet.model.saving import load_model
from realnet.model.threads import Threads
from realnet.run_folder import Run
from realnet.view import view_of


class Inspector(Judge):
    """A model with its thresholds. Made by :func:`load`.

    Args:
        model: in eval mode.
        config: the run's.
        threshold: of the image score.
        pixel_threshold: of the anomaly map.
        minimum_area: of a defect, in pixels of the image; 0: any.
        threads: divide the images of a batch among them.
    """

    def __init__(
        self,
        model: RealNet,
        config: Config,
        threshold: float = 0.5,
        pixel_threshold: float = 0.5,
        minimum_area: int = 0,
        threads: Threads | None = None,
    ) -> None:
        net, levels = config.model, config.data.pair
        super().__init__(
            net.image_size, threshold, pixel_threshold, minimum_area, net.tile, levels, net.discriminator.kind,
            view_of(net.view, levels),
        )  # fmt: skip
        self.model, self.config, self._threads = model.eval(), config, threads

    def after_fork(self) -> None:
        """As :meth:`Judge.after_fork`: torch goes on with one thread, as the others stayed in the first process."""
        if next(self.model.buffers()).device.type != "cpu":
            raise UserError(
                "This inspector is on a GPU, which a forked process cannot use: load it in the worker, or start "
                'workers with multiprocessing.get_context("spawn").'
            )
        super().after_fork()
        torch.set_num_threads(1)

    def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        """As :meth:`Judge.measure`."""
        resized = [resize_image(image, self.image_size) for image in images]
        return finite(*measure(self.model, resized, self._threads))


def load(folder: str | Path, device: str | torch.device = "auto") -> Inspector:
    """Load a trained run as an inspector.

    Args:
        folder: the ``--output`` folder of ``realnet train``.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        UserError: for a folder that is no finished run, or is damaged.

    Example:
        >>> from realnet import load  # doctest: +SKIP
        >>> load("runs/bottle").inspect("photo.png").is_anomalous  # doctest: +SKIP
    """
    run = Run(Path(folder))
    if not run.folder.is_dir():
        raise UserError(f"There is no run {folder}: give the --output folder of `realnet train`.")
    model, size = load_model(run, choose_device(device)), run.config.model.image_size
    fold_batch_norms(model, next(model.buffers()).new_zeros(1, 3, size, size))
    inspector = Inspector(model, run.config, *run.thresholds, threads=Threads())
    inspector.origin = Origin(run.digest)
    if run.calibration is not None:
        inspector.follow(run.calibration)
    return inspector
