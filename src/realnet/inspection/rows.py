"""What the results say of one image."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from realnet.inspection.inspection import Inspection
from realnet.inspection.regions import Region, find_regions
from realnet.inspection.trace import Trace


@dataclass(frozen=True)
class Row:
    """One image's line in the results, in the order of the columns; ``error`` says why there is no verdict.

    ``anomalous_area`` is the share of the image that is outlined, 0..1; ``level`` the score on the scale on which the
    threshold is 0.5. ``overlay`` and ``mask`` are files in the output folder, empty where none was written.
    ``regions`` is a list of regions in JSON and Parquet, their number in CSV. Where images are aligned, ``moved_x``,
    ``moved_y`` (pixels), ``turned`` (degrees) and ``match`` (correlation) say how the part lay, as
    :class:`realnet.view.Alignment` does. ``note`` says why an image passes although its score is above the threshold,
    or that it does not show the product. The last fields are those of the :class:`~realnet.inspection.trace.Trace`.
    """

    image: str
    verdict: str
    score: float | None
    level: float | None
    threshold: float
    anomalous_area: float | None
    regions: tuple[Region, ...] = ()
    overlay: str = ""
    mask: str = ""
    moved_x: float | None = None
    moved_y: float | None = None
    turned: float | None = None
    match: float | None = None
    note: str = ""
    error: str = ""
    id: str = ""
    time: str = ""
    model_digest: str = ""
    calibration: int | None = None
    software: str = ""
    image_hash: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Its fields, the regions' as well, as JSON has them."""
        return asdict(self)


def judged_row(image: str, found: Inspection, mask: np.ndarray, overlay: str = "", mask_file: str = "") -> Row:
    """The row of an image that was judged.

    Args:
        image: what the results call it.
        mask: ``found.mask``, which is computed whenever it is asked for.
        overlay, mask_file: what was written beside.
    """
    lay = found.alignment
    return Row(
        image=image,
        verdict=found.verdict,
        score=found.score,
        threshold=found.threshold,
        anomalous_area=float(mask.mean()),
        overlay=overlay,
        level=found.level,
        regions=find_regions(found.anomaly_map, mask),
        mask=mask_file,
        moved_x=None if lay is None else lay.dx,
        moved_y=None if lay is None else lay.dy,
        turned=None if lay is None else lay.angle,
        match=None if lay is None else lay.match,
        note=found.note,
        **found.trace.as_dict(),
    )


def unreadable_row(image: str, threshold: float, error: str, trace: Trace) -> Row:
    """The row of an image that could not be read, with the sentence that says why."""
    return Row(image, "unreadable", None, None, threshold, None, error=error, **trace.as_dict())


def row_of(fields: dict[str, Any]) -> Row:
    """The row that `Row.as_dict` was asked for, also after JSON made lists of its tuples.

    Raises:
        TypeError, KeyError: where fields are missing or unknown.
    """
    return Row(**{**fields, "regions": tuple(_region(region) for region in fields["regions"])})


def _region(fields: dict[str, Any]) -> Region:
    whole: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return Region(**whole)


def line_of(record: dict[str, Any]) -> bytes:
    """One line of JSON; escapes keep it ASCII, whatever is in a file's name."""
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
