"""The network of the authors' released code, written from its description, with the names that its checkpoints have.

It is here to compare with: no code of it is shared with the package. It takes images that are normalised already.
"""

from collections.abc import Mapping, Sequence

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Each block: its name, its stride, and its layers by number (1: layer1) with how many of their channels it is given.
Blocks = Sequence[tuple[str, int, Mapping[int, int]]]


class Resampling(nn.Module):
    """Doubles the grid with learned weights, or halves it by averaging."""

    def __init__(self, channels: int, up: bool) -> None:
        super().__init__()
        if up:
            self.conv = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1)
        self.up = up

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if self.up else F.avg_pool2d(x, 2)


class Residual(nn.Module):
    """``resample``: up, down or empty."""

    def __init__(self, channels: int, out: int, resample: str = "") -> None:
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1))
        if resample:
            self.h_upd = Resampling(channels, resample == "up")
            self.x_upd = Resampling(channels, resample == "up")
        if out != channels:
            self.skip_connection = nn.Conv2d(channels, out, 1)
        self.resample = resample

    def forward(self, x: Tensor) -> Tensor:
        norm, act, conv = self.in_layers
        h = act(norm(x))
        if self.resample:
            h, x = self.h_upd(h), self.x_upd(x)
        return conv(h) + (self.skip_connection(x) if hasattr(self, "skip_connection") else x)


class Attention(nn.Module):
    """64 channels a head; query, key and value of a head lie together."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        assert channels % 64 == 0
        self.norm = nn.GroupNorm(32, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        heads = []
        for part in self.qkv(self.norm(flat)).split(3 * 64, dim=1):
            query, key, value = part[:, :64], part[:, 64:128], part[:, 128:]
            weights = (query.transpose(1, 2) @ key / 8).softmax(-1)
            heads.append(value @ weights.transpose(1, 2))
        return (flat + self.proj_out(torch.cat(heads, 1))).view_as(x)


class UNet(nn.Module):
    def __init__(
        self, channels: int, ratio: float, multipliers: Sequence[int], depth: int, attention: Sequence[int]
    ) -> None:
        super().__init__()
        widths = [m * int(ratio * channels) for m in multipliers]

        def step(inside: int, out: int, level: int) -> list[nn.Module]:
            return [Residual(inside, out), *([Attention(out)] if 2**level in attention else [])]

        self.input_blocks = nn.ModuleList([nn.Conv2d(channels, widths[0], 3, padding=1)])
        kept, width = [widths[0]], widths[0]
        for level, out in enumerate(widths):
            for _ in range(depth):
                self.input_blocks.append(nn.Sequential(*step(width, out, level)))
                width = out
                kept.append(width)
            if level + 1 < len(widths):
                self.input_blocks.append(Residual(width, width, "down"))
                kept.append(width)
        self.middle_block = nn.Sequential(Residual(width, width), Attention(width), Residual(width, width))
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(widths))):
            for number in range(depth + 1):
                layers = step(width + kept.pop(), widths[level], level)
                width = widths[level]
                if level and number == depth:
                    layers.append(Residual(width, width, "up"))
                self.output_blocks.append(nn.Sequential(*layers))
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for block in self.input_blocks:
            x = block(x)
            kept.append(x)
        x = self.middle_block(x)
        for block in self.output_blocks:
            x = block(torch.cat([x, kept.pop()], 1))
        return self.out(x)


class Stack(nn.Module):
    """Layers of ReLU, 3x3, ReLU, 1x1 (no bias) around which the input is added; a ReLU at the end."""

    def __init__(self, channels: int, hidden: int, count: int) -> None:
        super().__init__()
        self._layers = nn.ModuleList()
        for _ in range(count):
            layer = nn.Module()
            layer._block = nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
                nn.ReLU(),
                nn.Conv2d(hidden, channels, 1, bias=False),
            )
            self._layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self._layers:
            x = x + layer._block(x)
        return x.relu()


class Simple(nn.Module):
    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        c = channels
        self.block1, self.block2 = (
            nn.Sequential(
                nn.Conv2d(i, i, 3, padding=1), nn.InstanceNorm2d(i), nn.ReLU(),
                nn.Conv2d(i, 2 * i, 3, padding=1), nn.InstanceNorm2d(2 * i), nn.ReLU(),
            )
            for i in (c, 2 * c)
        )  # fmt: skip
        self._residual_stack = Stack(4 * c, 2 * c, count)
        self.upblock1 = nn.ConvTranspose2d(8 * c, 2 * c, 4, stride=2, padding=1)
        self.upblock2 = nn.ConvTranspose2d(4 * c, c, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        half = F.avg_pool2d(self.block1(x), 2)
        quarter = F.avg_pool2d(self.block2(half), 2)
        x = self.upblock1(torch.cat([self._residual_stack(quarter), quarter], 1)).relu()
        return self.upblock2(torch.cat([x, half], 1))


class Ranking(nn.Module):
    """Chooses residual channels and judges them."""

    def __init__(self, channels: int, modes: Sequence[str], numbers: Sequence[int], count: int) -> None:
        super().__init__()
        self.modes, self.numbers = modes, numbers
        r = sum(numbers)
        self.bn_idx = nn.BatchNorm2d(channels, momentum=0.9, affine=False)
        self.decoder1 = nn.Sequential(
            Stack(r, r, count), nn.Conv2d(r, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU()
        )
        self.decoder2 = nn.Sequential(
            nn.Conv2d(128, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 8, 3, padding=1), nn.ReLU()
        )
        self.decoder3 = nn.Sequential(nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))

    def forward(self, residuals: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        grid = max(residual.shape[-1] for residual in residuals)
        residual = torch.cat([larger(part, grid / part.shape[-1]) for part in residuals], 1)
        flat = self.bn_idx(residual).flatten(2)
        chosen = []
        for mode, number in zip(self.modes, self.numbers, strict=True):
            value = flat.max(2).values if mode == "max" else flat.mean(2)
            order = value.argsort(dim=1, descending=True, stable=True)[:, :number]
            chosen.append(torch.stack([sample[index] for sample, index in zip(residual, order, strict=True)]))
        x = self.decoder2(self.decoder1(torch.cat(chosen, 1)))
        x = self.decoder3(larger(x, 2))
        return F.interpolate(x, size, mode="bilinear", align_corners=True)


def larger(x: Tensor, factor: float) -> Tensor:
    """Bilinear, corners on corners."""
    return nn.UpsamplingBilinear2d(scale_factor=factor)(x)


class OfficialRealNet(nn.Module):
    """``unet``: ratio, multipliers, blocks a level and where attention is; None for the simple network."""

    def __init__(
        self,
        backbone: str,
        blocks: Blocks,
        unet: tuple[float, Sequence[int], int, Sequence[int]] | None = (0.5, (1, 2, 4), 2, (2, 4)),
        modes: Sequence[str] = ("max", "mean"),
        numbers: Sequence[int] = (12, 12),
        depth: int = 2,
    ) -> None:
        super().__init__()
        self.blocks = blocks
        layers = sorted(layer for _, _, inner in blocks for layer in inner)
        taps = tuple(layer - (backbone == "efficientnet_b4") for layer in layers)
        self.backbone, self.afs, self.recon = nn.Module(), nn.Module(), nn.Module()
        self.backbone.feature_extractor = timm.create_model(
            backbone, pretrained=False, features_only=True, out_indices=taps
        )
        self.channels = dict(zip(layers, self.backbone.feature_extractor.feature_info.channels(), strict=True))
        self.afs.indexes = nn.ParameterDict()
        for name, _, inner in blocks:
            for layer, planes in inner.items():
                chosen = torch.arange(planes)
                self.afs.indexes[f"{name}_layer{layer}"] = nn.Parameter(chosen, requires_grad=False)
            width = sum(inner.values())
            self.recon.add_module(f"{name}_recon", Simple(width, depth) if unet is None else UNet(width, *unet))
        total = sum(planes for _, _, inner in blocks for planes in inner.values())
        self.rrs = Ranking(total, modes, numbers, depth)
        self.layers = layers

    def forward(self, image: Tensor) -> Tensor:
        """Anomaly map ``[B, 1, H, W]`` of normalised images."""
        features = dict(zip(self.layers, self.backbone.feature_extractor(image), strict=True))
        residuals = []
        for name, _, inner in self.blocks:
            grid = max(features[layer].shape[-1] for layer in inner)
            parts = []
            for layer in inner:
                part = features[layer][:, self.afs.indexes[f"{name}_layer{layer}"]]
                parts.append(larger(part, grid / part.shape[-1]))
            x = torch.cat(parts, 1)
            residuals.append((x - self.recon.get_submodule(f"{name}_recon")(x)) ** 2)
        logits = self.rrs(residuals, (image.shape[-2], image.shape[-1]))
        return logits.softmax(1)[:, 1:]


@torch.no_grad()
def randomise(network: OfficialRealNet, image: Tensor, seed: int = 0) -> OfficialRealNet:
    """Numbers as after a training: every channel and statistic its own, chosen channels anywhere, a lively map.

    Args:
        network: changed in place.
        image: normalised images whose residuals the statistics are about right for.
        seed: of it all.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.momentum = None  # the average over one batch: that batch's statistics
            module.reset_running_stats()
        if isinstance(module, nn.GroupNorm | nn.BatchNorm2d) and module.affine:
            module.weight.copy_(1 + 0.3 * torch.randn(module.weight.shape, generator=generator))
            module.bias.copy_(0.3 * torch.randn(module.bias.shape, generator=generator))
    for name, index in network.afs.indexes.items():
        channels = network.channels[int(name[-1])]
        index.copy_(torch.randperm(channels, generator=generator)[: len(index)].sort().values)
    network.train()(image)
    logit = network.eval()(image).logit()
    last, gain = network.rrs.decoder3[2], 1.5 / float(logit.std())
    last.weight.mul_(gain)
    last.bias.mul_(gain)
    last.bias[1] -= gain * logit.mean()
    return network


def settings(network: OfficialRealNet) -> list[dict[str, object]]:
    """What the released code saves as ``arch``, as far as the network shows it."""
    structure = [
        {
            "name": name,
            "layers": [{"idx": f"layer{layer}", "planes": planes} for layer, planes in inner.items()],
            "stride": stride,
        }
        for name, stride, inner in network.blocks
    ]
    ranking = {"modes": [*network.rrs.modes], "mode_numbers": [*network.rrs.numbers], "stop_grad": False}
    return [
        {"name": "backbone", "type": "models.backbones.Backbone", "frozen": True},
        {"name": "afs", "type": "models.afs.AFS", "prev": "backbone", "kwargs": {"structure": structure}},
        {"name": "recon", "type": "models.recon.ReconstructionLayer", "prev": "afs", "kwargs": {"num_res_blocks": 2}},
        {"name": "rrs", "type": "models.rrs.RRS", "prev": "recon", "kwargs": ranking},
    ]
