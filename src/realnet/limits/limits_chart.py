"""The chart of an inspector's limits: a table of shares a kind of defect, and where the inspector is blind."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from realnet.atomic import atomic_path
from realnet.limits.drawn import KINDS
from realnet.limits.measuring import Limits

_COLOURS = "viridis"


def write_chart(path: Path, limits: Limits, title: str) -> None:
    """Write the chart as PNG.

    Raises:
        UserError: where it cannot be written.
    """
    kinds = [kind for kind in KINDS if any(cell.kind == kind for cell in limits.cells)]
    figure = Figure(figsize=(3.1 * (len(kinds) + 1), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(kinds) + 1, squeeze=False)[0]
    figure.suptitle(title, fontsize=10)
    for place, kind in zip(axes, kinds, strict=False):
        cells = [cell for cell in limits.cells if cell.kind == kind]
        sizes, depths = sorted({c.size for c in cells}), sorted({c.depth or 0 for c in cells})
        shares = np.full((len(sizes), len(depths)), np.nan)
        for cell in cells:
            row, column = sizes.index(cell.size), depths.index(cell.depth or 0)
            shares[row, column] = cell.share
            mark = "*" if cell.reliable else ""
            light = "white" if cell.share < 0.6 else "black"
            place.text(column, row, f"{100 * cell.share:.0f}{mark}", ha="center", va="center", fontsize=8, color=light)
        place.imshow(shares, vmin=0, vmax=1, cmap=_COLOURS, origin="lower", aspect="auto")
        place.set_title(kind, fontsize=10)
        place.set_yticks(range(len(sizes)), [f"{size:g}" for size in sizes], fontsize=8)
        place.set_xticks(range(len(depths)), [str(d) if d else "-" for d in depths], fontsize=8)
        place.set_xlabel("depth, grey levels", fontsize=8)
    axes[0].set_ylabel("size, pixels of the image", fontsize=8)
    blind = np.array([[np.nan if v is None else v for v in row] for row in limits.blind], float)
    axes[-1].imshow(blind, vmin=0, vmax=1, cmap=matplotlib.colormaps[_COLOURS].with_extremes(bad="lightgrey"))
    axes[-1].set_title("where", fontsize=10)
    axes[-1].set_xlabel("share found of those found sometimes, %", fontsize=8)
    axes[-1].set_xticks([])
    axes[-1].set_yticks([])
    for row, values in enumerate(limits.blind):
        for column, value in enumerate(values):
            if value is not None:
                axes[-1].text(
                    column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=7,
                    color="white" if value < 0.6 else "black",
                )  # fmt: skip
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
