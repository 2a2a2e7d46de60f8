"""Reconstruction residuals selection, RRS (Sec. 3.3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import RrsConfig


def global_residual(residuals: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """E(A): all residuals ``[B, m_k, h_k, w_k]`` on the grid ``size``, together ``[B, sum(m_k), h', w']`` (Sec. 3.3).

    Coarser residuals are upsampled bilinearly (align_corners).
    """
    aligned = [
        residual
        if residual.shape[-2:] == size
        else F.interpolate(residual, size=size, mode="bilinear", align_corners=True)
        for residual in residuals
    ]
    return torch.cat(aligned, 1)


def top_channels(residual: Tensor, r: int, pooling: str) -> Tensor:
    """Indices ``[B, r]`` of the r channels of ``[B, m', h', w']`` with the largest global max (GMP) or mean (GAP),
    sorted.
    """
    pooled = residual.amax((2, 3)) if pooling == "max" else residual.mean((2, 3))
    return pooled.topk(r, dim=1).indices


def selected_share(residual: Tensor, typical: Tensor, mode: str, retention: float) -> Tensor:
    """RRS of one layer as weights ``[B, m, 1, 1]``: 1 for the channels that are handed on, otherwise 0.

    Args:
        residual: E_k in units of good images, ``[B, m, h, w]``.
        typical: what the maximum of a channel usually is on a good image, ``[m]``; that of the mean is 1.
        mode: ``max``, ``mean``, ``max&mean`` (the union of half as many of each) or ``off``.
        retention: P, the share of the channels.
    """
    channels = int(residual.shape[1])  # a converter that traces has tensors for sizes
    if mode == "off":
        return torch.ones_like(residual[:, :, :1, :1])
    largest = residual.amax((2, 3)) / typical.to(residual.dtype)
    mean = residual.mean((2, 3))
    r = min(channels, max(2, round(channels * retention)))
    halves = {"max": [(largest, r)], "mean": [(mean, r)]}.get(mode, [(largest, max(1, r // 2)), (mean, r - r // 2)])
    kept = torch.zeros_like(mean, dtype=torch.bool)
    for pooled, count in halves:
        # A comparison instead of indices: every converter knows it, and it needs no scattering.
        kept = kept | (pooled >= pooled.topk(count, dim=1).values[:, -1:])
    return kept.to(residual.dtype)[:, :, None, None]


class RRS(nn.Module):
    """E_RRS(A, r): of each sample the residual channels that carry most anomalous information.

    ``max&mean`` concatenates E_max(A, r/2) and E_avg(A, r/2) (an odd r gives the mean the larger half). A
    BatchNorm without affine parameters only ranks the channels; what is handed on is not normalised (App. B).

    Shapes:
        input: ``[B, channels, h', w']``; output: ``[B, r, h', w']``.
    """

    def __init__(self, channels: int, config: RrsConfig) -> None:
        super().__init__()
        self.mode = config.mode
        self.r = channels if config.mode == "off" else max(2, round(channels * config.retention))
        self.r = min(self.r, channels)
        self.ranking = nn.BatchNorm2d(channels, momentum=config.momentum, affine=False)

    def forward(self, residual: Tensor) -> Tensor:
        """Select the channels of ``residual``."""
        with torch.no_grad():
            ranked = self.ranking(residual)
        if self.mode == "off":
            return residual
        half = self.r // 2
        halves = [("max", half), ("mean", self.r - half)] if self.mode == "max&mean" else [(self.mode, self.r)]
        index = torch.cat([top_channels(ranked, count, pooling) for pooling, count in halves], 1)
        return residual.gather(1, index[:, :, None, None].expand(-1, -1, *residual.shape[-2:]))
