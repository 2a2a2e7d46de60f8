"""Reconstruction residuals selection, RRS (Sec. 3.3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import ResidualsConfig


def global_residual(residuals: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """E(A): all residuals on one grid, concatenated channel-wise (Sec. 3.3).

    Coarser residuals are upsampled bilinearly (align_corners); a residual finer than ``size`` (only where the
    discriminator works on a coarser grid than the paper's) is averaged down.

    Args:
        residuals: E_k, ``[B, m_k, h_k, w_k]``.
        size: the grid ``(h', w')``.

    Returns:
        ``[B, sum(m_k), h', w']``.
    """
    aligned = []
    for residual in residuals:
        height, width = residual.shape[-2:]
        if (height, width) == size:
            aligned.append(residual)
        elif height > size[0]:
            aligned.append(F.avg_pool2d(residual, (height // size[0], width // size[1])))
        else:
            aligned.append(F.interpolate(residual, size=size, mode="bilinear", align_corners=True))
    return torch.cat(aligned, 1)


def top_channels(residual: Tensor, r: int, pooling: str) -> Tensor:
    """Indices ``[B, r]`` of the r channels with the largest global maximum (GMP) or mean (GAP), largest first.

    Args:
        residual: ``[B, m', h', w']``.
        r: how many.
        pooling: ``max`` or ``mean``.
    """
    pooled = residual.amax((2, 3)) if pooling == "max" else residual.mean((2, 3))
    return pooled.topk(r, dim=1).indices


class ResidualSelection(nn.Module):
    """E_RRS(A, r): of each sample the residual channels that carry most anomalous information.

    ``max&mean`` concatenates E_max(A, r/2) and E_avg(A, r/2) (an odd r gives the mean the larger half). A
    BatchNorm without affine parameters only ranks the channels; what is handed on is not normalised (App. B),
    unless ``compress`` is set: then log(1 + E / running mean), followed by the mean of it over each layer.

    Shapes:
        input: ``[B, sum(widths), h', w']``; output: ``[B, out_channels, h', w']``.

    Args:
        widths: residual channels of each layer.
        config: mode, retention, compression.
    """

    def __init__(self, widths: Sequence[int], config: ResidualsConfig) -> None:
        super().__init__()
        channels = sum(widths)
        self.widths, self.compress = tuple(widths), config.compress
        self.mode = config.mode
        self.r = channels if config.mode == "off" else max(2, round(channels * config.retention))
        self.r = min(self.r, channels)
        self.out_channels = self.r + (len(self.widths) if self.compress else 0)
        self.ranking = nn.BatchNorm2d(channels, momentum=config.momentum, affine=False)

    def forward(self, residual: Tensor) -> Tensor:
        """Select the channels of ``residual``."""
        with torch.no_grad():
            index = self._index(self.ranking(residual))
        if not self.compress:
            return residual if index is None else _gather(residual, index)
        level = self.ranking.running_mean
        assert level is not None
        compressed = torch.log1p(residual / level.clamp_min(1e-3)[:, None, None])
        means = [part.mean(1, keepdim=True) for part in compressed.split(self.widths, 1)]
        return torch.cat([compressed if index is None else _gather(compressed, index), *means], 1)

    def _index(self, ranked: Tensor) -> Tensor | None:
        """Which channels to hand on, ``[B, r]``; None for all."""
        if self.mode == "off":
            return None
        if self.mode == "max&mean":
            half = self.r // 2
            return torch.cat([top_channels(ranked, half, "max"), top_channels(ranked, self.r - half, "mean")], 1)
        return top_channels(ranked, self.r, self.mode)


def _gather(residual: Tensor, index: Tensor) -> Tensor:
    return residual.gather(1, index[:, :, None, None].expand(-1, -1, *residual.shape[-2:]))
