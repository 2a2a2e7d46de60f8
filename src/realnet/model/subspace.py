"""Reconstruction in closed form: G_k as the orthogonal projection onto what good images span."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

# Mean square of a number of a standardised map that computing it in another batch may change it by.
_NOISE = 1e-7
# Components that are read at once: a few megabytes.
_PART = 32


class Subspace(nn.Module):
    r"""Rebuild a whole feature map from the principal subspace of those of good images.

    .. math:: G_k(\varphi) = \mu_k + U_k U_k^T (\varphi - \mu_k)

    where phi is the map as one vector of m_k h_k w_k numbers, mu_k the mean of the good images' and the rows of U_k^T
    (``basis``) their first principal components. Of all projections of that rank it is the one that rebuilds the good
    images best, so it solves Eq. 5 for I = A. A map knows which arrangement of parts belongs together: a part that is
    missing, or stands elsewhere, is far from the subspace although each of its patches looks ordinary.

    ``level`` ``[m_k]`` is the mean squared residual of good images that the subspace has not seen, a channel: the unit
    in which residuals are handed on. Nothing here is trained; :func:`fit` of :class:`Gram` makes all of it.

    Shapes:
        input and output: ``[B, channels, h, w]``, h and w those of ``grid``.

    Args:
        grid: ``(h, w)``.

    Set ``in_parts`` where the processor is to judge with it: the same, sooner, by more operations.
    """

    in_parts = False
    mean: Tensor
    basis: Tensor
    level: Tensor

    def __init__(self, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, *grid))
        # As many rows as there are components, which only the good images tell.
        self.register_buffer("basis", torch.zeros(0, channels * grid[0] * grid[1]))
        self.register_buffer("level", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """G_k of ``x``."""
        if x.shape[1:] != self.mean.shape:
            raise ValueError(f"this subspace is one of maps {list(self.mean.shape)}, not {list(x.shape[1:])}")
        mean, basis = self.mean.to(x.dtype), self.basis.to(x.dtype)
        centred = (x - mean).flatten(1)  # [B, m h w]
        if self.in_parts:
            return self._by_parts(centred, mean, basis).view_as(x)
        return mean + ((centred @ basis.t()) @ basis).view_as(x)

    @staticmethod
    def _by_parts(centred: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
        """Likewise, ``[B, m h w]``: both products with one part of the basis follow each other, while it is cached.

        The basis is much larger than any cache, so that reading it takes most of the time. The smaller factor is
        transposed: MKL would otherwise copy the basis.
        """
        columns = centred.t().contiguous()
        rebuilt = mean.flatten().repeat(len(centred), 1)
        for part in basis.split(_PART):
            rebuilt.addmm_((part @ columns).t(), part)
        return rebuilt

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        stored = state_dict.get(f"{prefix}basis")
        if stored is not None and stored.ndim == 2 and stored.shape[1] == self.basis.shape[1]:
            self.basis = self.basis.new_empty(stored.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


Rebuilding = tuple[Tensor, Tensor]
"""What a subspace rebuilds is a combination of good images' maps: of a map whose inner products with those are p
``[n]``, it is ``p @ first + second``."""


class Gram:
    """Feature maps of good images, and the principal subspace of any of them.

    With n maps of D numbers, D far larger than n, the principal components are combinations of the maps, and the
    eigenvectors of the n x n matrix of their inner products say which. It is computed once for all subsets.

    Args:
        maps: ``[n, D]``; they are centred in place, as there is hardly anything larger.
    """

    def __init__(self, maps: Tensor) -> None:
        self.origin = maps.mean(0)
        self.maps = maps.sub_(self.origin)
        # Sums of up to a million products: float32 alone would lose the small eigenvalues.
        self.products = torch.zeros(len(maps), len(maps), dtype=torch.float64, device=maps.device)
        for part in self.maps.split(65536, dim=1):
            self.products += (part @ part.t()).double()

    def fit(self, rows: Sequence[int] | Tensor, variance: float, components: int) -> tuple[Tensor, Tensor]:
        """The mean ``[D]`` and orthonormal basis ``[r, D]`` of the maps numbered ``rows``.

        r is the least number of components that keep ``variance`` of the variance, at most ``components``. The basis is
        rounded to half precision, in which it is saved.
        """
        share, weights = self._components(rows, variance, components)
        combined = torch.cat([share[None], weights.t()]).to(self.maps.dtype) @ self.maps
        return self.origin + combined[0], combined[1:].half().to(self.maps.dtype)

    def rebuilding(self, rows: Sequence[int] | Tensor, variance: float, components: int) -> Rebuilding:
        """How the subspace of the maps numbered ``rows`` rebuilds others, for :meth:`left`; made without its basis."""
        share, weights = self._components(rows, variance, components)
        onto = weights @ weights.t()
        return onto, share - share @ self.products @ onto

    def left(self, maps: Tensor, by: Sequence[Rebuilding], which: Tensor, products: Tensor | None = None) -> Tensor:
        """What subspaces leave of ``maps`` ``[b, D]``, which are centred by ``origin``, and changed in place.

        Args:
            by: the subspaces.
            which: the number of each map's, ``[b]``.
            products: inner products ``[b, n]`` of ``maps`` with those of the good images, where they are known.
        """
        if products is None:
            products = (maps @ self.maps.t()).to(self.products.dtype)
        weights = torch.empty_like(products)
        for number, (onto, constant) in enumerate(by):
            own = which == number
            weights[own] = products[own] @ onto + constant
        return maps.addmm_(weights.to(maps.dtype), self.maps, alpha=-1)

    def _components(self, rows: Sequence[int] | Tensor, variance: float, components: int) -> tuple[Tensor, Tensor]:
        """What each of the n maps adds to the mean of those numbered ``rows``, ``[n]``, and to each of the components
        ``[n, r]``; nothing, if it is not among them.
        """
        index = torch.as_tensor(rows, device=self.maps.device)
        chosen = self.products[index][:, index]
        middle = chosen.mean(0)
        values, vectors = torch.linalg.eigh(chosen - middle - middle[:, None] + middle.mean())
        values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
        total = values.sum()
        kept = int((values.cumsum(0) < variance * total).sum()) + 1
        # Directions without variance are rounding noise: all of them where the images are alike.
        noise = max(1e-10 * float(total), _NOISE * self.maps.shape[1])
        kept = min(kept, components, int((values > noise).sum()))
        own = vectors[:, :kept] / values[:kept].sqrt()
        share, weights = self.products.new_zeros(len(self.maps)), self.products.new_zeros(len(self.maps), kept)
        share[index], weights[index] = 1 / len(index), own - own.mean(0)
        return share, weights


def set_subspace(subspace: Subspace, mean: Tensor, basis: Tensor) -> None:
    """Make ``subspace`` that of ``mean`` ``[D]`` and ``basis`` ``[r, D]``."""
    subspace.mean.copy_(mean.view_as(subspace.mean))
    subspace.basis = basis.clone()
