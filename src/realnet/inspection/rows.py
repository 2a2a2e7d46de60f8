"""What the results say of one image."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from realnet.inspection.regions import Region


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


def row_of(fields: dict[str, Any]) -> Row:
    """The row of `Row.as_dict`'s fields, also from JSON; TypeError or KeyError where some are missing or unknown."""
    return Row(**{**fields, "regions": tuple(_region(region) for region in fields["regions"])})


def _region(fields: dict[str, Any]) -> Region:
    whole: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return Region(**whole)


def line_of(record: dict[str, Any]) -> bytes:
    """One line of JSON; escapes keep it ASCII, whatever is in a file's name."""
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
