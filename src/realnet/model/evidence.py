"""The discriminator of closed-form reconstruction: what residuals say by themselves, and what was learned of them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import DiscriminatorConfig, RrsConfig
from realnet.model.confirmed import ConfirmedHead
from realnet.model.rrs import selected_share

# Evidence is added up on a grid of a quarter of the image's sides; for the score, smoothed by a Gaussian of one cell.
_CELL = 4
# Shares of a cell and of its neighbours in the pixels that bilinear interpolation makes of it, along a side.
_SHARES = ((0.375, 0.625, 0.0), (0.125, 0.875, 0.0), (0.0, 0.875, 0.125), (0.0, 0.625, 0.375))
# Where 0.5 lies on the scale of maps and scores, in standard deviations of good images' maps.
_MIDDLE = 4.0
# Identical images have no deviation; below this, what differs is rounding.
_LEAST_DEVIATION = 0.05
# Energies below this share of what good images usually have are rounding.
_LEAST_ENERGY = 1e-2
# Two kinds of evidence: of the channels that RRS hands on, which draws the map, and of all, which judges the image.
_MAP, _SCORE = 0, 1
# Heads that started at random count less in the map, where they outline worse than the evidence, and in the score.
_AT_RANDOM = (0.25, 0.5)
# Heads that come with the package find defects better than they outline them: what they count in the map, for that.
_OUTLINING = 0.15
# Weight of the head of confirmed defects in the score.
_CONFIRMED = 0.5


class Judged(NamedTuple):
    """What the discriminator says, in standard deviations of good images' maps: ``[B, 1, H, W]`` each."""

    map: Tensor
    score: Tensor


class EvidenceHead(nn.Module):
    """A small convolutional network on log(1 + E) of every channel, on the finest residual's grid.

    The entry is a 1x1 convolution a layer, before the layer is enlarged: that commutes with bilinear interpolation and
    costs a sixteenth on the coarsest.

    Shapes:
        input: a list of ``[B, m_k, h_k, w_k]``, finest first; output: logits ``[B, 1, h_1, w_1]``.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.entry = nn.ModuleList(nn.Conv2d(c, width, 1, bias=False) for c in channels)
        narrow = max(1, width // 2)
        self.body = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, narrow, 3, padding=1), nn.ReLU(), nn.Conv2d(narrow, 1, 1),
        )  # fmt: skip

    def forward(self, logs: Sequence[Tensor]) -> Tensor:
        """Logits of log(1 + E)."""
        size = logs[0].shape[-2:]
        entered = [enter(log) for enter, log in zip(self.entry, logs, strict=True)]
        return self.body(sum(_enlarged(e, (size[0], size[1])) for e in entered))


class EvidenceDiscriminator(nn.Module):
    r"""Anomaly map and score from residuals in units of good images.

    The evidence of layer k is the mean energy of its channels, as a standardised logarithm:

    .. math:: e_k = \frac{\log \bar E_k - m_k}{s_k}, \quad e = \sum_k w_k e_k

    once over the channels that RRS selects of the image (P of each layer), for the map, and once over all, for the
    score, which is smoothed. Both are standardised again, and the mean logit l of the heads, standardised likewise, is
    added: z = (e + lambda l) / (1 + lambda). Lambda is ``learned`` for heads that were trained on the product, half of
    it in the score and a quarter in the map if they started at random; as they come with the package, knowing other
    products only, ``general`` in the score and 0.15 of that in the map. Where a run was taught confirmed defects, what
    their head says joins the score likewise, with the weight 0.5. All means and deviations are those of good images
    that neither the subspace nor the head has seen (:meth:`fit_evidence`, :meth:`fit_learned`, :meth:`fit_confirmed`).

    Shapes:
        input: a list of residuals E_k ``[B, m_k, h_k, w_k]`` in units of good images, finest first.
        output: :class:`Judged`.

    Args:
        general: how much heads that were not trained count; 0 where they know nothing.
    """

    layer_mean: Tensor
    layer_deviation: Tensor
    evidence_mean: Tensor
    evidence_deviation: Tensor
    learned_mean: Tensor
    learned_scale: Tensor
    shares: Tensor
    trained: Tensor

    def __init__(
        self, channels: Sequence[int], config: DiscriminatorConfig, rrs: RrsConfig, general: float = 0.0
    ) -> None:
        super().__init__()
        self.rrs, self.count = rrs, len(channels)
        self.weights = config.layer_weights or (1.0,) * self.count
        self.learned, self.general = config.learned, general
        self.heads = nn.ModuleList(EvidenceHead(channels, config.width) for _ in range(config.heads))
        self.confirmed: ConfirmedHead | None = None
        self.channels = tuple(channels)
        for k, c in enumerate(channels):
            self.register_buffer(f"typical_{k}", torch.ones(c))
        self.register_buffer("layer_mean", torch.zeros(self.count, 2))
        self.register_buffer("layer_deviation", torch.ones(self.count, 2))
        self.register_buffer("evidence_mean", torch.zeros(2))
        self.register_buffer("evidence_deviation", torch.ones(2))
        self.register_buffer("learned_mean", torch.zeros(()))
        self.register_buffer("learned_scale", torch.ones(()))  # 1 / deviation
        # Lambda in the map and in the score: 0 until the heads know something.
        self.register_buffer("shares", torch.zeros(2))
        # Whether they have learned of the product.
        self.register_buffer("trained", torch.zeros((), dtype=torch.bool))

    def forward(self, residuals: Sequence[Tensor], size: tuple[int, int]) -> Judged:
        """Judge ``residuals`` of an image of ``size`` ``(H, W)``."""
        logs = [residual.log1p() for residual in residuals]
        logits = torch.stack([head(logs) for head in self.heads]).mean(0)
        confirmed = None if self.confirmed is None else self.confirmed(logs).mean(1, keepdim=True)
        return self.conclude(self.log_energies(residuals), logits, size, confirmed)

    def conclude(
        self, energies: Sequence[Tensor], logits: Tensor, size: tuple[int, int], confirmed: Tensor | None = None
    ) -> Judged:
        """Add up log energies (of :meth:`log_energies`), logits ``[B, 1, h, w]`` of the heads, and of that of confirmed
        defects.
        """
        grid = (int(size[0]) // _CELL, int(size[1]) // _CELL)
        evidence = (self._weighed(energies, grid) - _column(self.evidence_mean)) / _column(self.evidence_deviation)
        learned = _enlarged((logits - self.learned_mean) * self.learned_scale, grid)
        in_map, share = self.shares[_MAP], self.shares[_SCORE]
        found = (evidence[:, _MAP : _MAP + 1] + in_map * learned) / (1 + in_map)
        score = evidence[:, _SCORE : _SCORE + 1] + share * learned
        if confirmed is not None and self.confirmed is not None:
            score = score + _CONFIRMED * _enlarged(self.confirmed.standardised(confirmed), grid)
            share = share + _CONFIRMED
        # Smoothing is linear, and leaves a constant as it is: the sum is smoothed, not each part.
        return Judged(enlarged_by_cell(found), enlarged_by_cell(smooth(score / (1 + share))))

    def log_energies(self, residuals: Sequence[Tensor]) -> list[Tensor]:
        """Log mean energy of each layer, over the channels of RRS and over all: ``[B, 2, h_k, w_k]``."""
        found = []
        for k, residual in enumerate(residuals):
            weight = selected_share(residual, self.get_buffer(f"typical_{k}"), self.rrs.mode, self.rrs.retention)
            selected = (residual * weight).sum(1) / weight.sum(1).expand_as(residual[:, 0])
            found.append(torch.stack([selected, residual.mean(1)], 1).clamp_min(_LEAST_ENERGY).log())
        return found

    def _weighed(self, energies: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        total: Tensor | float = 0.0
        for k, energy in enumerate(energies):
            standardised = (energy - _column(self.layer_mean[k])) / _column(self.layer_deviation[k])
            total = total + self.weights[k] * _enlarged(standardised, size)
        assert isinstance(total, Tensor)
        return total

    @torch.no_grad()
    def fit_typical(self, k: int, largest: Tensor) -> None:
        """Set what RRS ranks layer ``k`` by: the channels' maxima ``[N, m_k]`` of good images."""
        self.get_buffer(f"typical_{k}").copy_(largest.mean(0).clamp_min(_LEAST_ENERGY))

    @torch.no_grad()
    def fit_evidence(self, energies: Sequence[Tensor], size: tuple[int, int]) -> None:
        """Set the means and deviations of the evidence by log energies ``[N, 2, h_k, w_k]`` of good images."""
        for k, energy in enumerate(energies):
            self.layer_mean[k], self.layer_deviation[k] = _moments(energy.split(16))
        count, grid = len(energies[0]), (size[0] // _CELL, size[1] // _CELL)
        parts = (
            _outlined(self._weighed([energy[i : i + 16] for energy in energies], grid)) for i in range(0, count, 16)
        )
        self.evidence_mean[:], self.evidence_deviation[:] = _moments(parts)

    @torch.no_grad()
    def fit_learned(self, logits: Tensor, size: tuple[int, int], trained: bool) -> None:
        """Set mean, scale and shares of the heads' part by logits ``[N, 1, h, w]`` of good images new to the heads.

        Args:
            trained: whether on this product; False: as they come.
        """
        mean, deviation = _smoothed_moments(logits, size)
        self.learned_mean.copy_(mean)
        self.learned_scale.copy_(1 / deviation)
        if trained:
            found = [self.learned * part for part in ((1, 1) if self.general else _AT_RANDOM)]
        else:
            found = [_OUTLINING * self.general, self.general]
        self.shares.copy_(torch.tensor(found))
        self.trained.fill_(trained)

    def add_confirmed(self) -> ConfirmedHead:
        """A head of confirmed defects joins, that says nothing until it is fitted."""
        self.confirmed = ConfirmedHead(self.channels).to(self.layer_mean.device)
        return self.confirmed

    @torch.no_grad()
    def fit_confirmed(self, logits: Tensor, size: tuple[int, int]) -> None:
        """Set mean and scale of that head's part by logits ``[N, 1, h, w]`` of good images new to what gave them."""
        assert self.confirmed is not None
        mean, deviation = _smoothed_moments(logits, size)
        self.confirmed.mean.copy_(mean)
        self.confirmed.scale.copy_(1 / deviation)


def probability(z: Tensor) -> Tensor:
    """Deviations of good images as what maps and scores are given in: 0..1, with 0.5 at four deviations."""
    return torch.sigmoid(z - _MIDDLE)


def smooth(maps: Tensor) -> Tensor:
    """``maps`` ``[B, C, h, w]`` blurred by a Gaussian of one cell, mirrored at the edge."""
    radius = min(4, int(min(maps.shape[-2:])) - 1)
    distance = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * distance**2)
    kernel = (kernel / kernel.sum()).expand(maps.shape[1], 1, -1)
    padded = F.pad(maps, (radius, radius, radius, radius), mode="reflect")
    rows = F.conv2d(padded, kernel[:, :, None, :], groups=maps.shape[1])
    return F.conv2d(rows, kernel[:, :, :, None], groups=maps.shape[1])


def enlarged_by_cell(maps: Tensor) -> Tensor:
    """``maps`` ``[B, 1, h, w]`` at the size of the image, ``[B, 1, 4 h, 4 w]``: bilinear, as ``F.interpolate`` does it.

    As a convolution, which OpenVINO computes in a fifth of the time that it takes to interpolate a single channel.
    """
    shares = torch.tensor(_SHARES, dtype=maps.dtype, device=maps.device)
    kernel = (shares[:, None, :, None] * shares[None, :, None, :]).flatten(0, 1)[:, None]  # a channel a pixel of a cell
    return F.pixel_shuffle(F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), kernel), _CELL)


def _outlined(summed: Tensor) -> Tensor:
    """Both kinds of evidence ``[B, 2, h, w]``, the score's smoothed: that would blur what the map outlines."""
    return torch.cat([summed[:, _MAP : _MAP + 1], smooth(summed[:, _SCORE : _SCORE + 1])], 1)


def _enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(maps.shape[-2:]) == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]


def _smoothed_moments(logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of logits ``[N, 1, h, w]`` as they enter the sum."""
    grid = (size[0] // _CELL, size[1] // _CELL)
    mean, deviation = _moments(smooth(_enlarged(part, grid)) for part in logits.split(16))
    return mean[0], deviation[0]


def _moments(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel ``[C]`` over batches ``[B, C, h, w]``; a deviation is never 0."""
    count, total, square = 0, torch.zeros(()), torch.zeros(())
    for part in parts:
        wide = part.double()
        count += wide[:, 0].numel()
        total = total.to(wide.device) + wide.sum((0, 2, 3))
        square = square.to(wide.device) + wide.square().sum((0, 2, 3))
    mean = total / count
    deviation = (square / count - mean.square()).clamp_min(0).sqrt().clamp_min(_LEAST_DEVIATION)
    return mean.float(), deviation.float()
