"""Full-size anomaly images from a diffusion model of smaller ones: what changed is the model's, fine detail stays."""

import torch
from torch import Tensor
from torch.nn import functional as F

# A difference of so many grey levels (of 255) between sample and good image is no longer the same thing seen twice.
_SAME_LEVELS = 24.0


def with_detail(small: Tensor, good: Tensor) -> Tensor:
    """Samples at the size of the good images they started from, with those images' detail where both show the same.

    P = up(x) + w (I - up(down(I))), w = exp(-(|x - down(I)| / tau)^2), the difference being the mean over colours and
    3x3 pixels: where the sample put something else, the good image's edges must not shine through. x is ``small``,
    ``[B, 3, s, s]``, I ``good`` and P the result, ``[B, 3, S, S]``, all in -1..1, S a multiple of s.
    """
    if good.shape == small.shape:
        return small
    size = (good.shape[-2], good.shape[-1])
    lowered = shrunk(good, small.shape[-1])
    changed = (small - lowered).abs().mean(1, keepdim=True)
    difference = F.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    weight = torch.exp(-(difference * (127.5 / _SAME_LEVELS)).square())
    detail = good - _enlarged(lowered, size)
    return (_enlarged(small, size) + _enlarged(weight, size) * detail).clamp(-1, 1)


def shrunk(images: Tensor, size: int) -> Tensor:
    """``[B, 3, S, S]`` at ``[B, 3, size, size]``, areas averaged; S is a multiple of ``size``."""
    return images if images.shape[-1] == size else F.avg_pool2d(images, images.shape[-1] // size)


def _enlarged(images: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(images, size=size, mode="bicubic", align_corners=False)
