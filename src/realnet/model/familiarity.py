"""Whether an image shows the product that an inspector knows, by what the image is like as a whole."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Least deviation of a number, in deviations of its channel over good images: where these are all alike, any change of
# light would make another product.
_LEAST_DEVIATION = 0.2
# The least limit: good images that are all alike say nothing of how strange one with a large defect may be.
_LEAST_LIMIT = 2.0
# How many times as strange as the strangest good image another product is. A defect is a part of the image, and seldom
# makes the whole as strange as that (benchmarks/RESULTS.md, "Several products in one inspector").
_MARGIN = 1.5


class Familiarity(nn.Module):
    r"""How strange an image is as a whole; above 1 it is not taken for one of the product.

    Mean and deviation over the image of each channel of the selected features are its description d. Its strangeness is
    the root mean square of (d - c) / s, c and s being mean and deviation of the descriptions of good images, in units
    of 1.5 times the largest among good images that c and s were found without, but of 2 at least. Of n such images, a
    further good one is above the largest with probability 1 / (n + 1) at most, so it is called unknown less often.

    Until :meth:`fit` was called every image is known.

    Shapes:
        input: a description ``[B, 2 * sum of m_k]`` of :func:`describe`; output: ``[B]``.

    Args:
        channels: m_k.
    """

    centre: Tensor
    spread: Tensor
    limit: Tensor
    unit: Tensor

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(2 * sum(channels)))
        self.register_buffer("spread", torch.ones(2 * sum(channels)))
        self.register_buffer("limit", torch.tensor(torch.finfo(torch.float32).max))
        self.register_buffer("unit", torch.zeros(()))

    def forward(self, description: Tensor) -> Tensor:
        """Strangeness of images."""
        return _distance(description, self.centre, self.spread) / self.limit

    def unlikelihood(self, description: Tensor) -> Tensor:
        """Negative logarithm of the density of descriptions, a number of theirs: ``[B]``; least for the right product.

        Of two products the one whose images differ less from each other is nearer at the same distance.
        """
        squared = _distance(description, self.centre, self.spread).square()
        return squared / 2 + self.spread.log().mean() + self.unit

    @torch.no_grad()
    def fit(self, descriptions: Tensor, folds: Tensor, scales: Tensor, bounded: bool = True) -> None:
        """Set what good images are like, by their ``descriptions`` ``[N, 2 * sum of m_k]``.

        Images of one of ``folds`` ``[N]`` are measured by the others. ``scales`` are what the backbone's channels were
        divided by: they make densities of several inspectors comparable. Not ``bounded``: whatever is shown is known.
        """
        strangest = 0.0
        for number in folds.unique().tolist():
            own = folds == number
            if not own.all():
                strangest = max(strangest, float(_distance(descriptions[own], *_moments(descriptions[~own])).max()))
        centre, spread = _moments(descriptions)
        self.centre.copy_(centre)
        self.spread.copy_(spread)
        self.unit.copy_(scales.abs().clamp_min(1e-12).log().mean())
        if bounded and strangest > 0:
            self.limit.fill_(max(_MARGIN * strangest, _LEAST_LIMIT))


def describe(features: Sequence[Tensor]) -> Tensor:
    """Mean and deviation over the image of each channel: ``[B, 2 * sum of m_k]`` of ``[B, m_k, h_k, w_k]``."""
    means = [feature.float().mean((2, 3)) for feature in features]
    squares = [feature.float().square().mean((2, 3)) for feature in features]
    pairs = zip(means, squares, strict=True)
    deviations = [(square - mean.square()).clamp_min(1e-12).sqrt() for mean, square in pairs]
    return torch.cat([*means, *deviations], 1)


def _moments(descriptions: Tensor) -> tuple[Tensor, Tensor]:
    centre = descriptions.mean(0)
    return centre, ((descriptions - centre).square().mean(0) + _LEAST_DEVIATION**2).sqrt()


def _distance(description: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    return ((description - centre) / spread).square().mean(1).sqrt()
