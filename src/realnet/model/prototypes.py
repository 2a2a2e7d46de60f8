"""What a feature can be on good images: a frozen set of prototypes that every feature is projected onto."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Prototypes(nn.Module):
    r"""Replace each feature vector by a mixture of prototypes of good images, chosen by its surroundings.

    .. math:: P(x)_p = \sum_j w_{pj} v_j, \quad w_p = \mathrm{softmax}_j(-\beta \| \bar x_p - k_j \|^2)

    where x-bar is x averaged over 3x3. A defect has no prototype, so a network that reconstructs from P(x) instead of
    x cannot copy it, however little it was trained. An addition of ours for short trainings, not the paper's; presets
    that follow the paper have none. Nothing here is trained.

    Shapes:
        input and output: ``[B, channels, h, w]``.
    """

    keys: Tensor
    values: Tensor
    sharpness: Tensor

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(count, channels))
        self.register_buffer("values", torch.zeros(count, channels))
        self.register_buffer("sharpness", torch.ones(()))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Project ``x``."""
        b, c, height, width = x.shape
        query = _surroundings(x).permute(0, 2, 3, 1).reshape(b, height * width, c)
        # The query's own norm is the same for all prototypes and leaves the softmax as it is.
        closeness = 2 * query @ self.keys.to(x.dtype).t() - self.keys.to(x.dtype).square().sum(1)
        mixture = (closeness * self.sharpness.to(x.dtype)).softmax(-1) @ self.values.to(x.dtype)
        return mixture.reshape(b, height, width, c).permute(0, 3, 1, 2)

    @torch.no_grad()
    def fit(self, batches: Sequence[Tensor], generator: torch.Generator, vectors: int = 20_000) -> None:
        """Set the prototypes by k-means over features of good images ``[B, C, h, w]``.

        Args:
            batches: the features; as many vectors are drawn from each.
            generator: draws the vectors used and the start.
            vectors: about how many feature vectors to cluster.
        """
        pairs = []
        for x in batches:
            positions = x.shape[0] * x.shape[2] * x.shape[3]
            drawn = torch.randperm(positions, generator=generator)[: -(-vectors // len(batches))].to(x.device)
            flat = [part.permute(0, 2, 3, 1).reshape(positions, -1)[drawn] for part in (_surroundings(x), x)]
            pairs.append(torch.cat(flat, 1).float().cpu())
        surroundings, own = torch.cat(pairs).chunk(2, dim=1)
        keys, nearest = k_means(surroundings, len(self.keys), generator)
        count = torch.zeros(len(keys)).index_add_(0, nearest, torch.ones(len(nearest)))
        values = torch.zeros_like(keys).index_add_(0, nearest, own) / count.clamp_min(1)[:, None]
        distance = (surroundings - keys[nearest]).square().sum(1).mean()
        self.keys.copy_(keys)
        self.values.copy_(torch.where(count[:, None] > 0, values, keys))
        self.sharpness.fill_(float(3 / distance.clamp_min(1e-6)))


def _surroundings(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def k_means(vectors: Tensor, count: int, generator: torch.Generator, rounds: int = 6) -> tuple[Tensor, Tensor]:
    """Centres ``[count, C]`` and each vector's centre ``[N]``; k-means++ start, a few Lloyd rounds.

    Fewer than ``count`` vectors are repeated.
    """
    chosen = [0]
    distance = (vectors - vectors[0]).square().sum(1)
    for _ in range(count - 1):
        weight = distance if float(distance.sum()) > 0 else torch.ones_like(distance)
        chosen.append(int(torch.multinomial(weight, 1, generator=generator)))
        distance = torch.minimum(distance, (vectors - vectors[chosen[-1]]).square().sum(1))
    centres = vectors[chosen].clone()
    nearest = torch.cdist(vectors, centres).argmin(1)
    for _ in range(rounds):
        members = torch.zeros(count).index_add_(0, nearest, torch.ones(len(nearest)))
        sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
        kept = members > 0
        centres[kept] = sums[kept] / members[kept][:, None]
        nearest = torch.cdist(vectors, centres).argmin(1)
    return centres, nearest
