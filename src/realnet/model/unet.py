"""The reconstruction networks G_k: the paper's U-Net with attention, and the simple one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import ReconstructionConfig


def group_norm(channels: int, groups: int = 32) -> nn.GroupNorm:
    """GroupNorm with the largest group count up to ``groups`` that divides ``channels`` (56 channels: 28)."""
    return nn.GroupNorm(max(g for g in range(1, groups + 1) if channels % g == 0), channels)


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, (resample), 3x3 convolution, plus the resampled input.

    ``resample`` is ``down`` (2x2 average), ``up`` (two transposed 4x4 convolutions, one for each path) or None.
    """

    def __init__(self, channels: int, out_channels: int, resample: str | None = None) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.conv = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)
        self.resample_h: nn.Module = nn.Identity()
        self.resample_x: nn.Module = nn.Identity()
        if resample == "down":
            self.resample_h, self.resample_x = nn.AvgPool2d(2), nn.AvgPool2d(2)
        elif resample == "up":
            self.resample_h = nn.ConvTranspose2d(channels, channels, 4, 2, 1)
            self.resample_x = nn.ConvTranspose2d(channels, channels, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, h, w]`` to ``[B, out_channels, h', w']``."""
        h = self.conv(self.resample_h(F.silu(self.norm(x))))
        return self.skip(self.resample_x(x)) + h


class SelfAttention(nn.Module):
    """Multi-head self-attention over all positions, added to its input; the output starts at zero."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        heads = max(1, channels // head_channels)
        self.heads = heads if channels % heads == 0 else 1
        self.norm = group_norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.out = nn.Conv1d(channels, channels, 1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` to the same shape."""
        b, c, height, width = x.shape
        qkv = self.qkv(self.norm(x).flatten(2)).reshape(b, self.heads, 3, c // self.heads, -1)
        q, k, v = (part.transpose(-1, -2) for part in qkv.unbind(2))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(b, c, -1)
        return x + self.out(attended).reshape(b, c, height, width)


class UNet(nn.Module):
    """The paper's reconstruction network (App. C.4): residual blocks, attention, skip connections, zero start.

    Shapes:
        input and output: ``[B, channels, h, w]``; h and w may be any size (padded to the pyramid inside).
    """

    def __init__(self, channels: int, config: ReconstructionConfig) -> None:
        super().__init__()
        widths = [max(1, int(config.width * channels)) * m for m in config.multipliers]
        self.levels = len(widths)
        width = widths[0]
        skips = [width]
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList()
        for level, out in enumerate(widths):
            for _ in range(config.residual_blocks):
                self.down.append(self._block(width, out, 2**level, config))
                width = out
                skips.append(width)
            if level < len(widths) - 1:
                self.down.append(ResidualBlock(width, width, "down"))
                skips.append(width)
        self.middle = nn.Sequential(
            ResidualBlock(width, width), SelfAttention(width, config.head_channels), ResidualBlock(width, width)
        )
        self.up = nn.ModuleList()
        for level, out in reversed(list(enumerate(widths))):
            for i in range(config.residual_blocks + 1):
                block = self._block(width + skips.pop(), out, 2**level, config)
                width = out
                if level and i == config.residual_blocks:
                    block.append(ResidualBlock(width, width, "up"))
                self.up.append(block)
        self.out = nn.Sequential(group_norm(width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))
        for parameter in self.out[2].parameters():
            nn.init.zeros_(parameter)

    @staticmethod
    def _block(width: int, out: int, downsampling: int, config: ReconstructionConfig) -> nn.Sequential:
        block = nn.Sequential(ResidualBlock(width, out))
        if downsampling in config.attention_at:
            block.append(SelfAttention(out, config.head_channels))
        return block

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct the features ``x``."""
        h = self.stem(pad_to_multiple(x, 2 ** (self.levels - 1)))
        skips = [h]
        for block in self.down:
            h = block(h)
            skips.append(h)
        h = self.middle(h)
        for block in self.up:
            h = block(torch.cat([h, skips.pop()], 1))
        return self.out(h)[..., : x.shape[-2], : x.shape[-1]]


class SimpleUNet(nn.Module):
    """The plain convolutional network of the multi-class recipe: InstanceNorm, two poolings, a residual stack."""

    def __init__(self, channels: int, config: ReconstructionConfig) -> None:
        super().__init__()
        c = channels
        self.block1 = nn.Sequential(*_conv_norm_relu(c, c), *_conv_norm_relu(c, 2 * c))
        self.block2 = nn.Sequential(*_conv_norm_relu(2 * c, 2 * c), *_conv_norm_relu(2 * c, 4 * c))
        self.stack = nn.Sequential(*(ResidualLayer(4 * c, 2 * c) for _ in range(config.residual_blocks)), nn.ReLU())
        self.up1 = nn.ConvTranspose2d(8 * c, 2 * c, 4, 2, 1)
        self.up2 = nn.ConvTranspose2d(4 * c, c, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct the features ``x`` ``[B, channels, h, w]``."""
        h1 = F.avg_pool2d(self.block1(pad_to_multiple(x, 4)), 2)
        h2 = F.avg_pool2d(self.block2(h1), 2)
        h = F.relu(self.up1(torch.cat([self.stack(h2), h2], 1)))
        return self.up2(torch.cat([h, h1], 1))[..., : x.shape[-2], : x.shape[-1]]


def _conv_norm_relu(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 3, padding=1), nn.InstanceNorm2d(out), nn.ReLU()]


class ResidualLayer(nn.Module):
    """ReLU, 3x3 to ``hidden`` channels, ReLU, 1x1 back (all without bias), added to the input."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, h, w]`` to the same shape."""
        return x + self.body(x)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the edge of ``x`` so that h and w divide by ``multiple``."""
    right, below = -x.shape[-1] % multiple, -x.shape[-2] % multiple
    return F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x
