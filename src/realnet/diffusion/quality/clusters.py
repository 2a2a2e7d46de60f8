"""Diversity of images as the distance within clusters of them (App. C.6), for images too many to hold.

A perceptual distance such as LPIPS weights squared differences of features, and so is a squared Euclidean distance
of suitably scaled ones, the embedding: nearest images come from one matrix product, and the mean over all pairs of
a cluster from two running sums. No pair is sampled or left out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Embedding = Callable[[Sequence[int]], Iterator[Tensor]]
"""Embeddings ``[B, D]`` of the images of these numbers, in their order, batch after batch."""


class Diversity(NamedTuple):
    """The mean distance within the clusters used: those with two members or more; None without any.

    The others have no pair and are left out.
    """

    value: float | None
    used: int
    left_out: int


def nearest_centres(items: Embedding, count: int, centres: Embedding, centre_count: int, memory: int = 2**29) -> Tensor:
    """The number of the nearest centre of each of ``count`` items: int64 ``[count]``, the first of equals.

    The items are gone through once for every block of centres that ``memory``, in bytes, holds.
    """
    best = torch.full((count,), torch.inf)
    nearest = torch.zeros(count, dtype=torch.long)
    for first, block in _blocks(centres(range(centre_count)), memory):
        lengths = block.square().sum(1)
        done = 0
        for batch in items(range(count)):
            distances = batch.square().sum(1, keepdim=True) + lengths - 2 * batch @ block.T
            value, index = (part.cpu() for part in distances.min(1))
            here = slice(done, done + len(batch))
            closer = value < best[here]
            best[here] = torch.where(closer, value, best[here])
            nearest[here] = torch.where(closer, index + first, nearest[here])
            done += len(batch)
    return nearest


def mean_distances(items: Embedding, members: Sequence[int], draws: Sequence[frozenset[int]]) -> list[float | None]:
    r"""Mean squared distance over all pairs of ``members`` in each draw; None where a draw holds fewer than two.

    .. math::
        \frac{2}{n(n-1)} \sum_{i < j} \|x_i - x_j\|^2 = \frac{2}{n(n-1)} \Big( n \sum_i \|x_i\|^2
        - \big\| \sum_i x_i \big\|^2 \Big)

    Members and draws are numbers of items, which are gone through once.
    """
    counts = [sum(member in draw for member in members) for draw in draws]
    if max(counts, default=0) < 2:
        return [None] * len(draws)
    squares = [0.0] * len(draws)
    totals: list[Tensor] | None = None
    origin: Tensor | None = None
    done = 0
    for batch in items(members):
        batch = batch.cpu().double()
        # Distances do not depend on the origin; one inside of the cluster spares the difference of large numbers.
        origin = batch[0] if origin is None else origin
        totals = totals or [torch.zeros_like(origin) for _ in draws]
        batch = batch - origin
        for number, draw in enumerate(draws):
            chosen = batch[[member in draw for member in members[done : done + len(batch)]]]
            totals[number] += chosen.sum(0)
            squares[number] += float(chosen.square().sum())
        done += len(batch)
    lengths = [float(total.square().sum()) for total in totals or []]
    return [
        None if n < 2 else max(0.0, 2 * (n * square - length) / (n * (n - 1)))
        for n, square, length in zip(counts, squares, lengths, strict=True)
    ]


def cluster_diversity(
    items: Embedding, count: int, centres: Embedding, centre_count: int, draws: Sequence[Sequence[int]]
) -> list[Diversity]:
    """Mean pairwise distance within the clusters around given images, averaged over clusters (App. C.6), a draw each.

    Each item belongs to the centre at the smallest distance. Around real anomalous images this is the paper's
    cluster-based LPIPS; around training images the IC-LPIPS of Ojha et al. (CVPR 2021). A cluster with fewer than
    two members has no pair: it is left out of the mean, not counted as 0. Draws are subsets of the items, which are
    gone through twice, or more where the centres fill the memory.
    """
    chosen = [frozenset(draw) for draw in draws]
    nearest = nearest_centres(items, count, centres, centre_count).tolist()
    means = []
    for centre in range(centre_count):
        members = [item for item in range(count) if nearest[item] == centre and any(item in draw for draw in chosen)]
        means.append(mean_distances(items, members, chosen))
    results = []
    for of_draw in zip(*means, strict=True):
        known = [mean for mean in of_draw if mean is not None]
        results.append(Diversity(sum(known) / len(known) if known else None, len(known), centre_count - len(known)))
    return results


def _blocks(batches: Iterator[Tensor], memory: int) -> Iterator[tuple[int, Tensor]]:
    """Batches joined as long as they fit into ``memory`` bytes (one always does), each with its first number."""
    first = filled = 0
    held: list[Tensor] = []
    for batch in batches:
        if held and (filled + len(batch)) * batch[0].nbytes > memory:
            yield first, torch.cat(held)
            first, filled, held = first + filled, 0, []
        held.append(batch)
        filled += len(batch)
    if held:
        yield first, torch.cat(held)
