"""Confirmed defects join a finished run: a linear head is fitted in closed form to what residuals they leave.

It is judged as all else is: good images by the one of two heads that has not seen them, and confirmed defects by heads
that were fitted to the others.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from realnet.calibration import score_threshold
from realnet.model.confirmed import FOLDS
from realnet.model.evidence import EvidenceDiscriminator
from realnet.model.network import RealNet
from realnet.progress import Stage, quiet
from realnet.training.heads import FoldedValidation, head_of
from realnet.training.kept_defects import KeptDefects
from realnet.training.out_of_sample import OutOfSample, file_scores, judged_evidence, part_scores, scores_by_file

LEAST_DEFECTS = 5
"""The fewest that were measured to help; a single one did harm (benchmarks/RESULTS.md, "Confirmed defects")."""
LEAST_GOOD = 50
"""With fewer good images, half of which each head is fitted without, more good ones were rejected (likewise)."""
# Cells of an image that are taken for its defect; of good images, and as many anywhere, for none.
_PLACES = 5
# Confirmed defects are shared out to so many folds, each judged by heads of the others.
_DEFECT_FOLDS = 5


class DefectsLearner:
    """Fits the head of confirmed defects of ``model``, whose every other part is in force already.

    Args:
        model: of evidence; its head of confirmed defects is made anew.
        result: the good images, judged by folds.
        kept: the confirmed defects.
        validation: of ``result``, which has the good images' logits of the other heads.
        seed: draws the places of good images that are not the most suspicious ones.
    """

    @torch.no_grad()
    def __init__(
        self, model: RealNet, result: OutOfSample, kept: KeptDefects, validation: FoldedValidation, seed: int
    ) -> None:
        self.model, self.result, self.kept = model, result, kept
        self._forget()
        # What the other heads say of what sets the threshold.
        self._logits = validation.logits(result.limiting)
        self._fold = head_of(result, FOLDS)
        self._normal = self._normal_vectors(validation.logits(result.good), np.random.default_rng(seed))
        self._anomalous = self._anomalous_vectors()

    @torch.no_grad()
    def fit(self, chosen: Sequence[int] | None = None) -> None:
        """Fit the head to the confirmed defects of these numbers; None: to all."""
        numbers = range(len(self.kept.digests)) if chosen is None else chosen
        positive = torch.cat([self._anomalous[number] for number in numbers])
        heads = [linear_discriminant(self._normal[self._fold != fold].flatten(0, 1), positive) for fold in range(FOLDS)]
        head = self._discriminator.add_confirmed()
        head.set_heads(torch.stack([weights for weights, _ in heads]), torch.stack([offset for _, offset in heads]))
        judge_confirmed(self.model, self.result)

    @torch.no_grad()
    def found(self, false_alarms: float, stage: Stage = quiet) -> tuple[int, int]:
        """How many confirmed defects are found without the head, and by heads that were fitted to the others; each
        time with the threshold that the good images set then. The head is to be fitted after that.
        """
        count, folds = len(self.kept.digests), min(_DEFECT_FOLDS, len(self.kept.digests))
        self._forget()
        without, unseen = sum(self._alarms(false_alarms)), 0
        for fold in range(folds):
            stage("Judging each confirmed defect by what has not seen it", fold, folds)
            self.fit([number for number in range(count) if number % folds != fold])
            unseen += sum(self._alarms(false_alarms)[fold::folds])
        return without, unseen

    @property
    def _discriminator(self) -> EvidenceDiscriminator:
        assert self.model.evidence is not None
        return self.model.evidence

    def _forget(self) -> None:
        self._discriminator.confirmed = None
        for part in self.result.parts():
            part.confirmed = None

    def _alarms(self, false_alarms: float) -> list[bool]:
        own = part_scores(self.model, self.result.limiting, self._logits).tolist()
        limit, _ = score_threshold(scores_by_file(self.result.groups.tolist(), own), false_alarms)
        scores = file_scores(self.model, self.kept.features, self.kept.groups)
        return [score > limit for score in scores]

    def _normal_vectors(self, logits: Tensor | None, rng: np.random.Generator) -> Tensor:
        """Of each good image, its most suspicious places and as many anywhere: ``[N, 2 p, C]``."""
        good, side = self.result.good, self.model.config.image_size
        height, width = good.logs[0].shape[-2:]
        anywhere = torch.from_numpy(rng.integers(0, height * width, (len(good), _PLACES)))
        maps = judged_evidence(self._discriminator, good, torch.arange(len(good)), side, logits)
        cells = torch.cat([_suspicious(judged.score, height, width).indices.cpu() for judged in maps])
        return _vectors(good.logs, torch.cat([cells, anywhere], 1))

    def _anomalous_vectors(self) -> list[Tensor]:
        """Of each confirmed defect, the most suspicious places of all its tiles: ``[p, C]``."""
        device, side = next(self.model.buffers()).device, self.model.config.image_size
        vectors, values = [], []
        for start in range(0, len(self.kept.groups), 16):
            features = [f[start : start + 16].to(device).float() for f in self.kept.features]
            residuals = self.model.residuals(features)[0]
            height, width = residuals[0].shape[-2:]
            top = _suspicious(self._discriminator(residuals, (side, side)).score, height, width)
            vectors.append(_vectors([residual.log1p() for residual in residuals], top.indices.cpu()))
            values.append(top.values.cpu())
        return _strongest(torch.cat(vectors), torch.cat(values), self.kept.groups)


@torch.no_grad()
def judge_confirmed(model: RealNet, result: OutOfSample) -> None:
    """Let the head of confirmed defects judge the good images and what was made of them, each the half of it that has
    not seen it, and set its level by the good ones; nothing where there is no such head.
    """
    discriminator = model.evidence
    if discriminator is None or discriminator.confirmed is None:
        return
    fold, side = head_of(result, FOLDS), model.config.image_size
    for part in (result.good, result.faint, result.at_limit):
        if part.logs and len(part):
            batches = (slice(i, i + 32) for i in range(0, len(part), 32))
            both = torch.cat([discriminator.confirmed(part.log_rows(batch)) for batch in batches])
            own = fold[part.of].to(both.device)[:, None, None, None].expand(-1, 1, *both.shape[-2:])
            part.confirmed = both.gather(1, own)
    assert result.good.confirmed is not None
    discriminator.fit_confirmed(result.good.confirmed, (side, side))


def linear_discriminant(negative: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``[C]`` and offset of Fisher's linear discriminant between two equally likely sets of vectors.

    Both are ``[n, C]``. Each covariance is that of standardised numbers, shrunk as Ledoit and Wolf (2004) have it.
    """
    sets = [part.double().cpu() for part in (negative, positive)]
    covariance = sum((_shrunk_covariance(part) for part in sets), torch.zeros(())) / len(sets)
    means = torch.stack([part.mean(0) for part in sets], 1)  # [C, 2]
    directions = torch.linalg.lstsq(covariance, means, driver="gelsd").solution
    offsets = -0.5 * (means * directions).sum(0)
    return (directions[:, 1] - directions[:, 0]).float(), (offsets[1] - offsets[0]).float()


def _shrunk_covariance(vectors: Tensor) -> Tensor:
    """The Ledoit-Wolf estimate ``[C, C]`` of standardised ``vectors`` ``[n, C]``, in their own units."""
    count, channels = vectors.shape
    centred = vectors - vectors.mean(0)
    scale = centred.square().mean(0).sqrt()
    scale = torch.where(scale > 1e-12, scale, 1.0)
    unit = centred / scale
    covariance = unit.t() @ unit / count
    middle = covariance.trace() / channels
    distance = (covariance.square().sum() - 2 * middle * covariance.trace() + channels * middle**2) / channels
    squares = unit.square()
    error = ((squares.t() @ squares).sum() / count - covariance.square().sum()) / (channels * count)
    shrinkage = (error.clamp_max(distance) / distance.clamp_min(1e-300)).clamp(0, 1)
    shrunk = (1 - shrinkage) * covariance + shrinkage * middle * torch.eye(channels, dtype=vectors.dtype)
    return scale[:, None] * shrunk * scale


def _suspicious(maps: Tensor, height: int, width: int) -> torch.return_types.topk:
    """The cells ``[n, p]`` of a grid where ``maps`` ``[n, 1, H, W]`` are highest, and how high they are there."""
    return F.adaptive_avg_pool2d(maps, (height, width)).flatten(1).topk(_PLACES)


def _vectors(logs: Sequence[Tensor], cells: Tensor) -> Tensor:
    """log(1 + E) ``[n, m_k, h_k, w_k]`` of every channel in some cells ``[n, p]`` of the finest grid: ``[n, p, C]``."""
    size, found = logs[0].shape[-2:], []
    for row, own in enumerate(cells):
        large = [
            F.interpolate(log[row : row + 1].float(), size=size, mode="bilinear", align_corners=False)[0]
            for log in logs
        ]
        found.append(torch.cat([log.flatten(1)[:, own.to(log.device)] for log in large]).t().cpu())
    return torch.stack(found)


def _strongest(vectors: Tensor, values: Tensor, groups: Tensor) -> list[Tensor]:
    """Of each file, whose tiles are rows of ``vectors``, those of the highest ``values``."""
    found = []
    for group in range(int(groups.max()) + 1):
        rows = groups == group
        best = values[rows].flatten().topk(_PLACES).indices
        found.append(vectors[rows].flatten(0, 1)[best])
    return found
