"""The head of confirmed defects: linear in what the residuals say, and there only where a run was taught defects."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FOLDS = 2
"""Heads, each fitted without half of the good images, so that every good image can be judged by one of them."""


class ConfirmedHead(nn.Module):
    """Two linear heads on log(1 + E) of every channel, on the finest residual's grid, and their level on good images.

    Head j has not seen the good images whose number leaves the remainder j; an image that is new to both is judged by
    their mean. Each layer is weighed before it is enlarged: that commutes with bilinear interpolation.

    Shapes:
        input: a list of ``[B, m_k, h_k, w_k]``, finest first; output: logits ``[B, 2, h_1, w_1]``.
    """

    offset: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(channels)
        for k, c in enumerate(channels):
            self.register_buffer(f"weight_{k}", torch.zeros(FOLDS, c))
        self.register_buffer("offset", torch.zeros(FOLDS))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, logs: Sequence[Tensor]) -> Tensor:
        """Logits of log(1 + E) by each head."""
        height, width = logs[0].shape[-2:]
        total: Tensor = self.offset[:, None, None]
        for k, log in enumerate(logs):
            own = F.conv2d(log, self.get_buffer(f"weight_{k}")[:, :, None, None])
            if k:
                own = F.interpolate(own, size=(height, width), mode="bilinear", align_corners=False)
            total = total + own
        return total

    def standardised(self, logits: Tensor) -> Tensor:
        """Logits in deviations of good images'."""
        return (logits - self.mean) * self.scale

    @torch.no_grad()
    def set_heads(self, weights: Tensor, offsets: Tensor) -> None:
        """Set the heads to ``weights`` ``[2, sum of m_k]`` and ``offsets`` ``[2]``."""
        for k, part in enumerate(weights.split(self.channels, 1)):
            self.get_buffer(f"weight_{k}").copy_(part)
        self.offset.copy_(offsets)
