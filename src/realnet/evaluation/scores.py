"""From anomaly map to image score."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F

from realnet.config import TOP_SHARE
from realnet.evaluation.ranking import Values, pictures

_WINDOW = 16


def max_score(maps: Values) -> np.ndarray:
    """The largest value of each map: the paper's image score (Sec. 3.3), ``[N]``."""
    return np.array([array.max() for array in pictures(maps)])


def pooled16_score(maps: Values) -> np.ndarray:
    """The largest mean of a 16 x 16 window (stride 1) of each map: the authors' released image score, ``[N]``.

    On a map that is smaller than the window, the window is cut to the map.
    """
    return np.array([_pooled(array) for array in pictures(maps)])


def top_score(maps: Values) -> np.ndarray:
    """The mean of the largest 0.6 % of the values of each map: the score of preset ``lite``, ``[N]``."""
    found = []
    for array in pictures(maps):
        others = array.size - max(1, round(TOP_SHARE * array.size))
        found.append(np.partition(array.ravel(), others)[others:].mean())
    return np.array(found)


def _pooled(array: np.ndarray) -> float:
    height, width = array.shape
    dtype = torch.float64 if array.dtype == np.float64 else torch.float32
    plane = torch.tensor(array, dtype=dtype)[None, None]
    # Rows, then columns: 32 additions a pixel instead of 256.
    plane = F.avg_pool2d(plane, (min(_WINDOW, height), 1), stride=1)
    return float(F.avg_pool2d(plane, (1, min(_WINDOW, width)), stride=1).max())


image_scores: Mapping[str, Callable[[Values], np.ndarray]] = MappingProxyType(
    {"max": max_score, "pooled16": pooled16_score, "top": top_score}
)
"""The image scores by their name in ``model.image_score``."""
