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
    BatchNorm without affine parameters only ranks the channels; what is handed on is not normalised (App. B).

    Shapes:
        input: ``[B, m', h', w']``; output: ``[B, r, h', w']``.
    """

    def __init__(self, channels: int, config: ResidualsConfig) -> None:
        super().__init__()
        self.mode = config.mode
        self.r = channels if config.mode == "off" else max(2, round(channels * config.retention))
        self.r = min(self.r, channels)
        self.ranking = nn.BatchNorm2d(channels, momentum=config.momentum, affine=False)

    def forward(self, residual: Tensor) -> Tensor:
        """Select the channels of ``residual``."""
        if self.mode == "off":
            return residual
        with torch.no_grad():
            ranked = self.ranking(residual)
            if self.mode == "max&mean":
                half = self.r // 2
                index = torch.cat([top_channels(ranked, half, "max"), top_channels(ranked, self.r - half, "mean")], 1)
            else:
                index = top_channels(ranked, self.r, self.mode)
        return residual.gather(1, index[:, :, None, None].expand(-1, -1, *residual.shape[-2:]))
