"""The definitions, written out with loops, and small configurations: what the tests of the model share."""

import torch
from torch import Tensor, nn

from realnet.config import Config
from realnet.overriding import override
from realnet.presets import presets

# A backbone of 0.9 M parameters and simple networks: built in a fraction of a second.
TINY = [
    "model.backbone.name=mobilenetv3_small_100",
    "model.backbone.standardise=true",
    "model.afs.dimensions=[8, 12, 16, 20]",
    "model.reconstruction.network=simple",
    "model.reconstruction.residual_blocks=1",
    "model.discriminator.widths=[16, 8, 8, 4]",
]

# The same backbone under closed-form reconstruction, at 64 pixels.
SOLVED = [
    "model.image_size=64",
    "model.image_score=top",
    "model.reconstruction.network=subspace",
    "model.discriminator.kind=evidence",
    "model.discriminator.width=8",
]


def tiny(*assignments: str) -> Config:
    """A whole configuration over the smallest backbone, with further fields replaced."""
    return override(presets["paper"], [*TINY, *assignments])


def perturb(module: nn.Module, seed: int = 0) -> None:
    """Give every parameter and statistic a value of its own: what starts at zero or one would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) * 0.2)
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))


def bilinear(image: Tensor, size: tuple[int, int]) -> Tensor:
    """``image`` ``[B, C, h, w]`` at ``size``, corners on corners, one pixel after the other."""
    h, w = image.shape[-2:]
    out = torch.empty(*image.shape[:2], *size)
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = i * (h - 1) / max(size[0] - 1, 1), j * (w - 1) / max(size[1] - 1, 1)
            top, left = min(int(y), h - 1), min(int(x), w - 1)
            bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
            fy, fx = y - top, x - left
            upper = (1 - fx) * image[:, :, top, left] + fx * image[:, :, top, right]
            lower = (1 - fx) * image[:, :, bottom, left] + fx * image[:, :, bottom, right]
            out[:, :, i, j] = (1 - fy) * upper + fy * lower
    return out
