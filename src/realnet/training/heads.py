"""Training of the discriminator on residuals that are made once: batches, loss and validation."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.calibration import pixel_threshold
from realnet.data.samples import spread
from realnet.evaluation.metrics import average_precision, image_auroc
from realnet.model.evidence import EvidenceDiscriminator
from realnet.model.losses import segmentation_loss
from realnet.model.network import RealNet
from realnet.training.out_of_sample import OutOfSample, Residuals, judged_maps, part_scores
from realnet.training.validation import Figure

# A stream of random numbers of its own.
_DRAW = 6
# Maps kept of good images for the threshold of pixels and the pixel figure.
_MOST_MAPS = 96
# A cell of the grid counts as defective from this share of its pixels on.
_DEFECTIVE_SHARE = 0.25


class HeadBatch(NamedTuple):
    """One step's input, one item a head: log(1 + E) ``[B, m_k, h_k, w_k]`` a network, and M ``[B, 1, H, W]``."""

    logs: list[list[Tensor]]
    masks: list[Tensor]
    step: int


class HeadBatches:
    """The endless, resumable sequence of batches: half good images and their copies, half synthetic defects.

    Head j never sees the good images whose group leaves the remainder j, nor anything made of them.

    Args:
        heads: how many are trained.
        seed: of the order of everything.
        batch_size: B, even.
        share: this process's of every batch under DDP.
    """

    def __init__(self, seen: OutOfSample, heads: int, seed: int, batch_size: int, share: slice = slice(None)) -> None:
        self.seen, self.seed, self.half, self.share = seen, seed, batch_size // 2, share
        own = head_of(seen, heads)
        count = len(seen.good)
        of = torch.cat([seen.good.of, seen.moved.of])
        self.rows = []
        for head in range(heads):
            allowed = torch.ones(count, dtype=torch.bool) if heads == 1 else own != head
            self.rows.append((allowed[of].nonzero()[:, 0].numpy(), allowed[seen.defects.of].nonzero()[:, 0].numpy()))

    def starting_at(self, step: int, steps: int) -> Iterator[HeadBatch]:
        """Batches of the steps ``step`` to ``steps - 1``."""
        for number in range(step, steps):
            parts = [self._batch(number, head, *rows) for head, rows in enumerate(self.rows)]
            yield HeadBatch([logs for logs, _ in parts], [mask for _, mask in parts], number)

    def _batch(self, step: int, head: int, goods: np.ndarray, defects: np.ndarray) -> tuple[list[Tensor], Tensor]:
        rng = np.random.default_rng([self.seed, _DRAW, step, head])
        normal = torch.from_numpy(rng.choice(goods, self.half)[self.share])
        anomalous = torch.from_numpy(rng.choice(defects, self.half)[self.share])
        seen, count = self.seen, len(self.seen.good)
        own, copy = normal[normal < count], normal[normal >= count] - count
        logs = []
        for k in range(len(seen.good.logs)):
            picked = [seen.good.logs[k][own], seen.defects.logs[k][anomalous]]
            if len(copy):
                picked.insert(1, seen.moved.logs[k][copy])
            logs.append(torch.cat(picked).float().contiguous(memory_format=torch.channels_last))
        masks = seen.masks[anomalous]
        return logs, torch.cat([torch.zeros_like(masks[:1]).expand(len(normal), -1, -1, -1), masks]).to(logs[0].device)


def head_of(seen: OutOfSample, heads: int) -> Tensor:
    """Which head has not seen each good image ``[N]``."""
    return seen.groups % heads


class LossOfHeads(nn.Module):
    """L_seg of a batch: of every head on its own images; of the paper's discriminator where that is configured.

    A head's is binary cross-entropy plus Dice on its grid, with a share of the residual channels hidden.
    """

    def __init__(self, model: RealNet, seed: int) -> None:
        super().__init__()
        self.rrs, self.discriminator = model.rrs, model.discriminator
        self._logits = model.logits
        self.dropout, self.seed = model.config.discriminator.channel_dropout, seed

    def forward(self, logs: list[list[Tensor]], masks: list[Tensor], step: int) -> tuple[Tensor, ...]:
        """L, 0 (nothing is reconstructed by training) and L_seg."""
        if isinstance(self.discriminator, EvidenceDiscriminator):
            # By the step, so that a resumed training hides the same channels.
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            parts = [
                grid_loss(head([hide_channels(log, self.dropout, generator) for log in own]), mask)
                for head, own, mask in zip(self.discriminator.heads, logs, masks, strict=True)
            ]
            loss = torch.stack(parts).sum()
        else:
            size = (masks[0].shape[-2], masks[0].shape[-1])
            loss = segmentation_loss(self._logits([log.expm1() for log in logs[0]], size), masks[0])
        return loss, torch.zeros_like(loss), loss


def grid_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy plus Dice of ``logits`` ``[B, 1, h, w]`` with M ``[B, 1, H, W]`` on their grid."""
    height, width = logits.shape[-2:]
    target = (F.adaptive_avg_pool2d(mask.float(), (height, width)) > _DEFECTIVE_SHARE).to(logits.dtype)
    found = logits.sigmoid()
    dice = 1 - (2 * (found * target).sum() + 1) / (found.sum() + target.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, target) + dice


def hide_channels(log: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """``log`` ``[B, C, h, w]`` with a share of each image's channels set to 0, and the others made up for it."""
    if not share:
        return log
    kept = torch.rand(log.shape[0], log.shape[1], 1, 1, generator=generator) > share
    return log * (kept.to(log.device, log.dtype) / (1 - share))


class FoldedValidation:
    """Good images and faint defects, each judged by subspace and head that have seen neither it nor its good image.

    With one head, or the paper's discriminator, only the subspace has not: what was learned is then in sample.

    Args:
        model: judged as it is now, in eval mode; what its learned part is standardised by is fitted on the way.
        learned: whether the heads are trained; False: they are as they came.
    """

    def __init__(self, model: RealNet, seen: OutOfSample, learned: bool) -> None:
        self.model, self.seen, self.learned = model, seen, learned
        self.heads = 1 if model.evidence is None else len(model.evidence.heads)
        self.head = head_of(seen, self.heads)
        self._examined: tuple[Figure, float] | None = None

    @torch.no_grad()
    def logits(self, part: Residuals) -> Tensor | None:
        """Logits ``[n, 1, h, w]`` of ``part``, each by the head that has not seen it; None where none is trained."""
        if not self.learned or self.model.evidence is None:
            return None
        height, width = part.logs[0].shape[-2:]
        found = torch.zeros(len(part), 1, height, width, device=part.logs[0].device)
        for number, head in enumerate(self.model.evidence.heads):
            for rows in (self.head[part.of] == number).nonzero()[:, 0].split(32):
                found[rows] = head(part.log_rows(rows))
        return found

    def settle(self) -> Tensor | None:
        """Standardise the learned part by the good images' logits, which are returned; None where none is trained."""
        logits = self.logits(self.seen.good)
        if logits is not None and self.model.evidence is not None:
            side = self.model.config.image_size
            self.model.evidence.fit_learned(logits, (side, side), trained=True)
        return logits

    def scores(self, part: Residuals) -> Tensor:
        """Scores ``[n]`` of ``part`` by the model as it is now."""
        return part_scores(self.model, part, self.logits(part))

    def __call__(self) -> Figure:
        """Judge good images and faint defects with the model as it is now."""
        return self.examine()[0]

    def examine(self) -> tuple[Figure, float]:
        """As :meth:`__call__`, with the threshold of pixels. Where nothing is learned, they are the same each time."""
        if self._examined is None or self.learned:
            self._examined = self._examine()
        return self._examined

    def _examine(self) -> tuple[Figure, float]:
        good, good_maps = self._judge(self.seen.good, self.settle())
        faint, faint_maps = self._judge(self.seen.faint, self.logits(self.seen.faint))
        marked = self.seen.faint_masks[spread(len(self.seen.faint), _MOST_MAPS), 0, ::2, ::2].bool().cpu().numpy()
        maps = np.concatenate([good_maps, faint_maps])
        truth = np.concatenate([np.zeros(good_maps.shape, bool), marked])
        labels = np.arange(len(good) + len(faint)) >= len(good)
        figure = Figure(
            image_auroc=image_auroc(np.array(good + faint), labels),
            pixel_average_precision=average_precision(maps, truth),
            good_scores=tuple(good),
            defect_scores=tuple(faint),
        )
        return figure, pixel_threshold(good_maps, self.model.config.discriminator.kind)

    def pixel_threshold(self) -> float:
        """From where on a pixel is outlined, by the good images."""
        _, maps = self._judge(self.seen.good, self.logits(self.seen.good))
        return pixel_threshold(maps, self.model.config.discriminator.kind)

    def _judge(self, part: Residuals, logits: Tensor | None) -> tuple[list[float], np.ndarray]:
        """The score of each image, and every second pixel of the maps of some, evenly spread: ``[n, H / 2, W / 2]``."""
        chosen = set(spread(len(part), _MOST_MAPS))
        scores: list[float] = []
        maps: list[Tensor] = []
        for found, score in judged_maps(self.model, part, torch.arange(len(part)), logits):
            rows = [row for row in range(len(found)) if len(scores) + row in chosen]
            maps.append(found[rows, 0, ::2, ::2].cpu())
            scores += score.tolist()
        return scores, torch.cat(maps).numpy()
