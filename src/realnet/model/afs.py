"""Anomaly-aware feature selection, AFS (Sec. 3.2), and the alternatives of Tab. 5a."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import AfsConfig
from realnet.errors import UserError


def afs_loss(anomalous: Tensor, normal: Tensor, mask: Tensor, align: str = "mask", epsilon: float = 1e-4) -> Tensor:
    r"""Eq. 4 for one layer and one batch: how badly each channel's squared difference outlines the anomaly.

    .. math:: L_{AFS}(\phi_{k,i}) = \frac{1}{N} \sum_n \| F([\phi_{k,i}(A_n) - \phi_{k,i}(I_n)]^2) - M_n \|_2^2

    F is the min-max normalisation of a channel over the batch and space; the norm is taken as a mean over pixels.

    Args:
        anomalous: features of A, ``[B, C, h, w]``.
        normal: features of I, ``[B, C, h, w]``.
        mask: M, ``[B, 1, H, W]``, 0 or 1.
        align: what F brings to one resolution: ``mask``: the difference to that of M, bilinearly, as Eq. 4 is printed;
            ``features``: M to that of the features, by nearest neighbour, as in the released code. A mask thinner than
            the stride can vanish so.
        epsilon: keeps a channel that does not react at all finite.

    Returns:
        ``[C]``, one loss a channel; 0 is a perfect outline.
    """
    difference = (anomalous - normal).square()
    low = difference.amin((0, 2, 3), keepdim=True)
    high = difference.amax((0, 2, 3), keepdim=True)
    normalised = (difference - low) / (high - low + epsilon)
    if align == "features":
        target = F.interpolate(mask.to(difference.dtype), size=difference.shape[-2:], mode="nearest")
        return (normalised - target).square().mean((0, 2, 3))
    return _enlarged_error(normalised, mask)


def _enlarged_error(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over images and pixels of (U x - M)^2, U the bilinear enlargement to the mask's size (corners on corners).

    ``x`` is ``[B, C, h, w]``, the result ``[C]``. |U x - M|^2 = <x, U'U x> - 2 <x, U'M> + |M|^2, and U is a product of
    one matrix a side, so that thousands of channels are never enlarged. In double precision where there is one: the
    terms are larger than what is left of them.
    """
    wide = torch.float32 if x.device.type == "mps" else torch.float64
    x, mask = x.to(wide), mask.to(wide)
    down = _enlargement(x.shape[-2], mask.shape[-2], mask)
    across = _enlargement(x.shape[-1], mask.shape[-1], mask)
    square = torch.einsum("bchw,bchw->c", x, (down.T @ down) @ x @ (across.T @ across))
    product = torch.einsum("bchw,bohw->c", x, down.T @ mask @ across)
    return ((square - 2 * product + mask.square().sum()) / mask.numel()).clamp_min(0).float()


def _enlargement(small: int, large: int, like: Tensor) -> Tensor:
    """The matrix ``[large, small]`` of linear interpolation along one side."""
    columns = torch.eye(small, dtype=like.dtype, device=like.device)[None]
    return F.interpolate(columns, size=large, mode="linear", align_corners=True)[0].T


class AFS(nn.Module):
    """Hands on m_k channels of each tap: chosen by AFS, at random (``rdr``), by a random projection, or all.

    Shapes:
        input: a list of ``[B, c_k, h_k, w_k]``; output: a list of ``[B, dimensions[k], h_k, w_k]``.

    Nothing here is trained. What was selected (indices, or the projection) is saved with the model; until
    :meth:`fit` was called ``afs`` passes the first m_k channels.

    Args:
        generator: draws the random choices of ``rdr`` and ``rlpr``.
    """

    def __init__(self, channels: Sequence[int], config: AfsConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.method, self.align = config.method, config.align
        self.dimensions = tuple(channels) if config.method == "none" else config.dimensions
        for k, (c, m) in enumerate(zip(channels, self.dimensions, strict=True)):
            if config.method in ("afs", "rdr") and m > c:
                raise UserError(
                    f"model.afs.dimensions[{k}] is {m}, but tap {k} of the backbone has only {c} channels; lower it "
                    "with --set."
                )
            if config.method == "rlpr":
                # Columns of unit variance keep the scale of a standardised feature.
                self.register_buffer(f"projection_{k}", torch.randn(m, c, generator=generator) / c**0.5)
            elif config.method == "rdr":
                self.register_buffer(f"index_{k}", torch.randperm(c, generator=generator)[:m].sort().values)
            elif config.method == "afs":
                self.register_buffer(f"index_{k}", torch.arange(m))
                self.register_buffer(f"loss_{k}", torch.zeros(c))

    @property
    def leaves_out(self) -> bool:
        """Whether AFS leaves a channel out: otherwise all are selected, whatever their losses."""
        return self.method == "afs" and any(
            self.get_buffer(f"loss_{k}").numel() > m for k, m in enumerate(self.dimensions)
        )

    @property
    def measured(self) -> bool:
        """Whether the losses of channels are known: :meth:`fit` has seen defects."""
        return self.method == "afs" and bool(self.get_buffer("loss_0").any())

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The selected channels of each feature."""
        if self.method == "none":
            return list(features)
        if self.method == "rlpr":
            return [
                torch.einsum("mc,bchw->bmhw", self.get_buffer(f"projection_{k}").to(f.dtype), f)
                for k, f in enumerate(features)
            ]
        indices = [self.get_buffer(f"index_{k}") for k in range(len(features))]
        # Indices are sorted: as many as there are channels are all of them as they stand.
        return [
            f if len(index) == f.shape[1] else f.index_select(1, index)
            for f, index in zip(features, indices, strict=True)
        ]

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Sequence[Tensor], Sequence[Tensor], Tensor]]) -> None:
        """Select by Eq. 4 in a single pass over ``(features of A, features of I, M)``; a no-op unless ``afs``.

        The losses of all channels are kept in ``loss_k`` (for the report's AFS view), the m_k smallest give the
        sorted ``index_k``.
        """
        if self.method != "afs":
            return
        found = [
            [afs_loss(a, i, mask, self.align) for a, i in zip(anomalous, normal, strict=True)]
            for anomalous, normal, mask in batches
        ]
        if not found:
            raise ValueError("AFS needs at least one batch of synthetic anomalies")
        for k, losses in enumerate(zip(*found, strict=True)):
            mean = sum(losses[1:], losses[0]) / len(found)
            self.get_buffer(f"loss_{k}").copy_(mean)
            self.get_buffer(f"index_{k}").copy_(mean.topk(self.dimensions[k], largest=False).indices.sort().values)
