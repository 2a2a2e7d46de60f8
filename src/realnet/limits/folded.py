"""Drawn defects judged by what has not seen the good image that each was made of, though the run was trained on it."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from realnet.config import Config
from realnet.inspection.inspector import Inspector
from realnet.model.evidence import EvidenceDiscriminator
from realnet.model.network import RealNet
from realnet.training.confirmed import judge_confirmed
from realnet.training.extracting import Extractor
from realnet.training.folds import Residuals, judge_by_folds, scores_by_file
from realnet.training.heads import FoldedValidation
from realnet.training.kept_features import KeptFeatures


class FoldedScorer:
    """Image scores by the subspaces, and heads, of the fold that each good image was left out of.

    That is how the threshold of a closed-form run is set; so what it says needs no image that was held out.

    Args:
        model: of the run; its evidence is fitted again, to the same features.
        config: of the run.
        kept: features of the good images, numbered as those that defects are drawn on.
        device: where features are made.
    """

    def __init__(self, model: RealNet, config: Config, kept: KeptFeatures, device: torch.device) -> None:
        self.model, self.config, self.kept, self.device = model, config, kept, device
        self.good_scores: list[float] = []

    @torch.no_grad()
    def __call__(self, drawn: Iterable[tuple[NDArray[np.uint8], int]]) -> list[float]:
        """Scores of images with the number of the good image that each was made of; sets ``good_scores`` as well."""
        judge, extractor = Inspector(self.model, self.config), Extractor(self.model, self.device)
        of: list[int] = []
        images: list[int] = []

        def parts() -> Iterable[np.ndarray]:
            for number, (image, good) in enumerate(drawn):
                tiles = judge.parts(judge.look(image))
                rows = (self.kept.groups == good).nonzero()[:, 0].tolist()
                of.extend(rows)
                images.extend([number] * len(rows))
                yield from tiles

        features = extractor.selected(extractor.raw(parts()))
        result = self.kept.out_of_sample()
        result.faint = Residuals(torch.tensor(of))
        own = {name: some for name, some in self.kept.parts.items() if name in ("good", "moved")}
        judge_by_folds(self.model, self.config, result, {**own, "faint": features}, ("good", "faint"))
        discriminator = self.model.discriminator
        learned = isinstance(discriminator, EvidenceDiscriminator) and bool(discriminator.learned_scale > 0)
        validation = FoldedValidation(self.model, result, learned)
        logits = validation.logits(result.good)
        if logits is not None:
            assert isinstance(discriminator, EvidenceDiscriminator)
            side = self.config.model.image_size
            discriminator.fit_learned(logits, (side, side))
        judge_confirmed(self.model, result)
        groups, good = self.kept.groups.tolist(), validation.scores(result.good).tolist()
        self.good_scores = scores_by_file(groups, good, len(self.kept.names))
        return scores_by_file(images, validation.scores(result.faint).tolist(), max(images) + 1)
