"""An exported graph against PyTorch: on real images, and (8 bits) by figures on held-out synthetic defects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from realnet.config import Config
from realnet.data import Sample
from realnet.data.samples import spread
from realnet.errors import UserError
from realnet.evaluation.metrics import average_precision, image_auroc
from realnet.inspection.engines import Engine
from realnet.inspection.exported import to_batch
from realnet.manifest import ExportFormat
from realnet.model.joined import JoinedNet
from realnet.model.network import RealNet
from realnet.training.prepare import good_images, make_synthesizer

# Largest accepted difference, of values in 0..1; for 8 bits: largest accepted loss of image AUROC.
TOLERANCES: dict[ExportFormat, float] = {
    "torch": 1e-3,
    "onnx": 1e-3,
    "openvino": 1e-3,
    "openvino-fp16": 1e-2,
    "openvino-int8": 1e-2,
}
_SEED = 104_729
_BATCH = 8


@dataclass(frozen=True)
class Agreement:
    """How far an exported graph is from PyTorch on real images; maps and scores are in 0..1.

    Attributes:
        images: how many were compared.
        map_difference: largest difference of a pixel; ``map_mean`` the largest mean difference of an image's map.
        score_difference: largest difference of an image score.
        changed_verdicts: images on the other side of the threshold.
        disagreeing: images beyond the tolerance.
    """

    images: int
    map_difference: float
    map_mean: float
    score_difference: float
    changed_verdicts: int
    disagreeing: int
    tolerance: float

    def sentence(self) -> str:
        """For people."""
        return (
            f"Against PyTorch on {self.images} images: largest difference {self.map_difference:.2g} of the map "
            f"({self.map_mean:.2g} on average over an image), {self.score_difference:.2g} of the score; "
            f"verdicts changed: {self.changed_verdicts}."
        )


@dataclass(frozen=True)
class HeldOut:
    """Figures on good images (held out where any are) and synthetic defects of them, before and after 8 bits."""

    good_images: int
    defects: int
    image_auroc_before: float
    image_auroc_after: float
    pixel_average_precision_before: float
    pixel_average_precision_after: float
    false_alarms_before: float
    false_alarms_after: float
    tolerance: float

    def sentence(self) -> str:
        """For people."""
        return (
            f"On {self.good_images} good images and {self.defects} synthetic defects: image AUROC "
            f"{self.image_auroc_before:.4f} before, {self.image_auroc_after:.4f} after; pixel AP "
            f"{self.pixel_average_precision_before:.4f} before, {self.pixel_average_precision_after:.4f} after; good "
            f"images rejected {self.false_alarms_before:.1%} before, {self.false_alarms_after:.1%} after."
        )


def torch_engine(model: RealNet | JoinedNet) -> Engine:
    """The run itself as an engine: the reference."""
    return _engine(lambda images: model.judge(images.contiguous(memory_format=torch.channels_last)))


def program_engine(path: Path) -> Engine:
    """A torch.export program as an engine. It is unpickled: only for a file that this very process wrote."""
    return _engine(torch.export.load(path).module())


def _engine(judge: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Engine:
    @torch.no_grad()
    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        maps, scores = judge(torch.from_numpy(images))
        return maps[:, 0].numpy(), scores.numpy()

    return run


def compare(
    reference: Engine,
    exported: Engine,
    images: Sequence[np.ndarray],
    threshold: float,
    form: ExportFormat,
    tolerance: float,
) -> Agreement:
    """Run both on ``images``, uint8 ``[S, S, 3]``, read a batch at a time; UserError without one that can be read.

    An image disagrees where its score differs by more than ``tolerance``, or its map does: in a pixel for 32 bits, on
    average for 16. There RRS shows: it ranks channels, and where rounding swaps two of nearly equal rank, single
    pixels jump although nothing is wrong.
    """
    if not len(images):
        raise UserError("There is no image to verify the export on: give --images or --data.")
    found = []
    # Batches of two sizes: a graph that is right for one only must not pass.
    for some in (slice(1), *(slice(start, start + _BATCH) for start in range(1, len(images), _BATCH))):
        batch = to_batch(images[some])
        (maps, scores), (other_maps, other_scores) = reference(batch), exported(batch)
        apart = np.abs(maps - other_maps)
        changed = (scores > threshold) != (other_scores > threshold)
        found.append((apart.max((1, 2)), apart.mean((1, 2)), np.abs(scores - other_scores), changed))
    maximum, mean, score, changed = (np.concatenate(column) for column in zip(*found, strict=True))
    judged = mean if form == "openvino-fp16" else maximum
    # Written so that a NaN disagrees.
    disagreeing = ~((judged <= tolerance) & (score <= tolerance))
    return Agreement(
        images=len(images),
        map_difference=float(maximum.max()),
        map_mean=float(mean.max()),
        score_difference=float(score.max()),
        changed_verdicts=int(changed.sum()),
        disagreeing=int(disagreeing.sum()),
        tolerance=tolerance,
    )


def refuse_disagreement(agreement: Agreement, form: ExportFormat) -> None:
    """Refuse, by a UserError, an export that disagrees on any image; in half precision on more than one in twenty.

    There rounding swaps residual channels of nearly equal rank now and then, which moves a map more than the rounding.
    """
    allowed = agreement.images // 20 if form == "openvino-fp16" else 0
    if agreement.disagreeing > allowed:
        raise UserError(
            f"The {form} export is refused: {agreement.disagreeing} of {agreement.images} images differ from PyTorch "
            f"by more than {agreement.tolerance:g} (up to {agreement.map_difference:.2g} in the map, "
            f"{agreement.score_difference:.2g} in the score). Use another --format, or allow it with --tolerance."
        )


def judge_held_out(
    reference: Engine, exported: Engine, held_out: Sequence[Sample], config: Config, threshold: float, tolerance: float
) -> HeldOut:
    """Figures of both engines on held-out good images (48 at most) and two defects of each; UserError without these."""
    chosen = [held_out[i] for i in spread(len(held_out), 48)]
    images = good_images(chosen, config, 96)
    synthesizer = make_synthesizer(chosen, images, config, config.seed + _SEED)
    goods = list(images)
    defects = [synthesizer(number, number % len(goods)) for number in range(2 * len(goods))]
    shown = [*goods, *(defect.image for defect in defects)]
    masks = np.stack([np.zeros(goods[0].shape[:2], bool)] * len(goods) + [defect.mask for defect in defects])
    labels = np.arange(len(shown)) >= len(goods)
    figures = []
    for engine in (reference, exported):
        parts = [engine(to_batch(shown[start : start + _BATCH])) for start in range(0, len(shown), _BATCH)]
        maps, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
        if not (np.isfinite(maps).all() and np.isfinite(scores).all()):
            raise UserError("The export is refused: it gives values that are not finite. Use another --format.")
        # Every second pixel ranks the same and costs a quarter.
        precision = average_precision(maps[:, ::2, ::2], masks[:, ::2, ::2])
        figures.append((image_auroc(scores, labels), precision, float((scores[~labels] > threshold).mean())))
    (auroc, precision, alarms), (auroc_after, precision_after, alarms_after) = figures
    return HeldOut(
        len(goods), len(defects), auroc, auroc_after, precision, precision_after, alarms, alarms_after, tolerance
    )


def refuse_loss(found: HeldOut) -> None:
    """Refuse 8 bits where image AUROC falls by more than the tolerance; UserError with what was found."""
    if found.image_auroc_before - found.image_auroc_after > found.tolerance:
        raise UserError(
            f"The openvino-int8 export is refused: image AUROC on held-out synthetic defects falls from "
            f"{found.image_auroc_before:.4f} to {found.image_auroc_after:.4f}, by more than {found.tolerance:g}. "
            "Use openvino-fp16, or allow it with --tolerance."
        )
