"""RealNet: backbone, feature selection, reconstruction, residuals selection and discriminator in one module."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import Config, ModelConfig
from realnet.errors import UserError
from realnet.model.backbone import Backbone
from realnet.model.discriminator import Discriminator
from realnet.model.lanes import Lanes
from realnet.model.reconstruction import Reconstruction
from realnet.model.residuals import ResidualSelection, global_residual
from realnet.model.selection import FeatureSelection


class Output(NamedTuple):
    """What training needs of one pass: logits ``[B, 2, H, W]`` and the reconstructions, one a network."""

    logits: Tensor
    reconstructions: list[Tensor]


class RealNet(nn.Module):
    """The whole inspector as an ``nn.Module``: image in, anomaly map out.

    Shapes:
        input: ``[B, 3, H, W]``, RGB in 0..1, H and W divisible by 32.
        output: anomaly map ``[B, 1, H, W]`` in 0..1, the probability of "anomalous" of each pixel.

    Args:
        config: a whole :class:`~realnet.config.Config` (as in ``presets``) or its ``model`` part.
        pretrained: load the backbone's ImageNet weights (see :class:`~realnet.model.backbone.Backbone`).
        seed: draws the random selections (``rdr``, ``rlpr``) and the initial weights; default: the config's.

    Raises:
        UserError: for a configuration that no network can be built of.

    Example:
        >>> import torch
        >>> from realnet import RealNet, presets
        >>> model = RealNet(presets["lite"], pretrained=False).eval()
        >>> model(torch.rand(1, 3, 64, 64)).shape
        torch.Size([1, 1, 64, 64])
    """

    def __init__(self, config: Config | ModelConfig, pretrained: bool = True, seed: int | None = None) -> None:
        super().__init__()
        model = config.model if isinstance(config, Config) else config
        if seed is None:
            seed = config.seed if isinstance(config, Config) else 0
        self.config = model
        self.backbone = Backbone(model.backbone, pretrained)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(seed)
            try:
                self.selection = FeatureSelection(self.backbone.channels, model.afs, generator)
            except ValueError as error:
                raise UserError(f"{error}; lower it with --set.") from error
            dimensions = self.selection.dimensions
            self.reconstruction = Reconstruction(dimensions, model.reconstruction)
            widths = [sum(dimensions[k] for k in group) for group in self.reconstruction.groups]
            self.residual_selection = ResidualSelection(widths, model.rrs)
            evidence = len(widths) if model.rrs.compress else 0
            self.discriminator = Discriminator(self.residual_selection.out_channels, model.discriminator, evidence)

    def select(self, image: Tensor) -> list[Tensor]:
        """All that is frozen of ``image``, and that training caches: the selected, aligned features, one tensor a
        network, followed by their projections where the reconstruction has prototypes.
        """
        return self.select_from(self.backbone.extract(image))

    def select_from(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Likewise of the backbone's raw ``features``."""
        aligned = self.reconstruction.align(self.selection(self.backbone.standardised(features)))
        return aligned + self.reconstruction.project(aligned)

    def discriminate(self, features: Sequence[Tensor], size: tuple[int, int]) -> Output:
        """Reconstruct selected features and judge their residuals E_k = [phi_k(A) - G_k(phi_k(A))]^2.

        Args:
            features: as :meth:`select` returns them.
            size: the image's ``(H, W)``.
        """
        count = len(self.reconstruction.networks)
        # What a network sees is the last of what was selected: the features, or their projections where there are any.
        reconstructions = self.reconstruction(features[-count:])
        residuals = [(f - r).square() for f, r in zip(features[:count], reconstructions, strict=True)]
        grid = tuple(residuals[0].shape[-2:])
        stride = self.config.discriminator.stride
        if stride is not None:
            grid = (size[0] // stride, size[1] // stride)
        selected = self.residual_selection(global_residual(residuals, (grid[0], grid[1])))
        return Output(self.discriminator(selected, size), reconstructions)

    def forward(self, image: Tensor) -> Tensor:
        """Anomaly map of ``image``."""
        height, width = image.shape[-2:]
        if image.ndim != 4 or image.shape[1] != 3 or height % 32 or width % 32:
            raise ValueError(f"RealNet takes [B, 3, H, W] with H and W divisible by 32, not {tuple(image.shape)}")
        logits = self.discriminate(self.select(image), (height, width)).logits
        return logits.softmax(1)[:, 1:]


@torch.no_grad()
def predict(model: RealNet, images: Sequence[np.ndarray], lanes: Lanes | None = None) -> np.ndarray:
    """Anomaly maps float32 ``[N, size, size]`` of images uint8 ``[size, size, 3]`` RGB, by a model in eval mode.

    Args:
        lanes: divide the images among threads.
    """
    device = next(model.buffers()).device
    batch = torch.from_numpy(np.stack(list(images))).to(device).permute(0, 3, 1, 2).float().div_(255)
    batch = batch.contiguous(memory_format=torch.channels_last)
    found = model(batch) if lanes is None else lanes(model, batch)
    return found[:, 0].float().cpu().numpy()


def measure(
    model: RealNet, kind: str, images: Sequence[np.ndarray], lanes: Lanes | None = None
) -> tuple[np.ndarray, list[float]]:
    """Anomaly maps ``[N, size, size]`` as :func:`predict`, and image scores as :func:`image_score`."""
    maps = predict(model, images, lanes)
    return maps, image_score(torch.from_numpy(maps)[:, None], kind).tolist()


def image_score(anomaly_map: Tensor, kind: str) -> Tensor:
    """Image-level score of ``anomaly_map`` ``[B, 1, H, W]``: ``[B]``.

    ``max`` is the paper's (Sec. 3.3), ``pooled16`` the released code's: the maximum after a 16x16 average, stride 1.
    """
    if kind == "pooled16":
        # The mean of 16x16 is the mean of 16 means of 16.
        anomaly_map = F.avg_pool2d(F.avg_pool2d(anomaly_map, (16, 1), stride=1), (1, 16), stride=1)
    elif kind != "max":
        raise ValueError(f"unknown image score {kind!r}: use max or pooled16")
    return anomaly_map.flatten(1).amax(1)
