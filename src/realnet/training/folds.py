"""Closed-form reconstruction: subspaces fitted to good images, and every image judged by one that has not seen it."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from realnet.config import Config, ToleranceConfig
from realnet.data import GoodImages
from realnet.evaluation.metrics import image_auroc
from realnet.model.evidence import EvidenceDiscriminator, Judged
from realnet.model.familiarity import describe
from realnet.model.folding import fold_batch_norms
from realnet.model.general import general_weights
from realnet.model.network import Judgement, RealNet, conclusion
from realnet.model.subspace import Gram, Rebuilding, Subspace, set_subspace
from realnet.synthesis.synthesizer import Synthesizer
from realnet.training.batches import shuffled_index
from realnet.training.extracting import Extractor
from realnet.training.moved import STRENGTHS, copies, copies_each

# Faint defects that validation is measured on: numbered apart from those of training, and as many as that.
_VALIDATION_FIRST, _VALIDATION_DEFECTS = 2**41, 128
# Identical images leave no residual; what is below a thirtieth of a feature's deviation is rounding.
_LEAST_LEVEL = 1e-3
# Feature maps that are judged at a time.
_ROWS = 128


class Stage(Protocol):
    """Told what preparation is at, and how far it is."""

    def __call__(self, text: str, done: int = 0, total: int = 0) -> None:
        """A stage called ``text`` has done that many of ``total``; 0: nobody knows of how many."""
        ...


def quiet(text: str, done: int = 0, total: int = 0) -> None:
    """Tell nobody."""


@dataclass
class Residuals:
    """Residuals of some images, each by subspaces fitted without its good image.

    ``logs`` is log(1 + E) in units of good images, half precision, ``[n, m_k, h_k, w_k]`` a reconstruction; ``of`` the
    number of the good image each was made of, ``energies`` the discriminator's log energies of them, ``general`` the
    logits ``[n, 1, h, w]`` of its general head (None: it has none), ``confirmed`` of its head of confirmed defects.
    """

    of: Tensor
    logs: list[Tensor] = field(default_factory=list)
    energies: list[Tensor] = field(default_factory=list)
    general: Tensor | None = None
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
    moved: Residuals
    at_limit: Residuals
    defects: Residuals
    masks: Tensor
    faint: Residuals
    faint_masks: Tensor
    augmentation: str

    def parts(self) -> tuple[Residuals, ...]:
        """The five kinds of images."""
        return self.good, self.moved, self.at_limit, self.defects, self.faint


def source_of(seen: OutOfSample) -> str:
    """What the threshold rests on, in words."""
    moved = "moved as far as is tolerated, and " if len(seen.at_limit) else ""
    return f"good images, {moved}each judged by what has not seen it"


def groups_of(images: Sequence[np.ndarray]) -> list[int]:
    """The number of the file that each image is, or is a tile of."""
    return images.files if isinstance(images, GoodImages) else list(range(len(images)))


class Solver:
    """Fits the subspaces of ``model`` to good images, and judges images out of sample on the way.

    Args:
        model: statistics, selection and subspaces are set in place.
        synthesizer: of the good images that are fitted to.
    """

    def __init__(
        self, model: RealNet, synthesizer: Synthesizer, config: Config, device: torch.device, stage: Stage = quiet
    ) -> None:
        self.model, self.synthesizer, self.config, self.device, self.stage = model, synthesizer, config, device, stage
        self.images = synthesizer.images
        self._extractor = Extractor(model, device)
        self._selected = self._extractor.selected
        # Of every part that :meth:`solve` looked at, and of the copies that it chose.
        self.features: dict[str, list[Tensor]] = {}

    @torch.no_grad()
    def solve(self) -> OutOfSample:
        """Statistics, AFS, augmentation, subspaces and evidence, in this order."""
        count = len(self.images)
        groups = torch.tensor(groups_of(self.images))
        raw = self._extract(self.images, torch.float32, f"Reading {count} good images", count)
        if self.config.model.backbone.standardise:
            self.model.backbone.fit_statistics([raw])
        raw_defects, of, masks = self._defects(self._defects_wanted(), 0)
        parts: dict[str, list[Tensor]] = {}
        if len(of):
            self.model.afs.fit(self._afs_batches(raw, raw_defects, of, masks))
        if self.config.training.steps == 0:  # they have chosen channels, and teach nothing
            of, masks = of[:0], masks[:0]
        else:
            parts["defects"] = self._selected(raw_defects)
        del raw_defects
        parts["good"] = self._selected(raw)
        del raw
        load_general(self.model)
        raw_faint, faint_of, faint_masks = self._defects(
            min(_VALIDATION_DEFECTS, 2 * count), _VALIDATION_FIRST, faint=True
        )
        parts["faint"] = self._selected(raw_faint)
        del raw_faint
        none = torch.zeros(0, dtype=torch.long)
        result = OutOfSample(
            groups=groups,
            good=Residuals(torch.arange(count)),
            moved=Residuals(none),
            at_limit=Residuals(none),
            defects=Residuals(of),
            masks=masks,
            faint=Residuals(faint_of),
            faint_masks=faint_masks,
            augmentation="",
        )
        self._augment(result, parts)
        return result

    def _defects_wanted(self) -> int:
        """How many defects are made: for what is learned, or where nothing is, for AFS alone, if it has a choice."""
        settings, afs = self.config.training, self.config.model.afs
        if settings.steps != 0:
            return settings.defects
        return min(settings.defects, afs.batches * afs.batch_size) if self.model.afs.leaves_out else 0

    def _extract(
        self, images: Iterable[np.ndarray], kept: torch.dtype = torch.float16, said: str = "", total: int = 0
    ) -> list[Tensor]:
        """As :meth:`Extractor.raw`; ``said``: what this stage is called, of ``total`` images."""

        def told(done: int) -> None:
            if said:
                self.stage(said, done, total)

        return self._extractor.raw(images, kept, told)

    def _defects(self, count: int, first: int, faint: bool = False) -> tuple[list[Tensor], Tensor, Tensor]:
        """Raw features of synthetic defects, the numbers ``[n]`` of their good images, masks uint8 ``[n, 1, H, W]``.

        Each good image serves equally often. Images are looked at as they are made, and not kept.
        """
        goods = [shuffled_index(len(self.images), self.config.seed, position) for position in range(count)]
        make = self.synthesizer.faint if faint else self.synthesizer
        masks: list[np.ndarray] = []

        def images() -> Iterator[np.ndarray]:
            for position, good in enumerate(goods):
                defect = make(first + position, good)
                masks.append(defect.mask)
                yield defect.image

        said = "Making synthetic defects to validate with" if faint else f"Making {count} synthetic defects"
        raw = self._extract(images(), said=said, total=count)
        stacked = np.stack(masks).astype(np.uint8) if masks else np.zeros((0, 1, 1), np.uint8)
        return raw, torch.tensor(goods, dtype=torch.long), torch.from_numpy(stacked)[:, None]

    def _afs_batches(
        self, raw: Sequence[Tensor], raw_defects: Sequence[Tensor], goods: Tensor, masks: Tensor
    ) -> Iterable[tuple[list[Tensor], list[Tensor], Tensor]]:
        """Batches for Eq. 4 out of the defects at hand; fewer than configured where there are not as many."""
        size, backbone = self.config.model.afs.batch_size, self.model.backbone
        for start in range(0, min(len(goods), self.config.model.afs.batches * size), size):
            rows = slice(start, start + size)
            anomalous = backbone.standardised([f[rows].float() for f in raw_defects])
            normal = backbone.standardised([f[goods[rows]].float() for f in raw])
            yield anomalous, normal, masks[rows].to(self.device)

    def _augment(self, result: OutOfSample, parts: dict[str, list[Tensor]]) -> None:
        """Choose the copies that join the subspace, and judge everything with them."""
        settings, count = self.config.training, len(self.images)
        each = copies_each(count)
        asked: str = settings.augmentation
        candidates = {asked: STRENGTHS.get(asked, ToleranceConfig())}
        if settings.tolerance.asked:
            candidates = {"tolerance": settings.tolerance}
            result.at_limit = Residuals(torch.arange(count))
            worst = copies(self.images, settings.tolerance, 1, self.config.seed, at_limit=True)
            parts["at_limit"] = self._selected(self._extract(worst))
            each = max(2, each)
        elif asked == "auto":
            # What lies between them was never chosen by more than chance would.
            candidates = {name: STRENGTHS[name] for name in ("none", "strong")}
        best, solved = -1.0, []
        for name, limits in candidates.items():
            self.stage(f"Solving for the subspaces of {count} good images (augmentation: {name})")
            features, of = parts, torch.zeros(0, dtype=torch.long)
            if limits.asked:
                moved = self._extract(copies(self.images, limits, each, self.config.seed), torch.float32)
                features = {**parts, "moved": self._selected(moved)}
                del moved
                of = torch.arange(count).repeat_interleave(each)
            value = 0.0
            if len(candidates) > 1:
                result.moved = Residuals(of)
                solved = judge_by_folds(self.model, self.config, result, features, ("good", "faint"))
                value = self._separation(result)
            if value > best:
                best, kept = value, (name, features, of)
        # Everything is judged for the augmentation that is kept only: the residuals are most of the memory.
        result.augmentation, self.features, of = kept
        # Copies are judged to learn from, beside defects.
        judged = [part for part in self.features if part != "moved" or "defects" in parts]
        if not solved or result.augmentation != name or len(judged) > 2:
            result.moved = Residuals(of)
            solved = judge_by_folds(self.model, self.config, result, self.features, judged)
        set_solved(self.model, solved)
        fit_familiarity(self.model, self.config, result, self.features)

    def _separation(self, result: OutOfSample) -> float:
        """How well the evidence alone tells good images from faint defects: image AUROC."""
        scores = [part_scores(self.model, part) for part in (result.good, result.faint)]
        labels = torch.cat([torch.zeros(len(scores[0])), torch.ones(len(scores[1]))])
        return image_auroc(torch.cat(scores), labels)


def judge_by_folds(
    model: RealNet, config: Config, result: OutOfSample, parts: Mapping[str, Sequence[Tensor]], judged: Sequence[str]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Judge some parts out of sample; returns mean, basis and level of the subspace of all good images, a network.

    Args:
        model: its evidence is fitted.
        result: how the images belong together; residuals and energies are set.
        parts: selected features ``[n, m_k, h_k, w_k]`` a network, named as the parts of ``result``: ``good`` and, where
            there are copies, ``moved`` join the subspaces.
        judged: the names of the parts whose residuals are wanted, ``good`` among them.
    """
    settings = config.model.reconstruction
    folds = min(config.training.folds, int(result.groups.max()) + 1)
    fold = result.groups % folds
    for part in result.parts():
        part.logs = []
    of = torch.cat([result.good.of, result.moved.of])
    solved = []
    for k, good in enumerate(parts["good"]):
        gram = Gram(torch.cat([good, *([parts["moved"][k]] if "moved" in parts else [])]).flatten(1).float())
        by = [
            gram.rebuilding((fold[of] != number).nonzero()[:, 0], settings.variance, settings.components)
            for number in range(folds)
        ]
        level = None
        for name in sorted(judged, key="good".__ne__):  # good images first: they are the unit
            own: Residuals = getattr(result, name)
            place = {"good": 0, "moved": len(good)}.get(name)
            squares: Iterable[Tensor] = _squares(gram, parts[name][k], fold[own.of], by, place)
            if level is None:
                whole = torch.cat(list(squares))
                level, squares = whole.mean((0, 2, 3)).clamp_min(_LEAST_LEVEL), [whole]
            unit = level[:, None, None]
            own.logs.append(torch.cat([some.div_(unit).log1p_().half() for some in squares]))
        assert level is not None
        mean, basis = gram.fit(range(len(gram.maps)), settings.variance, settings.components)
        solved.append((mean, basis, level))
    _fit_evidence(model, result)
    return solved


def _squares(gram: Gram, maps: Tensor, fold: Tensor, by: Sequence[Rebuilding], first: int | None) -> Iterator[Tensor]:
    """Squares of what subspaces leave of ``maps`` ``[n, m, h, w]``, some rows after others.

    Args:
        fold: which of the subspaces ``by`` judges each map.
        first: the place of the first map among those of ``gram``; None: they are not among them.
    """
    for rows in torch.arange(len(maps), device=maps.device).split(_ROWS):
        own = maps[rows]
        centred = own.flatten(1).float() - gram.origin
        products = None if first is None else gram.products[first + rows]
        yield gram.left(centred, by, fold[rows.cpu()].to(maps.device), products).square_().view(own.shape)


def set_solved(model: RealNet, solved: Sequence[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Make the subspaces of ``model`` those that :func:`judge_by_folds` returned."""
    for network, (mean, basis, level) in zip(model.reconstruction.networks, solved, strict=True):
        assert isinstance(network, Subspace)
        set_subspace(network, mean, basis)
        network.level.copy_(level)


@torch.no_grad()
def fit_familiarity(model: RealNet, config: Config, result: OutOfSample, parts: Mapping[str, Sequence[Tensor]]) -> None:
    """Fit what an image of the product is like as a whole, to good images and their copies.

    With tiles whatever is shown is known: a defect may fill a tile.

    Args:
        parts: as for :func:`judge_by_folds`.
    """
    if model.familiarity is None:
        return
    found, of = [], []
    for name in (name for name in ("good", "moved", "at_limit") if name in parts):
        features = parts[name]
        found += [describe([f[i : i + 64] for f in features]) for i in range(0, len(features[0]), 64)]
        of.append(getattr(result, name).of)
    folds = (result.groups % min(config.training.folds, int(result.groups.max()) + 1))[torch.cat(of)]
    descriptions = torch.cat(found)
    model.familiarity.fit(
        descriptions, folds.to(descriptions.device), model.selected_scales(), bounded=config.model.tile is None
    )


def _fit_evidence(model: RealNet, result: OutOfSample) -> None:
    """Fit the evidence to the good images, and compute that of all that is to have a verdict."""
    discriminator = model.discriminator
    if not isinstance(discriminator, EvidenceDiscriminator):
        return
    for k, log in enumerate(result.good.logs):
        discriminator.fit_typical(k, log.amax((2, 3)).float().expm1())
    size = model.config.image_size
    for part in (result.good, result.faint, result.at_limit):  # the others have no verdict
        judged = bool(part.logs) and len(part) > 0
        part.energies = _energies(discriminator, part) if judged else []
        part.general = _general(discriminator, part) if judged else None
    discriminator.fit_evidence(result.good.energies, (size, size))
    if result.good.general is not None:
        discriminator.fit_general(result.good.general, (size, size))


def _energies(discriminator: EvidenceDiscriminator, part: Residuals) -> list[Tensor]:
    found = [discriminator.log_energies(part.residuals(slice(i, i + 64))) for i in range(0, len(part), 64)]
    return [torch.cat([energies[k] for energies in found]) for k in range(len(found[0]))]


def load_general(model: RealNet) -> None:
    """Give the general head its weights, of the channels that AFS has selected."""
    discriminator = model.discriminator
    if isinstance(discriminator, EvidenceDiscriminator) and discriminator.general is not None:
        indices = [getattr(model.afs, f"index_{k}", None) for k in range(len(model.afs.dimensions))]
        discriminator.general.load_state_dict(general_weights(indices))


def _general(discriminator: EvidenceDiscriminator, part: Residuals) -> Tensor | None:
    if discriminator.general is None:
        return None
    head = copy.deepcopy(discriminator.general).eval().to(memory_format=torch.channels_last)
    fold_batch_norms(head, [log[:1].float() for log in part.logs])
    return torch.cat([head(part.log_rows(slice(i, i + 16))) for i in range(0, len(part), 16)])


@torch.no_grad()
def judged_maps(model: RealNet, part: Residuals, rows: Tensor, logits: Tensor | None = None) -> Iterator[Judgement]:
    """Maps ``[b, 1, H, W]`` and scores ``[b]`` of some rows of ``part``, batch after batch.

    Args:
        logits: of the heads, ``[n, 1, h, w]``, a row each of ``rows``; None where nothing was learned.
    """
    side = model.config.image_size
    if isinstance(model.discriminator, EvidenceDiscriminator):
        for judged in judged_evidence(model.discriminator, part, rows, side, logits):
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
        own = torch.zeros_like(energies[0][:, :1]) if logits is None else logits[start : start + 32]
        general = None if part.general is None else part.general[batch]
        known = None if part.confirmed is None else part.confirmed[batch]
        yield discriminator.conclude(energies, own, general, (side, side), known)


def scores_by_file(groups: Iterable[int], scores: Sequence[float]) -> list[float]:
    """The score of each file, in the order of their numbers: the highest of its tiles'.

    ``groups`` says of which file each tile is; numbers may be missing.
    """
    highest: dict[int, float] = {}
    for group, score in zip(groups, scores, strict=True):
        highest[group] = max(highest.get(group, 0.0), score)
    return [highest[group] for group in sorted(highest)]


def part_scores(model: RealNet, part: Residuals, logits: Tensor | None = None) -> Tensor:
    """Scores ``[n]`` of all of ``part``; see :func:`judged_maps`."""
    rows = torch.arange(len(part))
    return torch.cat([score.cpu() for _, score in judged_maps(model, part, rows, logits)])


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
