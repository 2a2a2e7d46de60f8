"""How good synthetic anomaly images are, with everything that a reader of the figures must know."""

from typing import Literal

from realnet.config import Node


class QualityFigure(Node):
    """One figure.

    Attributes:
        name: what it may be called: ``FID``, ``KID``, ``cluster LPIPS`` and ``IC-LPIPS`` by the published networks
            only.
        value: mean over the repeats; None where it is not defined.
        deviation: sample deviation over the repeats; None for a single one.
        better: which direction is better.
        network: the feature network and where its weights come from.
        subset_deviation: of a kernel distance, the deviation over its own subsets, averaged over repeats.
        groups: of a clustered distance, how many clusters went into it, one number a repeat.
        left_out: how many clusters had fewer than two members, likewise.
    """

    name: str
    value: float | None
    deviation: float | None = None
    better: Literal["lower", "higher"]
    network: str
    subset_deviation: float | None = None
    groups: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        """``60.39 ± 1.26``, four digits that count, or a dash where undefined."""
        if self.value is None:
            return "–"
        value = f"{self.value:#.4g}".rstrip(".")
        return value if self.deviation is None else f"{value} ± {self.deviation:.2g}"


class Quality(Node):
    """All figures of one set of synthetic images.

    Attributes:
        figures: in the order of the paper's Tab. S6, distances before diversity.
        real: number of real anomalous images.
        synthetic: number of synthetic images in each repeat; ``available`` of those to draw from.
        good: number of good images that the IC distance clusters around; None without.
        repeats: how often the figures were measured.
        size: side of the images in pixels as the networks were given them.
        seed: of all draws.
        notes: sentences on what limits the figures.
    """

    figures: tuple[QualityFigure, ...]
    real: int
    synthetic: int
    available: int
    good: int | None = None
    repeats: int
    size: int
    seed: int
    notes: tuple[str, ...] = ()

    def figure(self, name: str) -> QualityFigure | None:
        """The figure of this name, if there is one."""
        return next((figure for figure in self.figures if figure.name == name), None)
