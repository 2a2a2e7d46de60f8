"""The evaluator of the RealNet authors' released code, repeated: only to compare with published tables.

It differs from the exact figures of `realnet.evaluation.metrics`, mostly to a method's advantage: an AUROC below 0.5
is turned into one above it; holes in a region count as found while they are not part of its area, so that an
overlap can exceed 1; 1,000 thresholds evenly spaced between the extremes stand for all of them; and the area up to
the last sampled false positive rate below 0.3 is stretched to the whole.
"""

from typing import NamedTuple

import numpy as np

from realnet.evaluation.metrics import image_auroc
from realnet.evaluation.ranking import Values, pictures, split
from realnet.evaluation.scores import pooled16_score

_THRESHOLDS = 1000
_FPR_LIMIT = 0.3


class ProtocolFigures(NamedTuple):
    """What the authors' evaluator prints. ``flipped`` names the figures that were below 0.5 in truth.

    ``pixel_auroc`` and ``pro`` are None without masks.
    """

    image_auroc: float
    pixel_auroc: float | None
    pro: float | None
    flipped: tuple[str, ...]


def realnet_protocol(maps: Values, masks: Values | None, labels: Values | None = None) -> ProtocolFigures:
    """Image AUROC, pixel AUROC and PRO as the authors' released evaluator computes them; without masks the first only.

    ``labels``, ``[N]``, are by default whether a mask marks anything, as there. ValueError for one class only, no
    defective region, a constant map, neither masks nor labels.
    """
    if masks is None and labels is None:
        raise ValueError("the protocol needs masks or labels")
    maps = pictures(maps)
    if labels is None:
        labels = [bool(np.any(mask)) for mask in pictures(masks, "mask")]
    image, image_flipped = _flipped(image_auroc(pooled16_score(maps), labels))
    if masks is None:
        return ProtocolFigures(image, None, None, ("image_auroc",) if image_flipped else ())
    pixel, pixel_flipped = _flipped(image_auroc(maps, masks))
    names = [name for name, turned in (("image_auroc", image_flipped), ("pixel_auroc", pixel_flipped)) if turned]
    return ProtocolFigures(image, pixel, sampled_pro(maps, masks), tuple(names))


def sampled_pro(maps: Values, masks: Values) -> float:
    """The authors' PRO: 1,000 thresholds, filled regions, no interpolation at a rate of 0.3; errors as there."""
    # Seconds to load, for a figure that few ask for.
    from scipy.integrate import trapezoid
    from skimage.measure import label, regionprops

    maps, masks = pictures(maps), [mask != 0 for mask in pictures(masks, "mask")]
    positive, negative = split(maps, masks)
    low, high = min(positive.min(), negative.min()), max(positive.max(), negative.max())
    # Ascending; computed in the maps' own precision, as a comparison against a threshold is sensitive to it.
    steps = np.arange(_THRESHOLDS, dtype=negative.dtype)
    thresholds = (high - steps * ((high - low) / _THRESHOLDS))[::-1]
    fpr = _counts_above(negative, thresholds) / len(negative)
    overlap = np.zeros(_THRESHOLDS)
    regions = 0
    for anomaly_map, mask in zip(maps, masks, strict=True):
        if not mask.any():
            continue
        for region in regionprops(label(mask, connectivity=2)):
            inside = anomaly_map[region.slice][region.image_filled]
            overlap += _counts_above(inside, thresholds) / region.area
            regions += 1
    used = fpr <= _FPR_LIMIT
    fpr, overlap = fpr[used], overlap[used] / regions
    if fpr[-1] == fpr[0]:
        raise ValueError("undefined: all sampled thresholds up to the limit have the same false positive rate")
    return float(trapezoid(overlap, (fpr - fpr[0]) / (fpr[-1] - fpr[0])))


def _counts_above(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many ``values`` exceed each of the ascending ``thresholds``; from the highest threshold on."""
    exceeded = np.bincount(np.searchsorted(thresholds, values, side="left"), minlength=len(thresholds) + 1)
    return exceeded[::-1].cumsum()[:-1]


def _flipped(value: float) -> tuple[float, bool]:
    return (1 - value, True) if value < 0.5 else (value, False)
