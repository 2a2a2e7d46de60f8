"""The held-out figure that training is steered by: good images never trained on, and defects made of them."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from realnet.calibration import pixel_threshold
from realnet.evaluation.metrics import average_precision, image_auroc, pixel_auroc
from realnet.model.network import Judgement, RealNet
from realnet.synthesis.synthesizer import Synthesizer
from realnet.training.batches import to_tensor


@dataclass(frozen=True)
class Figure:
    """What one validation gives; ``value`` is what is maximised. Without masks there is no pixel figure.

    ``pixel_auroc`` is there for the oracle alone, in whose value it takes the place of the average precision.
    """

    image_auroc: float
    pixel_average_precision: float | None
    good_scores: tuple[float, ...]
    defect_scores: tuple[float, ...]
    pixel_auroc: float | None = None

    @property
    def value(self) -> float:
        """The mean of both: the first alone saturates long before localisation is learned.

        The oracle's is the released code's: the mean of image and pixel AUROC.
        """
        pixels = self.pixel_average_precision if self.pixel_auroc is None else self.pixel_auroc
        return self.image_auroc if pixels is None else (self.image_auroc + pixels) / 2


class Validation:
    """A fixed set of images with their truth, whose frozen features are computed once, to be judged in eval mode.

    Args:
        model: with its selection fitted.
        images: uint8 ``[h, w, 3]``, read one batch at a time.
        masks: bool ``[h, w]``, one an image, or None where an image's truth has no mask.
        labels: whether each image shows a defect.
        device: where features are kept.
        oracle: these are the test images; the figure then has the exact pixel AUROC, of every pixel.
    """

    def __init__(
        self,
        model: RealNet,
        images: Iterable[np.ndarray],
        masks: Sequence[np.ndarray | None],
        labels: Sequence[bool],
        device: torch.device,
        oracle: bool = False,
    ) -> None:
        self.model, self.labels, self.oracle = model, np.array(labels), oracle
        self.names: tuple[str, ...] = ()
        self.batches: list[list[Tensor]] = []
        for batch in batched(images, 16):
            shown = to_tensor(batch).to(device).contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                self.batches.append(model.select(shown))
            self.size = (batch[0].shape[0], batch[0].shape[1])
        self.masks = None if any(mask is None for mask in masks) else np.stack([m for m in masks if m is not None])

    @classmethod
    def synthetic(
        cls, model: RealNet, images: Sequence[np.ndarray], synthesizer: Synthesizer, device: torch.device
    ) -> "Validation":
        """Held-out good images, and two defects made of every one; no test data is involved."""
        goods = list(images)
        defects = [synthesizer(index, index % len(goods)) for index in range(2 * len(goods))]
        masks = [np.zeros(image.shape[:2], bool) for image in goods] + [defect.mask for defect in defects]
        labels = [False] * len(goods) + [True] * len(defects)
        found = cls(model, [*goods, *(defect.image for defect in defects)], masks, labels, device)
        found.names = tuple(synthesizer.names or ())
        return found

    @torch.no_grad()
    def judge(self) -> Judgement:
        """Anomaly maps ``[N, 1, h, w]`` and scores ``[N]`` of the set, good images first, by the model as it is."""
        found = [self.model.conclude(self.model.residuals(features)[0], self.size) for features in self.batches]
        maps, scores = zip(*found, strict=True)
        return Judgement(torch.cat(maps).float().cpu(), torch.cat(scores).float().cpu())

    def __call__(self) -> Figure:
        """Judge the set with the model as it is now."""
        maps, scores = self.judge()
        precision, auroc = None, None
        if self.masks is not None:
            if self.oracle:
                auroc = pixel_auroc(maps[:, 0].numpy(), self.masks)
            # Every second pixel ranks the same and costs a quarter.
            precision = average_precision(maps[:, 0, ::2, ::2], self.masks[:, ::2, ::2])
        return Figure(
            image_auroc=image_auroc(scores, self.labels),
            pixel_average_precision=precision,
            good_scores=tuple(scores[torch.from_numpy(~self.labels)].tolist()),
            defect_scores=tuple(scores[torch.from_numpy(self.labels)].tolist()),
            pixel_auroc=auroc,
        )

    def pixel_threshold(self) -> float:
        """From where on a pixel is outlined, by the held-out good images."""
        return pixel_threshold(self.judge().anomaly_map[torch.from_numpy(~self.labels)].numpy())


def batched(items: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    """Lists of ``size`` items, the last one shorter."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, size)):
        yield batch
