"""The trained inspector: one image in, score, verdict and anomaly map out."""

from collections.abc import Sequence

import numpy as np
import torch

from realnet.config import Config
from realnet.data import resize_image
from realnet.errors import UserError
from realnet.inspection.judging import Judge, finite
from realnet.inspection.trace import Origin
from realnet.model.devices import choose_device
from realnet.model.folding import fold
from realnet.model.joined import JoinedNet
from realnet.model.network import RealNet
from realnet.model.saving import Backbones, load_network
from realnet.model.threads import Threads
from realnet.run_folder import Run
from realnet.view import view_of


class Inspector(Judge):
    """A model with its thresholds, as of :class:`Judge`; ``threads`` divide a batch. Made by :func:`realnet.load`."""

    def __init__(
        self,
        model: RealNet | JoinedNet,
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

    @property
    def bytes_held(self) -> int:
        """As :attr:`Judge.bytes_held`: all tensors but those of the backbone."""
        named = [*self.model.named_parameters(), *self.model.named_buffers()]
        return sum(t.numel() * t.element_size() for name, t in named if "backbone.network." not in name)

    def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        """As :meth:`Judge.measure`."""
        resized = [resize_image(image, self.image_size) for image in images]
        return finite(*measure(self.model, resized, self._threads))


@torch.no_grad()
def measure(
    model: RealNet | JoinedNet, images: Sequence[np.ndarray], lanes: Threads | None = None
) -> tuple[np.ndarray, list[float]]:
    """Anomaly maps float32 ``[N, size, size]`` and scores of images uint8 ``[size, size, 3]`` RGB, in eval mode."""
    device = next(model.buffers()).device
    batch = torch.from_numpy(np.stack(list(images))).to(device).permute(0, 3, 1, 2).float().div_(255)
    batch = batch.contiguous(memory_format=torch.channels_last)
    maps, scores = model.judge(batch) if lanes is None else lanes(model.judge, batch)
    return maps[:, 0].float().cpu().numpy(), scores.float().cpu().tolist()


def trained_inspector(run: Run, device: str | torch.device = "auto", backbones: Backbones | None = None) -> Inspector:
    """The inspector of a trained ``run``, as :func:`realnet.load` gives it, sharing ``backbones`` that others have.

    UserError for a run that is not finished, or is damaged.
    """
    return inspector_of(run, load_network(run, choose_device(device), backbones))


def inspector_of(run: Run, network: RealNet | JoinedNet) -> Inspector:
    """The inspector of a trained ``run`` whose ``network`` is at hand, and stays where it is; errors as there."""
    inspector = Inspector(network, run.config, *run.thresholds, threads=Threads())
    fold(inspector.model)
    inspector.origin = Origin(run.digest)
    if run.calibration is not None:
        inspector.follow(run.calibration)
    return inspector
