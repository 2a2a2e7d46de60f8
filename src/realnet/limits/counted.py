"""What was measured of an inspector's limits: the scores of drawn defects, and what a threshold finds of them."""

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
from pydantic import Field

from realnet.atomic import write_text
from realnet.config import Node
from realnet.limits.drawn import Kind, Wanted
from realnet.overriding import reading

LIMITS_FILE, CHART_FILE = "limits.json", "limits.png"
# 29 of 29 found is the least that shows 90 % with a confidence of 95 % (a90/95 of non-destructive testing).
EACH, RELIABLE, CONFIDENCE = 29, 0.9, 0.95
# The map of where the inspector is blind has so many cells a side, and says nothing of a cell with fewer defects.
GRID, _LEAST = 6, 10


def title_of(kind: Kind) -> str:
    """What people call it."""
    return {"missing": "missing part", "sia": "SIA"}.get(kind, kind)


def unit_of(kind: Kind) -> str:
    """What its depth is counted in."""
    return "% strength" if kind == "sia" else "grey levels"


@dataclass(frozen=True)
class Found(Wanted):
    """``of`` how many drawn defects of one kind, size and depth how many were ``found``."""

    found: int
    of: int

    @property
    def share(self) -> float:
        """Share that was found."""
        return self.found / self.of

    @property
    def at_least(self) -> float:
        """What share is found at least, with a confidence of 95 % (Clopper and Pearson, one-sided)."""
        from scipy.stats import beta  # a second that most do without

        if self.found == 0:
            return 0.0
        return float(beta.ppf(1 - CONFIDENCE, self.found, self.of - self.found + 1))

    @property
    def reliable(self) -> bool:
        """Whether nine of ten are found at least, with that confidence."""
        return self.at_least >= RELIABLE

    def sentence(self) -> str:
        """Such as ``2 px at 32 grey levels: 28 of 29``."""
        depth = "" if self.depth is None else f" at {self.depth} {unit_of(self.kind)}"
        return f"{self.size:g} px{depth}: {self.found} of {self.of}"


class Cell(Node):
    """Image scores of drawn defects of one kind, size and depth, and where each lay in shares of the image."""

    kind: Kind
    size: float = Field(ge=1)
    depth: int | None
    scores: tuple[float, ...] = Field(min_length=1)
    places: tuple[tuple[float, float], ...]

    def at(self, threshold: float) -> Found:
        """What a threshold finds."""
        return Found(self.kind, self.size, self.depth, sum(s > threshold for s in self.scores), len(self.scores))


class Limits(Node):
    """What an inspector finds.

    Attributes:
        drawn: each kind, size and depth.
        images: how many good images were drawn on; ``left_out``: how many were above the threshold as they are.
        side: the shorter side of the images in pixels, by the median.
        threshold: of the image score.
        digest: of the model.
        picture: one of the good images, small, as WebP in base64.
    """

    drawn: tuple[Cell, ...]
    images: int
    left_out: int
    side: int
    threshold: float = Field(ge=0, le=1)
    digest: str = ""
    picture: str = ""

    @property
    def cells(self) -> tuple[Found, ...]:
        """What the threshold finds of each kind, size and depth."""
        return tuple(cell.at(self.threshold) for cell in self.drawn)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Those that were drawn, in order."""
        return tuple(dict.fromkeys(cell.kind for cell in self.drawn))

    @property
    def blind(self) -> tuple[tuple[float | None, ...], ...]:
        """Of defects that are found sometimes, the share found in each cell of a grid over the image.

        ``[GRID][GRID]``, rows from the top; None where too few lay there to say.
        """
        total, found = np.zeros((GRID, GRID), int), np.zeros((GRID, GRID), int)
        for cell, counted in zip(self.drawn, self.cells, strict=True):
            if not 0 < counted.found < counted.of:
                continue
            for (row, column), score in zip(cell.places, cell.scores, strict=True):
                place = min(GRID - 1, int(row * GRID)), min(GRID - 1, int(column * GRID))
                total[place] += 1
                found[place] += score > self.threshold
        return tuple(
            tuple(None if t < _LEAST else round(float(f / t), 3) for f, t in zip(fs, ts, strict=True))
            for fs, ts in zip(found, total, strict=True)
        )

    def at(self, threshold: float) -> "Limits":
        """What another threshold finds."""
        return self.model_copy(update={"threshold": threshold})

    def smallest(self, kind: Kind, depth: int | None) -> float | None:
        """The smallest size from which on every larger one of that depth is found reliably; None: none is."""
        sizes = sorted((cell for cell in self.cells if (cell.kind, cell.depth) == (kind, depth)), key=lambda c: -c.size)
        reliable = [cell.size for cell in takewhile(lambda cell: cell.reliable, sizes)]
        return reliable[-1] if reliable else None

    def reliable(self, kind: Kind) -> list[Found]:
        """The smallest that is found reliably at each depth where one is, the faintest first."""
        depths = sorted({cell.depth or 0 for cell in self.cells if cell.kind == kind})
        ends = {(depth or None, self.smallest(kind, depth or None)) for depth in depths}
        found = [cell for cell in self.cells if cell.kind == kind and (cell.depth, cell.size) in ends]
        return sorted(found, key=lambda cell: cell.depth or 0)

    def sentences(self) -> list[str]:
        """The smallest and the faintest of each kind that the inspector finds reliably, a sentence a kind."""
        said = []
        for kind in self.kinds:
            ends = self.reliable(kind)
            if not ends:
                best = max((c for c in self.cells if c.kind == kind), key=lambda c: (c.share, c.size, c.depth or 0))
                said.append(f"{title_of(kind)}: none of those tried; at best {best.sentence()}.")
                continue
            small, faint = min(ends, key=lambda cell: cell.size), ends[0]
            parts = [f"smallest {small.sentence()}", *([f"faintest {faint.sentence()}"] if faint is not small else [])]
            said.append(f"{title_of(kind)}: {'; '.join(parts)}.")
        return said


def save_limits(run: Path, limits: Limits) -> None:
    """File ``limits`` under the run or export; those measured before are replaced."""
    write_text(run / LIMITS_FILE, limits.to_json())


def read_limits(run: Path, digest: str, threshold: float) -> Limits | None:
    """What was measured of the model of ``digest``, at ``threshold``; None: nothing; UserError where it is damaged."""
    path = run / LIMITS_FILE
    if not path.is_file():
        return None
    with reading(path, "make it anew with `realnet limits`"):
        found = Limits.model_validate_json(path.read_text(encoding="utf-8"))
    return found.at(threshold) if found.digest == digest else None
