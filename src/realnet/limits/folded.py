"""Drawn defects judged by what has not seen the good image that each was made of, though the run was trained on it."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from realnet.config import Config
from realnet.inspection.inspector import Inspector
from realnet.model.network import RealNet
from realnet.training.extracting import Extractor
from realnet.training.kept_features import KeptFeatures
from realnet.training.learned_defects import judge_confirmed
from realnet.training.out_of_sample import scores_by_file
from realnet.training.teaching import refit


class FoldedScorer:
    """Image scores by the subspaces, and heads, of the fold that each good image was left out of.

    That is how the threshold of a closed-form run is set; so what it says needs no image that was held out. What is
    solved for is fitted again to ``kept``, the same features, numbered as the images that defects are drawn on.
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
        own = [name for name in self.kept.parts if name in ("good", "moved")]
        kept = replace(
            self.kept,
            of={**{name: self.kept.of[name] for name in own}, "faint": torch.tensor(of)},
            parts={**{name: self.kept.parts[name] for name in own}, "faint": features},
        )
        result, validation = refit(self.model, self.config, kept)
        judge_confirmed(self.model, result)
        groups, good = self.kept.groups.tolist(), validation.scores(result.good).tolist()
        self.good_scores = scores_by_file(groups, good)
        return scores_by_file(images, validation.scores(result.faint).tolist())
