"""What an inspector says of one image."""

from dataclasses import dataclass, field

import numpy as np

from realnet.calibration import level
from realnet.inspection.regions import Region, find_regions, keep_large
from realnet.inspection.trace import Trace
from realnet.view import Alignment


@dataclass(frozen=True)
class Inspection:
    """What the inspector says of one image.

    Attributes:
        score: the image score in 0..1, of the kind the run was configured with; larger is worse.
        threshold: scores above it are anomalous.
        pixel_threshold: map values above it are outlined.
        anomaly_map: float32 ``[h, w]`` in 0..1, at the image's own size.
        image: the image as it was judged, uint8 ``[h, w, 3]`` RGB.
        minimum_area: of a defect, in pixels of the image: what is smaller is not outlined, and an image that shows
            nothing larger passes.
        inside: bool ``[h, w]``, where the image was looked at; None: everywhere.
        alignment: how the part lay in the image; None where it was not aligned.
        trace: id and time of this judgement, model, calibration, software and image.
    """

    score: float
    threshold: float
    pixel_threshold: float
    anomaly_map: np.ndarray
    image: np.ndarray
    minimum_area: int = 0
    inside: np.ndarray | None = None
    alignment: Alignment | None = None
    trace: Trace = field(default_factory=Trace)

    @property
    def is_anomalous(self) -> bool:
        """The verdict."""
        above = self.score > self.threshold
        if self.minimum_area <= 1 or not above:
            return above
        return bool(keep_large(self.anomaly_map > self.pixel_threshold, self.minimum_area).any())

    @property
    def note(self) -> str:
        """Why the image passes although its score is above the threshold; empty where it does not."""
        if self.score <= self.threshold or self.is_anomalous:
            return ""
        return f"score above the threshold, but no region of {self.minimum_area} pixels or more (minimum area)"

    @property
    def level(self) -> float:
        """The score for people: 0..1 with the threshold at 0.5, whatever run it comes from."""
        return level(self.score, self.threshold)

    @property
    def mask(self) -> np.ndarray:
        """What is outlined: bool ``[h, w]``; empty for an image that passes."""
        if not self.is_anomalous:
            return np.zeros(self.anomaly_map.shape, dtype=bool)
        return keep_large(self.anomaly_map > self.pixel_threshold, self.minimum_area)

    @property
    def regions(self) -> tuple[Region, ...]:
        """The outlined areas, the most suspicious first."""
        return find_regions(self.anomaly_map, self.mask)
