"""Guided diffusion's U-Net, written from its description, with the names that its checkpoints have.

It is here to compare with: no code of it is shared with the package. What tensors cannot show is fixed: 32 groups, and
queries, keys and values of one head lying together.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def time_features(t: Tensor, size: int) -> Tensor:
    """Cosines, then sines, of t at ``size`` / 2 frequencies from 1 down towards 1/10000."""
    angles = torch.stack([t.float() * 10000 ** (-i / (size // 2)) for i in range(size // 2)], 1)
    return torch.cat([angles.cos(), angles.sin()], 1)


class Residual(nn.Module):
    """``resample``: 2 doubles the grid, 0.5 halves it, 1 leaves it."""

    def __init__(self, channels: int, out: int, embedding: int, resample: float = 1) -> None:
        super().__init__()
        self.resample = resample
        self.in_layers = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, 2 * out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, out), nn.SiLU(), nn.Identity(), nn.Conv2d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def resampled(self, x: Tensor) -> Tensor:
        if self.resample == 2:
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return F.avg_pool2d(x, 2) if self.resample == 0.5 else x

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.in_layers[2](self.resampled(F.silu(self.in_layers[0](x))))
        scale, shift = self.emb_layers(embedding)[:, :, None, None].chunk(2, 1)
        h = self.out_layers[0](h) * (1 + scale) + shift
        return self.skip_connection(self.resampled(x)) + self.out_layers[1:](h)


class Attention(nn.Module):
    def __init__(self, channels: int, head: int) -> None:
        super().__init__()
        self.head = head
        self.norm = nn.GroupNorm(32, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        heads = []
        for one in self.qkv(self.norm(flat)).split(3 * self.head, 1):
            q, k, v = one.split(self.head, 1)
            weights = (q.transpose(1, 2) @ k / math.sqrt(self.head)).softmax(2)
            heads.append(v @ weights.transpose(1, 2))
        return x + self.proj_out(torch.cat(heads, 1)).reshape(x.shape)


class Block(nn.Sequential):
    def run(self, x: Tensor, embedding: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, Residual) else layer(x)
        return x


class GuidedUNet(nn.Module):
    """Raw output ``[B, 6, S, S]`` of ``x`` ``[B, 3, S, S]``, ``t`` ``[B]`` and ``y`` ``[B]``; weights are random."""

    def __init__(
        self,
        width: int = 32,
        multipliers: tuple[int, ...] = (1, 2),
        residual_blocks: int = 1,
        attention_at: tuple[int, ...] = (2,),
        head: int = 32,
        categories: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.width = width
        self.time_embed = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))
        if categories:
            self.label_emb = nn.Embedding(categories, 4 * width)
        channels = multipliers[0] * width
        skips = [channels]
        self.input_blocks = nn.ModuleList([Block(nn.Conv2d(3, channels, 3, padding=1))])

        def block(channels: int, out: int, level: int) -> Block:
            attends = [Attention(out, head)] if 2**level in attention_at else []
            return Block(Residual(channels, out, 4 * width), *attends)

        for level, multiplier in enumerate(multipliers):
            for _ in range(residual_blocks):
                self.input_blocks.append(block(channels, multiplier * width, level))
                channels = multiplier * width
                skips.append(channels)
            if level + 1 < len(multipliers):
                self.input_blocks.append(Block(Residual(channels, channels, 4 * width, 0.5)))
                skips.append(channels)
        self.middle_block = Block(
            Residual(channels, channels, 4 * width), Attention(channels, head), Residual(channels, channels, 4 * width)
        )
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(multipliers))):
            for i in range(residual_blocks + 1):
                out = multipliers[level] * width
                self.output_blocks.append(block(channels + skips.pop(), out, level))
                channels = out
                if level and i == residual_blocks:
                    self.output_blocks[-1].append(Residual(channels, channels, 4 * width, 2))
        self.out = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, 6, 3, padding=1))
        self.randomise(torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def randomise(self, generator: torch.Generator) -> None:
        """Every weight: norms too, and nothing at zero."""
        for name, parameter in self.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                fan_in = parameter[0].numel() if "label_emb" not in name else 1
                parameter.copy_(noise / fan_in**0.5)
            else:
                parameter.copy_(0.3 * noise + (1 if parameter.mean() == 1 else 0))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        embedding = self.time_embed(time_features(t, self.width))
        if y is not None:
            embedding = embedding + self.label_emb(y)
        skips = []
        for block in self.input_blocks:
            x = block.run(x, embedding)
            skips.append(x)
        x = self.middle_block.run(x, embedding)
        for block in self.output_blocks:
            x = block.run(torch.cat([x, skips.pop()], 1), embedding)
        return self.out(x)
