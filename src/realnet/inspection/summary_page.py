"""What an inspection found altogether, and ``results.html``: the worst images first, as a page to look through."""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from realnet.atomic import write_text
from realnet.calibration import Calibration
from realnet.errors import plural
from realnet.files import printable
from realnet.inspection.rows import Row
from realnet.templates import filled

PAGE_FILE = "results.html"
# Drift is measured on the last ones.
SCORES_KEPT = 1000
# Images on the page.
SHOWN = 200


@dataclass
class Summary:
    """What the results say altogether.

    ``threshold``, of the image score, and ``calibration`` are what they were judged by. ``images`` counts the rows,
    unreadable ones too; ``unknown`` those of another product; ``earlier`` those among them that were there before;
    ``too_small`` those above the threshold that pass as they show no region of the minimum area. ``seen`` counts those
    whose hashes are among ``trained_on``, and ``scores`` are the last ones of the others; ``notes`` say what of the
    images of this call was left out, or read differently than a person might expect.
    """

    threshold: float
    calibration: Calibration | None = None
    trained_on: frozenset[str] = frozenset()
    images: int = 0
    anomalous: int = 0
    unknown: int = 0
    unreadable: int = 0
    too_small: int = 0
    earlier: int = 0
    seen: int = 0
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=SCORES_KEPT))
    notes: list[str] = field(default_factory=list)
    _highest: list[tuple[float, int, Row]] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Count one row."""
        self.images += 1
        self.anomalous += row.verdict == "anomalous"
        self.unknown += row.verdict == "unknown"
        self.unreadable += row.score is None
        self.too_small += row.verdict == "good" and bool(row.note)
        if row.score is not None:
            if row.image_hash in self.trained_on:
                self.seen += 1
            else:
                self.scores.append(row.score)
            # Of equal scores the earlier image stands first.
            kept = heapq.heappush if len(self._highest) < SHOWN else heapq.heappushpop
            kept(self._highest, (row.score, -self.images, row))

    def count(self, images: int, anomalous: int, unknown: int, scores: Sequence[float]) -> None:
        """Count so many images, of which those that could be read have ``scores``."""
        self.images += images
        self.anomalous += anomalous
        self.unknown += unknown
        self.unreadable += images - len(scores)
        self.scores.extend(scores)

    def sentence(self) -> str:
        """How many images were judged, and what came out."""
        earlier = f", {self.earlier} of them before" if self.earlier else ""
        small = f", {self.too_small} more above it without a region of the minimum area" if self.too_small else ""
        unknown = f", {self.unknown} not of a product this inspector knows" if self.unknown else ""
        unreadable = f", {self.unreadable} unreadable" if self.unreadable else ""
        return (
            f"{plural(self.images - self.unreadable, 'image')} judged{earlier}, {self.anomalous} anomalous (score "
            f"above {self.threshold:.4f}){small}{unknown}{unreadable}."
        )

    def worst(self) -> list[Row]:
        """The rows of the highest scores, the highest first; :data:`SHOWN` at most."""
        return [row for _, _, row in sorted(self._highest, reverse=True)]


def write_page(output: Path, found: Summary) -> None:
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
