"""The arrangement of the reconstruction networks over the layers (App. C.4, Fig. S2)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import ReconstructionConfig
from realnet.model.subspace import Subspace
from realnet.model.unet import SimpleUNet, UNet

NETWORKS: dict[str, type[UNet] | type[SimpleUNet]] = {"unet": UNet, "simple": SimpleUNet}


def layer_groups(architecture: str, layers: int) -> list[tuple[int, ...]]:
    """Which layers each network reconstructs together.

    A: each its own. B: all in one, on the finest grid. C: neighbouring pairs, on the finer grid of the two; the
    coarsest of an odd number of layers stays alone.
    """
    if architecture == "A":
        return [(k,) for k in range(layers)]
    if architecture == "B":
        return [tuple(range(layers))]
    return [tuple(range(k, min(k + 2, layers))) for k in range(0, layers, 2)]


class Reconstruction(nn.Module):
    """The networks {G_1, ..., G_K}, which infer the features of the good image from those of the anomalous one.

    Shapes:
        input: a list of selected features ``[B, m_k, h_k, w_k]``, finest first.
        output of :meth:`align` and :meth:`forward`: one tensor a network, ``[B, sum of its m_k, h, w]``.

    Args:
        dimensions: m_k.
        grids: ``(h_k, w_k)`` of images of the model's size, which a subspace is tied to.
    """

    def __init__(
        self, dimensions: Sequence[int], grids: Sequence[tuple[int, int]], config: ReconstructionConfig
    ) -> None:
        super().__init__()
        self.groups = layer_groups(config.architecture, len(dimensions))
        self.widths = [sum(dimensions[k] for k in group) for group in self.groups]
        self.solved = config.network == "subspace"
        if config.network == "subspace":
            finest = [grids[group[0]] for group in self.groups]
            self.networks = nn.ModuleList(Subspace(w, grid) for w, grid in zip(self.widths, finest, strict=True))
        else:
            self.networks = nn.ModuleList(NETWORKS[config.network](width, config) for width in self.widths)

    def align(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Bring the layers of each network to its finest grid (bilinear, align_corners) and concatenate them."""
        aligned = []
        for group in self.groups:
            size = features[group[0]].shape[-2:]
            parts = [features[group[0]]]
            parts += [F.interpolate(features[k], size=size, mode="bilinear", align_corners=True) for k in group[1:]]
            aligned.append(torch.cat(parts, 1) if len(parts) > 1 else parts[0])
        return aligned

    def forward(self, aligned: Sequence[Tensor]) -> list[Tensor]:
        """G_k of each aligned feature."""
        return [network(feature) for network, feature in zip(self.networks, aligned, strict=True)]

    def in_units(self, residuals: Sequence[Tensor]) -> list[Tensor]:
        """``residuals`` in units of good images, where the networks are subspaces and know them."""
        if not self.solved:
            return list(residuals)
        levels = [network.get_buffer("level") for network in self.networks]
        return [r / level.to(r.dtype)[:, None, None] for r, level in zip(residuals, levels, strict=True)]
