"""Closed-form reconstruction: statistics, AFS, copies and subspaces of a product's good images, in one go."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from realnet.config import Config, ToleranceConfig
from realnet.data import GoodImages
from realnet.evaluation.metrics import image_auroc
from realnet.model.network import RealNet
from realnet.progress import Stage, quiet
from realnet.synthesis.synthesizer import Synthesizer
from realnet.training.batches import shuffled_index
from realnet.training.extracting import Extractor
from realnet.training.folds import fit_familiarity, judge_by_folds, load_general, set_solved
from realnet.training.moved import STRENGTHS, copies, copies_each
from realnet.training.out_of_sample import OutOfSample, Residuals, part_scores

# Faint defects that validation is measured on: numbered apart from those of training, and as many as that.
_VALIDATION_FIRST, _VALIDATION_DEFECTS = 2**41, 128


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
        files = self.images.files if isinstance(self.images, GoodImages) else range(count)
        told = partial(self.stage, f"Reading {count} good images", total=count)
        raw = self._extractor.raw(self.images, torch.float32, told)
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
        result = OutOfSample(
            groups=torch.tensor(files),
            good=Residuals(torch.arange(count)),
            defects=Residuals(of),
            masks=masks,
            faint=Residuals(faint_of),
            faint_masks=faint_masks,
        )
        self._augment(result, parts)
        return result

    def _defects_wanted(self) -> int:
        """How many defects are made: for what is learned, or where nothing is, for AFS alone, if it has a choice."""
        settings, afs = self.config.training, self.config.model.afs
        if settings.steps != 0:
            return settings.defects
        return min(settings.defects, afs.batches * afs.batch_size) if self.model.afs.leaves_out else 0

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
        raw = self._extractor.raw(images(), told=partial(self.stage, said, total=count))
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
            parts["at_limit"] = self._selected(self._extractor.raw(worst))
            each = max(2, each)
        elif asked == "auto":
            # What lies between them was never chosen by more than chance would.
            candidates = {name: STRENGTHS[name] for name in ("none", "strong")}
        best, solved = -1.0, []
        for name, limits in candidates.items():
            self.stage(f"Solving for the subspaces of {count} good images (augmentation: {name})")
            features, of = parts, torch.zeros(0, dtype=torch.long)
            if limits.asked:
                moved = self._extractor.raw(copies(self.images, limits, each, self.config.seed), torch.float32)
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
            del solved
            solved = judge_by_folds(self.model, self.config, result, self.features, judged)
        set_solved(self.model, solved)
        fit_familiarity(self.model, self.config, result, self.features)

    def _separation(self, result: OutOfSample) -> float:
        """How well the evidence alone tells good images from faint defects: image AUROC."""
        scores = torch.cat([part_scores(self.model, part) for part in (result.good, result.faint)])
        return image_auroc(scores, torch.arange(len(scores)) >= len(result.good))
