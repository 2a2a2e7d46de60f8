"""The training losses (Eqs. 5, 6)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def reconstruction_loss(reconstructions: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    r"""Eq. 5: the distance of G_k(phi_k(A)) to phi_k(I), a mean over the elements of a layer, summed over layers.

    .. math:: L_{recon} = \frac{1}{N} \sum_n \sum_k \| G_k(\varphi_k(A_n)) - \varphi_k(I_n) \|_2^2

    Both are ``[B, m_k, h_k, w_k]`` a layer.
    """
    losses = [F.mse_loss(r, t) for r, t in zip(reconstructions, targets, strict=True)]
    return sum(losses[1:], losses[0])


def segmentation_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """L_seg(A, M): pixel-wise cross-entropy of the two-class ``logits`` ``[B, 2, H, W]`` with M ``[B, 1, H, W]``."""
    return F.cross_entropy(logits, mask[:, 0].long())


def realnet_loss(
    reconstructions: Sequence[Tensor],
    targets: Sequence[Tensor],
    logits: Tensor,
    mask: Tensor,
    weights: tuple[float, float] = (1.0, 1.0),
) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 6: L = L_recon + L_seg. Returns the sum and its two parts, unweighted."""
    reconstruction = reconstruction_loss(reconstructions, targets)
    segmentation = segmentation_loss(logits, mask)
    return weights[0] * reconstruction + weights[1] * segmentation, reconstruction, segmentation
