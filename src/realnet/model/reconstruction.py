"""The arrangement of the reconstruction networks over the layers (App. C.4, Fig. S2)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import ReconstructionConfig
from realnet.model.prototypes import Prototypes
from realnet.model.unet import SimpleUNet, SlimUNet, UNet

NETWORKS: dict[str, type[UNet] | type[SimpleUNet] | type[SlimUNet]] = {
    "unet": UNet,
    "simple": SimpleUNet,
    "slim": SlimUNet,
}


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
    """

    def __init__(self, dimensions: Sequence[int], config: ReconstructionConfig) -> None:
        super().__init__()
        self.groups = layer_groups(config.architecture, len(dimensions))
        network = NETWORKS[config.network]
        widths = [sum(dimensions[k] for k in group) for group in self.groups]
        self.networks = nn.ModuleList(network(width, config) for width in widths)
        counts = [max(8, config.prototypes * width // max(widths)) for width in widths if config.prototypes]
        self.prototypes = nn.ModuleList(Prototypes(w, count) for w, count in zip(widths, counts, strict=False))

    def align(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Bring the layers of each network to its finest grid (bilinear, align_corners) and concatenate them."""
        aligned = []
        for group in self.groups:
            size = features[group[0]].shape[-2:]
            parts = [features[group[0]]]
            parts += [F.interpolate(features[k], size=size, mode="bilinear", align_corners=True) for k in group[1:]]
            aligned.append(torch.cat(parts, 1) if len(parts) > 1 else parts[0])
        return aligned

    def project(self, aligned: Sequence[Tensor]) -> list[Tensor]:
        """The aligned features projected onto the prototypes; nothing where there are none."""
        return [p(feature) for p, feature in zip(self.prototypes, aligned, strict=False)]

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """G_k of each aligned feature; given projections, each network adds a correction to its own."""
        outputs = [network(feature) for network, feature in zip(self.networks, inputs, strict=True)]
        if not self.prototypes:
            return outputs
        return [feature + output for feature, output in zip(inputs, outputs, strict=True)]
