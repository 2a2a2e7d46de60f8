"""What an inspector says of one image."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from realnet.calibration import level
from realnet.errors import UserError
from realnet.inspection.overlay import (
    as_png,
    fitted_mask,
    outline,
    overlay,
    resized,
    shrunk,
    side_by_side,
    to_levels,
)
from realnet.inspection.regions import Region, find_regions, keep_large
from realnet.inspection.rows import Row
from realnet.inspection.trace import Trace
from realnet.view import Alignment

UNKNOWN = "not a product this inspector knows"
"""What is said of an image of another product."""
Verdict = Literal["good", "anomalous", "unknown"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of the picture in a notebook, in pixels.
_WIDEST = 1200
# Longer side of an image that is drawn on: with hundreds of megapixels that would take all the memory there is.
_LONGEST = 2048


@dataclass(frozen=True, repr=False)
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
        is_unknown: whether it does not show the product at all; it is then not good, whatever the threshold.
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
    is_unknown: bool = False

    @property
    def verdict(self) -> Verdict:
        """What the results call the image."""
        return "unknown" if self.is_unknown else "anomalous" if self.is_anomalous else "good"

    @property
    def is_anomalous(self) -> bool:
        """Whether it is rejected: for a defect, or as it is of another product."""
        if self.is_unknown:
            return True
        above = self.score > self.threshold
        if self.minimum_area <= 1 or not above:
            return above
        return bool(keep_large(self.anomaly_map > self.pixel_threshold, self.minimum_area).any())

    @property
    def note(self) -> str:
        """Why the image passes although its score is above the threshold, or that it is of another product."""
        if self.is_unknown:
            return UNKNOWN
        if self.score <= self.threshold or self.is_anomalous:
            return ""
        return f"score above the threshold, but no region of {self.minimum_area} pixels or more (minimum area)"

    @property
    def level(self) -> float:
        """The score for people: 0..1 with the threshold at 0.5, whatever run it comes from."""
        return level(self.score, self.threshold)

    @cached_property
    def mask(self) -> np.ndarray:
        """What is outlined: bool ``[h, w]``; nothing of an image that passes, or is of another product."""
        if self.is_unknown or not self.is_anomalous:
            return np.zeros(self.anomaly_map.shape, dtype=bool)
        return keep_large(self.anomaly_map > self.pixel_threshold, self.minimum_area)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The outlined areas, the most suspicious first."""
        return find_regions(self.anomaly_map, self.mask)

    def __repr__(self) -> str:
        height, width = self.anomaly_map.shape
        areas = len(self.regions)
        found = f", {areas} {'region' if areas == 1 else 'regions'}" if self.verdict == "anomalous" else ""
        return f"<Inspection: {self._verdict()}{found}, {width}x{height} pixels>"

    def _verdict(self) -> str:
        word = UNKNOWN if self.is_unknown else self.verdict
        return f"{word}, score {self.score:.4f} (threshold {self.threshold:.4f})"

    @property
    def picture(self) -> np.ndarray:
        """Image, heat map and outline side by side, as ``inspect`` writes it: uint8 ``[h', 3 w' + 16, 3]`` RGB.

        h' and w' are those of the image, shrunk to at most 2048 pixels on its longer side.
        """
        image = shrunk(self.image, _LONGEST)
        levels = to_levels(resized(self.anomaly_map, image), self.pixel_threshold)
        inside = None if self.inside is None else fitted_mask(self.inside, image)
        return side_by_side(image, levels, fitted_mask(self.mask, image), inside=inside)

    def _repr_png_(self) -> bytes:
        """What a notebook shows: the picture, at most 1200 pixels wide."""
        return as_png(self.picture, _WIDEST)

    def plot(self) -> "list[Axes]":
        """Draw image, heat map and outline as three axes of a figure of pyplot, whose title is the verdict."""
        from matplotlib import pyplot

        height, width = self.anomaly_map.shape
        figure, axes = pyplot.subplots(1, 3, figsize=(12, 1 + 4 * height / width), layout="constrained")
        heat, outlined = (
            overlay(self.image, to_levels(self.anomaly_map, self.pixel_threshold)),
            outline(self.image, self.mask),
        )
        titles = ("image", "heat map", "outline")
        for one, title, picture in zip(axes, titles, (self.image, heat, outlined), strict=True):
            one.imshow(picture)
            one.set_title(title)
            one.axis("off")
        figure.suptitle(self._verdict())
        return list(axes)

    def row(self, image: str) -> Row:
        """The row of this image in results; files that are written beside are named later."""
        lay = self.alignment
        return Row(
            image=image,
            verdict=self.verdict,
            score=self.score,
            threshold=self.threshold,
            anomalous_area=float(self.mask.mean()),
            level=self.level,
            regions=self.regions,
            moved_x=None if lay is None else lay.dx,
            moved_y=None if lay is None else lay.dy,
            turned=None if lay is None else lay.angle,
            match=None if lay is None else lay.match,
            note=self.note,
            **self.trace.as_dict(),
        )

    def to_dict(self, image: str = "") -> dict[str, Any]:
        """The verdict in plain values, by the names of the columns of ``results.json``."""
        cells = self.row(image).as_dict()
        left_out = {"overlay", "mask", "error"}
        if self.alignment is None:
            left_out |= {"moved_x", "moved_y", "turned", "match"}
        return {name: value for name, value in cells.items() if name not in left_out}

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write :attr:`picture` as a PNG file; its path. UserError for another kind, or a file to be kept."""
        from realnet.synthesis import write_figure

        place = Path(path)
        if place.suffix.lower() != ".png":
            raise UserError(f"The picture is written as PNG: name it something.png, not {place.name}.")
        if place.exists() and not overwrite:
            raise UserError(f"{place} is there already: choose another name, or give overwrite=True.")
        write_figure(place, self.picture)
        return place
