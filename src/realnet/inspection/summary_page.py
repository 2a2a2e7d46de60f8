"""``results.html``: what an inspection found, the worst images first, as a page to look through."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from realnet.atomic import write_text
from realnet.files import printable
from realnet.inspection.rows import Row
from realnet.templates import filled

PAGE_FILE = "results.html"


class Counted(Protocol):
    """What the page says of all images: :class:`realnet.inspection.result_folder.Summary`."""

    threshold: float
    images: int
    anomalous: int
    unknown: int
    unreadable: int

    def worst(self) -> Sequence[Row]:
        """The rows of the highest scores, the highest first."""
        ...


def write_page(output: Path, found: Counted) -> None:
    """Write ``results.html`` with the overlays in ``output``; it loads nothing else. UserError if it cannot."""
    rows = found.worst()
    page = filled(
        "realnet.inspection",
        "results.html.jinja",
        found=found,
        judged=found.images - found.unreadable,
        rows=[(printable(row.image), row, quote(row.overlay, errors="surrogateescape")) for row in rows],
    )
    write_text(output / PAGE_FILE, page)
