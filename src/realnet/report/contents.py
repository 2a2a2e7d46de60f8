"""What goes into a report, beside the results."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realnet.data.samples import Sample, spread
from realnet.inspection.inspection import Inspection
from realnet.synthesis import Anomaly


@dataclass(frozen=True)
class GalleryItem:
    """One judged image, ``found`` as it is shown, and its ``mask``: the truth, bool ``[h', w']``; None without one."""

    sample: Sample
    found: Inspection
    mask: np.ndarray | None

    @property
    def verdict(self) -> str:
        """``missed``, ``false alarm``, ``found`` or ``passed``."""
        if self.sample.is_anomalous:
            return "found" if self.found.is_anomalous else "missed"
        return "false alarm" if self.found.is_anomalous else "passed"


@dataclass(frozen=True)
class AfsLayer:
    """Some channels of one backbone layer, best first (a row of Fig. S7).

    Attributes:
        name: shown beside the row.
        channels: their indices in the layer.
        losses: their AFS loss (Eq. 4).
        differences: ``[n, h, w]`` in 0..1, the normalised squared difference of the features.
        kept: whether AFS kept them.
        total: number of channels of the layer; ``selected`` of them are kept.
    """

    name: str
    channels: tuple[int, ...]
    losses: tuple[float, ...]
    differences: np.ndarray
    kept: tuple[bool, ...]
    total: int
    selected: int


@dataclass(frozen=True)
class AfsView:
    """Which feature channels see a defect (Fig. S7).

    Attributes:
        good: uint8 ``[h, w, 3]``; ``anomaly`` the same image with a synthetic defect.
        layers: a row each, finest first.
    """

    good: np.ndarray
    anomaly: Anomaly
    layers: tuple[AfsLayer, ...]


def afs_layer(
    name: str,
    good: np.ndarray,
    anomalous: np.ndarray,
    losses: np.ndarray,
    selected: Sequence[int] | np.ndarray,
    columns: int = 8,
) -> AfsLayer:
    """A row of the AFS view: ``columns`` channels evenly spread from the best to the worst loss.

    ``good`` and ``anomalous`` are the features of I and A, ``[C, h, w]``; ``selected`` channels are those AFS kept.
    """
    ranked = np.argsort(losses, kind="stable")
    chosen = ranked[spread(len(ranked), columns)]
    difference = np.square(np.asarray(anomalous, np.float32)[chosen] - np.asarray(good, np.float32)[chosen])
    low, high = difference.min((1, 2), keepdims=True), difference.max((1, 2), keepdims=True)
    kept = {int(index) for index in selected}
    return AfsLayer(
        name=name,
        channels=tuple(int(index) for index in chosen),
        losses=tuple(float(losses[index]) for index in chosen),
        differences=(difference - low) / np.maximum(high - low, 1e-12),
        kept=tuple(int(index) in kept for index in chosen),
        total=len(ranked),
        selected=len(kept),
    )
