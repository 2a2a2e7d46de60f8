"""What the results say of one image."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from realnet.inspection.regions import Region


@dataclass(frozen=True)
class Row:
    """One image's line in the results; ``error`` says why there is no verdict.

    ``anomalous_area`` is the share of the image that is outlined, 0..1; ``level`` the score on the scale on which the
    threshold is 0.5. ``overlay`` and ``mask`` are files in the output folder, empty where none was written.
    ``regions`` is a list of regions in JSON and Parquet, their number in CSV.
    """

    image: str
    verdict: str
    score: float | None
    threshold: float
    anomalous_area: float | None
    overlay: str
    error: str = ""
    level: float | None = None
    regions: tuple[Region, ...] = ()
    mask: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Its fields, the regions' as well, as JSON has them."""
        return asdict(self)


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
