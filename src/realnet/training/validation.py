"""The held-out figure that training is steered by: good images never trained on, and defects made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from realnet.model.network import RealNet, image_score
from realnet.synthesis.synthesizer import Synthesizer
from realnet.training.batches import to_tensor


@dataclass(frozen=True)
class Figure:
    """What one validation gives; ``value`` is what is maximised. No test data is involved.

    ``image_auroc`` and ``pixel_average_precision`` are over held-out good images and synthetic defects.
    """

    image_auroc: float
    pixel_average_precision: float
    good_scores: tuple[float, ...]
    defect_scores: tuple[float, ...]

    @property
    def value(self) -> float:
        """The mean of both: the first alone saturates long before localisation is learned."""
        return (self.image_auroc + self.pixel_average_precision) / 2


class Validation:
    """A fixed validation set, its frozen features computed once.

    Args:
        model: with its selection fitted.
        images: held-out good images, uint8 ``[h, w, 3]``.
        synthesizer: over the same images, with a seed training does not use.
        device: where features are kept.
        defects_each: synthetic defects made of every image.
    """

    def __init__(
        self,
        model: RealNet,
        images: Sequence[np.ndarray],
        synthesizer: Synthesizer,
        device: torch.device,
        defects_each: int = 2,
    ) -> None:
        self.model, self.device = model, device
        self.batches: list[list[Tensor]] = []
        masks: list[np.ndarray] = []
        labels: list[bool] = []
        shown = list(images)
        for image in images:
            masks.append(np.zeros(image.shape[:2], bool))
            labels.append(False)
        for index in range(defects_each * len(images)):
            anomaly = synthesizer(index, index % len(images))
            shown.append(anomaly.image)
            masks.append(anomaly.mask)
            labels.append(True)
        for start in range(0, len(shown), 16):
            batch = to_tensor(shown[start : start + 16]).to(device)
            with torch.no_grad():
                self.batches.append(model.select(batch.contiguous(memory_format=torch.channels_last)))
        self.masks, self.labels = np.stack(masks), np.array(labels)
        self.size = self.masks.shape[1:]

    @torch.no_grad()
    def maps(self) -> Tensor:
        """Anomaly maps of the whole set ``[N, 1, h, w]``, good images first, by the model as it is now."""
        was_training = self.model.training
        self.model.eval()
        size = (int(self.size[0]), int(self.size[1]))
        logits = [self.model.discriminate(features, size).logits.float().cpu() for features in self.batches]
        self.model.train(was_training)
        return torch.cat(logits).softmax(1)[:, 1:]

    def __call__(self) -> Figure:
        """Judge the set with the model as it is now."""
        maps = self.maps()
        scores = image_score(maps, self.model.config.image_score)
        # Every second pixel ranks the same and costs a quarter.
        pixels, marked = maps[:, 0, ::2, ::2], torch.from_numpy(self.masks[:, ::2, ::2])
        labels = torch.from_numpy(self.labels)
        return Figure(
            image_auroc=float(binary_auroc(scores, labels.long())),
            pixel_average_precision=float(binary_average_precision(pixels.flatten(), marked.flatten().long())),
            good_scores=tuple(scores[~labels].tolist()),
            defect_scores=tuple(scores[labels].tolist()),
        )

    def pixel_threshold(self) -> float:
        """From where on a pixel is outlined: what one in a thousand pixels of held-out good images exceeds.

        Never above 0.5, the discriminator's own boundary, nor below 0.05, where maps are flat.
        """
        good = self.maps()[torch.from_numpy(~self.labels)].flatten().numpy()
        return float(np.clip(np.quantile(good, 0.999), 0.05, 0.5))
