"""Distances between two sets of features: Frechet (FID) and kernel (KID), in float64 on the CPU."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.image.kid import poly_mmd


class KernelDistance(NamedTuple):
    """Mean and (population) deviation over ``subsets`` draws of features of each set."""

    mean: float
    deviation: float
    subsets: int


def frechet_distance(a: Tensor, b: Tensor) -> float:
    r"""Squared Frechet distance of the Gaussians fitted to two sets of features; FID where Inception made them.

    .. math::
        d^2 = \|\mu_a - \mu_b\|^2 + \mathrm{tr}(\Sigma_a + \Sigma_b - 2 (\Sigma_a \Sigma_b)^{1/2})

    Covariances are the unbiased ones. With :math:`\Sigma = A^T A` of the centred features A, divided by
    :math:`\sqrt{N - 1}`, the last trace is the sum of the singular values of :math:`A B^T`: exact for few images of
    many features too, where a root of the singular product of covariances is not. The distance of finite sets is
    too large, the more so the fewer they are: compare it at the same N only.

    0 for a set and itself; the same for (a, b) and (b, a), ``[N, D]`` and ``[M, D]``.

    Raises:
        ValueError: for fewer than two rows, different D, NaN or infinite values.
    """
    a, b = _checked(a, b)
    first, second = _root(a), _root(b)
    between = (a.mean(0) - b.mean(0)).square().sum()
    mixed = torch.linalg.svdvals(first @ second.T).sum()
    # What is zero in theory comes out a rounding error below it.
    return max(0.0, float(between + first.square().sum() + second.square().sum() - 2 * mixed))


def kernel_distance(
    a: Tensor, b: Tensor, generator: torch.Generator, subsets: int = 100, subset_size: int = 100
) -> KernelDistance:
    r"""Unbiased squared maximum mean discrepancy of two sets of features; KID where Inception made them.

    .. math::
        \frac{1}{m(m-1)} \sum_{i \ne j} [k(a_i, a_j) + k(b_i, b_j)] - \frac{2}{m^2} \sum_{i, j} k(a_i, b_j),
        \quad k(x, y) = (x^T y / D + 1)^3

    (Binkowski et al., ICLR 2018.) Of both sets ``subset_size`` rows are drawn at a time, without replacement, fewer
    where a set has no more. Its expectation does not depend on their number; around 0 it may be negative.

    Args:
        a: ``[N, D]``, any finite numbers.
        b: ``[M, D]``.
        generator: of the draws, on the CPU.
        subsets: how many draws; one where it would be all rows of both sets every time.
        subset_size: rows a draw, at least 2.

    Raises:
        ValueError: as :func:`frechet_distance`, and for no subsets or subsets of fewer than two.
    """
    a, b = _checked(a, b)
    size = min(subset_size, len(a), len(b))
    if subsets < 1 or size < 2:
        raise ValueError(f"{subsets} subsets of {subset_size} rows: need one at least, of two at least")
    if size == len(a) == len(b):
        subsets = 1
    values = torch.stack(
        [
            poly_mmd(
                a[torch.randperm(len(a), generator=generator)[:size]],
                b[torch.randperm(len(b), generator=generator)[:size]],
            )
            for _ in range(subsets)
        ]
    )
    return KernelDistance(float(values.mean()), float(values.std(unbiased=False)), subsets)


def _checked(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"features of shape {list(a.shape)} and {list(b.shape)}: need [N, D] and [M, D], two rows at least"
        )
    a, b = a.detach().cpu().double(), b.detach().cpu().double()
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("features are NaN or infinite")
    return a, b


def _root(features: Tensor) -> Tensor:
    """A matrix ``[min(N, D), D]`` whose product with its transpose (first) is the covariance ``[D, D]``."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    if len(centred) > centred.shape[1]:
        return torch.linalg.qr(centred, mode="r").R
    return centred
