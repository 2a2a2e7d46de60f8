"""Exact, threshold-free figures: equal values are one threshold, nothing is sampled, nothing is flipped.

Everywhere larger values mean "more anomalous" and may be any real numbers. ``labels`` and ``masks`` are 0 (or
False) for good and positive (or True) for anomalous. Numbers come as numpy arrays, torch tensors or lists; maps
as ``[N, h, w]``, ``[N, 1, h, w]`` or a list of maps of different sizes, masks likewise.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from realnet.evaluation.ranking import Values, pictures, rank, region_weights, split


class F1Max(NamedTuple):
    """The best F1 that any threshold gives, and the highest such threshold: anomalous is ``score >= threshold``."""

    value: float
    threshold: float


class RocCurve(NamedTuple):
    """Points of the ROC curve from (0, 0) to (1, 1), one a distinct score, highest first.

    ``thresholds[0]`` is infinite (nothing is called anomalous).
    """

    fpr: np.ndarray
    tpr: np.ndarray
    thresholds: np.ndarray


class PixelFigures(NamedTuple):
    """All pixel figures of one set of maps."""

    auroc: float
    pro: float
    average_precision: float
    f1_max: F1Max


def image_auroc(scores: Values, labels: Values) -> float:
    """Area under the ROC curve of image scores ``[N]``: the chance that a defective image scores above a good one.

    Ties count one half. A value below 0.5 stays below 0.5.

    Raises:
        ValueError: for one class only, differing lengths, NaN or infinite scores.
    """
    return rank(*split(scores, labels)).auroc()


def pixel_auroc(maps: Values, masks: Values) -> float:
    """Area under the ROC curve of all pixels of all maps together, by masks of the same sizes, all 0 for good images.

    ValueError as :func:`image_auroc`, and for a map and mask of different size.
    """
    return image_auroc(maps, masks)


def average_precision(scores: Values, labels: Values) -> float:
    """Average precision (area under the precision-recall steps); arguments as of `f1_max`, errors of `image_auroc`."""
    return rank(*split(scores, labels)).average_precision()


def f1_max(scores: Values, labels: Values) -> F1Max:
    """The largest F1 over all thresholds, of scores ``[N]``, or of maps against masks; errors as of `image_auroc`.

    The threshold is chosen with the labels in hand: no figure for what a fixed threshold will do.
    """
    ranking = rank(*split(scores, labels))
    f1 = ranking.f1()
    best = int(f1.argmax())
    return F1Max(float(f1[best]), float(ranking.values[best]))


def per_region_overlap(maps: Values, masks: Values, fpr_limit: float = 0.3) -> float:
    """PRO: how much of the defective regions is found while few good pixels are, as MVTec AD defines it.

    The share of each 8-connected region that lies at or above a threshold, averaged over regions (a small one
    weighs as much as a large one), is integrated over the false positive rate of all good pixels from 0 to
    ``fpr_limit``, in (0, 1], interpolated linearly at the limit, and divided by it: 0..1.
    (Bergmann et al., IJCV 2021, doi:10.1007/s11263-020-01400-4.)

    Raises:
        ValueError: without any defective region or any good pixel, for another limit, NaN or infinite values.
    """
    _check_limit(fpr_limit)
    maps, masks = pictures(maps), pictures(masks, "mask")
    weights = region_weights(masks)
    positive, negative = split(maps, masks)
    good = len(negative)
    # Below the value at which the limit is reached nothing counts: no need to sort that.
    beyond = good - int(np.ceil(fpr_limit * good))
    if beyond > 0:
        negative = negative[negative >= np.partition(negative, beyond)[beyond]]
    return replace(rank(positive, negative, weights), negatives=good).weighted_area(fpr_limit)


def pixel_figures(maps: Values, masks: Values, fpr_limit: float = 0.3) -> PixelFigures:
    """All pixel figures from one sort; each equals what its own function gives; errors as of `per_region_overlap`."""
    _check_limit(fpr_limit)
    maps, masks = pictures(maps), pictures(masks, "mask")
    weights = region_weights(masks)
    ranking = rank(*split(maps, masks), weights)
    f1 = ranking.f1()
    best = int(f1.argmax())
    return PixelFigures(
        auroc=ranking.auroc(),
        pro=ranking.weighted_area(fpr_limit),
        average_precision=ranking.average_precision(),
        f1_max=F1Max(float(f1[best]), float(ranking.values[best])),
    )


def roc_curve(scores: Values, labels: Values) -> RocCurve:
    """The points of the ROC curve, for plotting; errors as of `image_auroc`."""
    positive, negative = split(scores, labels)
    values = np.unique(np.concatenate([positive, negative]))[::-1]
    hits = _share_from(positive, values)
    alarms = _share_from(negative, values)
    return RocCurve(np.append(0.0, alarms), np.append(0.0, hits), np.append(np.inf, values))


def _share_from(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    values.sort()
    return 1.0 - np.searchsorted(values, thresholds, side="left") / len(values)


def _check_limit(limit: float) -> None:
    if not 0 < limit <= 1:
        raise ValueError(f"fpr_limit is a share in (0, 1], not {limit}")
