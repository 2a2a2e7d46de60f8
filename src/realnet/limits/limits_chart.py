"""The chart of an inspector's limits: a table of shares a kind of defect, and where on the product it is blind."""

import base64
import io
import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from realnet.atomic import atomic_path
from realnet.limits.counted import GRID, Limits, title_of, unit_of
from realnet.limits.drawn import Kind

# Blue is found, orange is missed, white lies between them: told apart by colour-blind readers, too.
_COLOURS = matplotlib.colormaps["RdBu"].with_extremes(bad="#00000000")
_ON_LIGHT, _ON_DARK = "#101418", "#ffffff"


def limits_figure(limits: Limits, ink: str = "#101418") -> Figure:
    """A field a kind, with the share found of each size and depth in percent, and a map of where, in ``ink``."""
    columns = math.ceil((len(limits.kinds) + 1) / 2)
    figure = Figure(figsize=(3.5 * columns, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(2, columns, squeeze=False).flatten()
    for axes, kind in zip(places, limits.kinds, strict=False):
        _draw_kind(axes, limits, kind, ink)
    _draw_where(places[len(limits.kinds)], limits, ink)
    for axes in places[len(limits.kinds) + 1 :]:
        axes.set_axis_off()
    return figure


def chart_png(limits: Limits, name: str) -> bytes:
    """The chart of the inspector called ``name`` as a PNG file."""
    figure = limits_figure(limits)
    figure.suptitle(f"Share of drawn defects found by {name}, % (* nine of ten at least, 95% sure)", fontsize=11)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    return stream.getvalue()


def write_chart(path: Path, limits: Limits, name: str) -> None:
    """Write :func:`chart_png`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(chart_png(limits, name))


def _draw_kind(axes: Axes, limits: Limits, kind: Kind, ink: str) -> None:
    cells = [cell for cell in limits.cells if cell.kind == kind]
    sizes, depths = sorted({c.size for c in cells}), sorted({c.depth or 0 for c in cells})
    shares = np.full((len(sizes), len(depths)), np.nan)
    for cell in cells:
        row, column = sizes.index(cell.size), depths.index(cell.depth or 0)
        shares[row, column] = cell.share
        axes.text(
            column, row, f"{100 * cell.share:.0f}{'*' if cell.reliable else ''}", ha="center", va="center", fontsize=9,
            fontweight="bold" if cell.reliable else "normal", color=_ON_LIGHT if 0.2 < cell.share < 0.8 else _ON_DARK,
        )  # fmt: skip
    _fields(axes, shares)
    _style(axes, title_of(kind), ink)
    axes.set_yticks(range(len(sizes)), [f"{size:g}" for size in sizes])
    axes.set_xticks(range(len(depths)), [str(depth) for depth in depths] if depths != [0] else [""])
    axes.set_xlabel(unit_of(kind) if depths != [0] else "", fontsize=9, color=ink)
    axes.set_ylabel("size, px", fontsize=9, color=ink)


def _draw_where(axes: Axes, limits: Limits, ink: str) -> None:
    """The grid over a good image; the first row is on top."""
    blind = np.array([[np.nan if v is None else v for v in row] for row in limits.blind], float)
    edge = (-0.5, GRID - 0.5)
    if limits.picture:
        picture = Image.open(io.BytesIO(base64.b64decode(limits.picture))).convert("L")
        axes.imshow(np.asarray(picture), cmap="gray", vmin=0, vmax=255, extent=(*edge, *edge[::-1]), aspect="auto")
    _fields(axes, blind, 0.62 if limits.picture else 1.0)
    axes.set_ylim(*edge[::-1])
    for row, values in enumerate(limits.blind):
        for column, value in enumerate(values):
            if value is not None:
                axes.text(
                    column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=9, color=_ON_LIGHT,
                    bbox={"boxstyle": "round,pad=0.15", "facecolor": "#ffffffb0", "edgecolor": "none"},
                )  # fmt: skip
    _style(axes, "where on the product", ink)
    axes.set_xlabel("found of those found sometimes, %", fontsize=9, color=ink)
    axes.set_xticks([])
    axes.set_yticks([])


def _fields(axes: Axes, shares: np.ndarray, alpha: float = 1.0) -> None:
    rows, columns = (np.arange(count + 1) - 0.5 for count in shares.shape)
    axes.pcolormesh(
        columns, rows, np.ma.masked_invalid(shares), cmap=_COLOURS, vmin=0, vmax=1, alpha=alpha, edgecolors="white",
        linewidth=0.5,
    )  # fmt: skip


def _style(axes: Axes, title: str, ink: str) -> None:
    axes.set_title(title, fontsize=11, color=ink)
    axes.tick_params(colors=ink, labelsize=9, length=0)
    axes.spines[:].set_visible(False)
