"""One ranking of anomalous and good values, from which every threshold-free figure follows exactly."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

Values = Any
"""Numbers: a numpy array, a torch tensor (any device), a number list, or a list of arrays of different sizes."""


@dataclass(frozen=True)
class Ranking:
    """Counts at each distinct value that an anomalous item has, highest value first.

    All figures change only there: what good items do between two such values moves a curve horizontally.

    Attributes:
        values: distinct values of anomalous items, descending.
        positives: how many anomalous items have exactly that value, int64.
        weights: the sum of their weights, float64; over all values it sums to 1.
        negatives_above: how many good items have a larger value, int64.
        negatives_from: how many have that value or a larger one, int64.
        negatives: how many good items there are.
    """

    values: np.ndarray
    positives: np.ndarray
    weights: np.ndarray
    negatives_above: np.ndarray
    negatives_from: np.ndarray
    negatives: int

    def auroc(self) -> float:
        """Probability that an anomalous item ranks above a good one, a tie counting one half."""
        below = 2 * self.negatives - self.negatives_from - self.negatives_above
        return float(int(self.positives @ below) / (2 * int(self.positives.sum()) * self.negatives))

    def average_precision(self) -> float:
        """Sum over thresholds of precision times the gain in recall."""
        hits = self.positives.cumsum()
        return float((self.positives * (hits / (hits + self.negatives_from))).sum() / hits[-1])

    def f1(self) -> np.ndarray:
        """F1 of "value >= threshold is anomalous" at each of ``values``; between them it is never higher."""
        hits = self.positives.cumsum()
        return 2 * hits / (hits[-1] + hits + self.negatives_from)

    def weighted_area(self, limit: float) -> float:
        """Area under (share of good items, weight) at "value >= threshold" up to ``limit``, divided by it.

        Trapezoids between distinct thresholds, interpolated linearly at the limit.
        """
        end = limit * self.negatives
        after = self.weights.cumsum()
        after /= after[-1]  # Exactly 1 in the end, whatever was rounded.
        before = np.concatenate([[0.0], after[:-1]])
        came_from = np.concatenate([[0], self.negatives_from[:-1]])
        # Good items between two anomalous values: horizontally on.
        flat = (before * (np.minimum(self.negatives_above, end) - np.minimum(came_from, end))).sum()
        # Good items tied with an anomalous value: both rise together, along a diagonal.
        width = np.clip(end - self.negatives_above, 0, self.negatives_from - self.negatives_above)
        ties = np.maximum(self.negatives_from - self.negatives_above, 1)
        diagonal = (width * (before + (after - before) * width / ties / 2)).sum()
        rest = after[-1] * max(0.0, end - min(int(self.negatives_from[-1]), end))
        return float((flat + diagonal + rest) / end)


def rank(positive: np.ndarray, negative: np.ndarray, weights: np.ndarray | None = None) -> Ranking:
    """Rank anomalous against good values, ``[P]`` and ``[N]``, one at least; the good ones are sorted in place.

    ``weights`` of the anomalous items sum to 1; default: all the same.
    """
    order = np.argsort(positive)
    ordered = positive[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(starts, len(ordered)))
    weight = counts / len(ordered) if weights is None else np.add.reduceat(weights[order].astype(np.float64), starts)
    values = ordered[starts]
    negative.sort()
    above = len(negative) - np.searchsorted(negative, values, side="right")
    at_least = len(negative) - np.searchsorted(negative, values, side="left")
    return Ranking(values[::-1], counts[::-1], weight[::-1], above[::-1], at_least[::-1], len(negative))


def split(values: Values, truth: Values) -> tuple[np.ndarray, np.ndarray]:
    """``values`` of anomalous and of good items, as new one-dimensional arrays (float32, or float64 as given).

    ValueError for values that are no finite numbers, differing shapes, or truth of one class only.
    """
    listed, marked = _aligned(values, truth)
    positive = np.concatenate([v[m] for v, m in zip(listed, marked, strict=True)])
    negative = np.concatenate([v[~m] for v, m in zip(listed, marked, strict=True)])
    if not len(positive) or not len(negative):
        state = "anomalous" if len(positive) else "good" if len(negative) else "missing"
        raise ValueError(f"undefined: every item is {state}; both good and anomalous ones are needed")
    return positive, negative


def region_weights(masks: Values) -> np.ndarray:
    """A weight for each anomalous pixel: all 8-connected regions weigh the same, 1 in sum; ValueError without any."""
    weights = []
    regions = 0
    for mask in pictures(masks, "mask"):
        marked = _truth(mask)
        if not marked.any():
            continue
        count, labels = cv2.connectedComponents(marked.astype(np.uint8), connectivity=8)
        sizes = np.bincount(labels.ravel(), minlength=count)
        weights.append(1.0 / sizes[labels[marked]])
        regions += count - 1
    if not regions:
        raise ValueError("undefined: no mask marks a defective region")
    return np.concatenate(weights) / regions


def pictures(values: Values, what: str = "map") -> list[np.ndarray]:
    """``values`` as a list of two-dimensional arrays: of ``[N, h, w]``, ``[N, 1, h, w]``, ``[h, w]`` or a list.

    ValueError for another shape, or none at all.
    """
    if isinstance(values, list | tuple):
        listed = [as_array(value) for value in values]
    else:
        array = as_array(values)
        listed = [array] if array.ndim == 2 else list(array) if array.ndim in (3, 4) else []
    listed = [a[0] if a.ndim == 3 and a.shape[0] == 1 else a for a in listed]
    if not listed or any(a.ndim != 2 or not a.size for a in listed):
        raise ValueError(f"a {what} is [h, w]: give [N, h, w], [N, 1, h, w] or a list of {what}s, at least one")
    return listed


def as_array(values: Values) -> np.ndarray:
    """``values`` as a numpy array, without a copy where possible."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return np.asarray(values)


def _aligned(values: Values, truth: Values) -> tuple[list[np.ndarray], list[np.ndarray]]:
    listed, marked = _arrays(values), _arrays(truth)
    if len(listed) != len(marked):
        # A stack against a list of the same pictures.
        listed, marked = pictures(values), pictures(truth, "mask")
    if len(listed) != len(marked):
        raise ValueError(f"{len(listed)} maps, but {len(marked)} masks")
    for index, (value, mask) in enumerate(zip(listed, marked, strict=True)):
        shapes = [tuple(n for n in a.shape if n != 1) for a in (value, mask)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"item {index} has the shape {list(value.shape)}, its truth {list(mask.shape)}")
    return [_numbers(v).ravel() for v in listed], [_truth(m).ravel() for m in marked]


def _arrays(values: Values) -> list[np.ndarray]:
    if isinstance(values, list | tuple) and any(_has_axes(value) for value in values):
        return [as_array(value) for value in values]
    return [as_array(values)]


def _has_axes(value: Any) -> bool:
    return isinstance(value, list | tuple) or bool(getattr(value, "ndim", 0))


def _numbers(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "buif":
        raise ValueError(f"scores must be numbers, not {array.dtype}")
    # float32 holds every 8 and 16 bit value exactly and sorts fastest.
    wide = np.result_type(array.dtype, np.float32)
    array = array.astype(wide if wide == np.float32 else np.float64, copy=False)
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise ValueError("scores hold NaN or infinite values")
    return array


def _truth(array: np.ndarray) -> np.ndarray:
    if array.dtype == bool:
        return array
    if array.dtype.kind not in "uif" or (array.size and not array.min() >= 0):
        raise ValueError("labels and masks are 0 for good and positive for anomalous")
    return array != 0
