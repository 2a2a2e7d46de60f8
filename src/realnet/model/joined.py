"""One inspector for many products: an inspector for each behind one backbone, told no names."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from realnet.calibration import HIGHEST_KNOWN, UNKNOWN_SCORE
from realnet.model.familiarity import Familiarity, describe
from realnet.model.network import Judgement, RealNet


class JoinedNet(nn.Module):
    """Judges each image by the inspector of the product that it most likely shows.

    Scores and maps are levels: 0.5 is the threshold of the product's own inspector, so one threshold serves all. An
    image that its most likely product's inspector does not know is unknown.

    Shapes:
        input: ``[B, 3, H, W]``, RGB in 0..1; output of :meth:`forward`: anomaly map ``[B, 1, H, W]`` in 0..1.

    Args:
        members: closed-form inspectors of one image size, which share their backbone's frozen network.
        thresholds: of image score and anomaly map of each.
    """

    scores: Tensor
    pixels: Tensor

    def __init__(self, members: Sequence[RealNet], thresholds: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.config = members[0].config
        self.register_buffer("scores", torch.tensor([score for score, _ in thresholds]))
        self.register_buffer("pixels", torch.tensor([pixel for _, pixel in thresholds]))

    def select(self, image: Tensor) -> list[list[Tensor]]:
        """The selected features of ``image``, as each member standardises and selects them."""
        raw = self.member(0).backbone.extract(image)
        return [self.member(k).select_from(raw) for k in range(len(self.members))]

    def product(self, selected: Sequence[Sequence[Tensor]]) -> Tensor:
        """The number of the most likely product of each image ``[B]``, by what :meth:`select` returns."""
        found = []
        for k, features in enumerate(selected):
            familiarity = self.member(k).familiarity
            assert isinstance(familiarity, Familiarity)
            found.append(familiarity.unlikelihood(describe(features)))
        return torch.stack(found, 1).argmin(1)

    def judge(self, image: Tensor) -> Judgement:
        """Anomaly map and score of ``image``."""
        size = (image.shape[-2], image.shape[-1])
        selected = self.select(image)
        product = self.product(selected)
        maps, scores = image.new_empty(len(image), 1, *size), image.new_empty(len(image))
        for k in product.unique().tolist():
            rows = (product == k).nonzero()[:, 0]
            maps[rows], scores[rows] = self._own(k, [feature[rows] for feature in selected[k]], size)
        return Judgement(maps, scores)

    def judge_by_all(self, image: Tensor) -> Judgement:
        """As :meth:`judge`, by every member and then choosing: for converters, to which images of a batch are alike."""
        size = (image.shape[-2], image.shape[-1])
        selected = self.select(image)
        product = self.product(selected)
        maps, scores = self._own(0, selected[0], size)
        for k in range(1, len(self.members)):
            own, chosen = self._own(k, selected[k], size), product == k
            maps = torch.where(chosen[:, None, None, None], own.anomaly_map, maps)
            scores = torch.where(chosen, own.score, scores)
        return Judgement(maps, scores)

    def forward(self, image: Tensor) -> Tensor:
        """Anomaly map of ``image``."""
        return self.judge(image).anomaly_map

    def _own(self, k: int, features: Sequence[Tensor], size: tuple[int, int]) -> Judgement:
        (anomaly_map, score), _ = self.member(k).judge_selected(features, size)
        known = levels(score, self.scores[k]).clamp_max(HIGHEST_KNOWN)
        return Judgement(levels(anomaly_map, self.pixels[k]), torch.where(score >= UNKNOWN_SCORE, UNKNOWN_SCORE, known))

    def member(self, k: int) -> RealNet:
        """The inspector of product ``k``."""
        member = self.members[k]
        assert isinstance(member, RealNet)
        return member


def levels(values: Tensor, threshold: Tensor) -> Tensor:
    """As :func:`realnet.calibration.level`, of a tensor."""
    share = torch.where(threshold > 0, values / threshold.clamp_min(1e-12), 1.0)
    above = 0.5 + 0.5 * (values - threshold) / (1 - threshold).clamp_min(1e-12)
    return torch.where(values <= threshold, 0.5 * share, above)
