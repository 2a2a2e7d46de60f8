"""What training and calibration look at, judged by what has not seen it, and the verdicts on it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from realnet.model.evidence import EvidenceDiscriminator, Judged
from realnet.model.network import Judgement, RealNet, conclusion

# Of no image.
_NONE, _NO_MASKS = torch.zeros(0, dtype=torch.long), torch.zeros(0, 1, 1, 1, dtype=torch.uint8)


@dataclass
class Residuals:
    """Residuals of some images, each by subspaces fitted without its good image.

    ``logs`` is log(1 + E) in units of good images, half precision, ``[n, m_k, h_k, w_k]`` a reconstruction; ``of`` the
    number of the good image each was made of, ``energies`` the discriminator's log energies of them, ``logits`` those
    ``[n, 1, h, w]`` of its heads before they are trained (None: they know nothing), ``confirmed`` of its head of
    confirmed defects.
    """

    of: Tensor = _NONE
    logs: list[Tensor] = field(default_factory=list)
    energies: list[Tensor] = field(default_factory=list)
    logits: Tensor | None = None
    confirmed: Tensor | None = None

    def __len__(self) -> int:
        return len(self.of)

    def log_rows(self, rows: slice | Tensor) -> list[Tensor]:
        """log(1 + E) of some rows, in single precision, as heads take it fastest."""
        return [log[rows].contiguous(memory_format=torch.channels_last).float() for log in self.logs]

    def residuals(self, rows: slice | Tensor) -> list[Tensor]:
        """E of some rows, in single precision."""
        return [log[rows].float().expm1() for log in self.logs]


@dataclass
class OutOfSample:
    """All that training and calibration look at: none of it was seen by the subspace that judges it.

    ``groups`` numbers the file of each good image (tiles share one). ``good`` are the good images, ``moved`` their
    copies, ``at_limit`` copies moved as far as is tolerated (empty without a tolerance), ``defects`` the synthetic
    defects with their ``masks`` uint8 ``[M, 1, H, W]``, ``faint`` those of validation with ``faint_masks``.
    """

    groups: Tensor
    good: Residuals
    moved: Residuals = field(default_factory=Residuals)
    at_limit: Residuals = field(default_factory=Residuals)
    defects: Residuals = field(default_factory=Residuals)
    masks: Tensor = _NO_MASKS
    faint: Residuals = field(default_factory=Residuals)
    faint_masks: Tensor = _NO_MASKS
    augmentation: str = ""

    def parts(self) -> tuple[Residuals, ...]:
        """The five kinds of images."""
        return self.good, self.moved, self.at_limit, self.defects, self.faint

    @property
    def limiting(self) -> Residuals:
        """The good images that the threshold rests on."""
        return self.at_limit if len(self.at_limit) else self.good

    @property
    def source(self) -> str:
        """What the threshold rests on, in words."""
        moved = "moved as far as is tolerated, and " if len(self.at_limit) else ""
        return f"good images, {moved}each judged by what has not seen it"

    def fold(self, folds: int) -> Tensor:
        """Which of at most so many folds each good image is in ``[N]``; images of a file share theirs."""
        return self.groups % min(folds, int(self.groups.max()) + 1)


@torch.no_grad()
def judged_maps(model: RealNet, part: Residuals, rows: Tensor, logits: Tensor | None = None) -> Iterator[Judgement]:
    """Maps ``[b, 1, H, W]`` and scores ``[b]`` of some rows of ``part``, batch after batch.

    Args:
        logits: of the heads, ``[n, 1, h, w]``, a row each of ``rows``; None: as before they are trained.
    """
    side = model.config.image_size
    if model.evidence is not None:
        for judged in judged_evidence(model.evidence, part, rows, side, logits):
            yield conclusion(judged, model.config.image_score)
        return
    for batch in rows.split(32):
        yield model.conclude(part.residuals(batch), (side, side))


@torch.no_grad()
def judged_evidence(
    discriminator: EvidenceDiscriminator, part: Residuals, rows: Tensor, side: int, logits: Tensor | None = None
) -> Iterator[Judged]:
    """Likewise in deviations of good images; images of ``side`` by ``side`` pixels."""
    for start in range(0, len(rows), 32):
        batch = rows[start : start + 32]
        energies = [energy[batch] for energy in part.energies]
        if logits is not None:
            own = logits[start : start + 32]
        else:
            own = torch.zeros_like(energies[0][:, :1]) if part.logits is None else part.logits[batch]
        known = None if part.confirmed is None else part.confirmed[batch]
        yield discriminator.conclude(energies, own, (side, side), known)


def part_scores(model: RealNet, part: Residuals, logits: Tensor | None = None) -> Tensor:
    """Scores ``[n]`` of all of ``part``; see :func:`judged_maps`."""
    rows = torch.arange(len(part))
    return torch.cat([score.cpu() for _, score in judged_maps(model, part, rows, logits)])


def scores_by_file(groups: Iterable[int], scores: Sequence[float]) -> list[float]:
    """The score of each file, in the order of their numbers: the highest of its tiles'.

    ``groups`` says of which file each tile is; numbers may be missing.
    """
    highest: dict[int, float] = {}
    for group, score in zip(groups, scores, strict=True):
        highest[group] = max(highest.get(group, 0.0), score)
    return [highest[group] for group in sorted(highest)]


@torch.no_grad()
def file_scores(model: RealNet, features: Sequence[Tensor], groups: Tensor) -> list[float]:
    """The score of each file by ``model`` as it is; ``features`` as :meth:`RealNet.select` returns them, of images new
    to it, and of which file each is.
    """
    device, side = next(model.buffers()).device, model.config.image_size
    found: list[float] = []
    for start in range(0, len(groups), 16):
        batch = [f[start : start + 16].to(device).float() for f in features]
        found += model.judge_selected(batch, (side, side))[0].score.tolist()
    return scores_by_file(groups.tolist(), found)
