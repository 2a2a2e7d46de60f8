"""Charts as inline SVG whose lines and letters take the page's colours."""

import io
import re

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from realnet.evaluation.metrics import image_auroc, roc_curve
from realnet.limits import Limits
from realnet.limits.limits_chart import limits_figure

# Blue and orange: told apart on light and dark ground and by colour-blind readers.
GOOD, DEFECTIVE = "#3b8fd6", "#e8792b"
INK = "#010203"  # Stands for the page's own text colour.


def roc_chart(scores: np.ndarray, labels: np.ndarray, threshold: float | None, mark: str = "") -> str:
    """The ROC curve of ``scores`` and ``labels`` ``[N]``, of both classes, with the operating point of ``threshold``.

    An ``<svg>`` element; ``mark``, such as ``(oracle)``, is appended to every figure.
    """
    curve = roc_curve(scores, labels)
    figure, axes = new_figure()
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.35, linewidth=1, linestyle=(0, (2, 3)))
    axes.fill_between(curve.fpr, curve.tpr, color=GOOD, alpha=0.12, linewidth=0)
    name = f"AUROC {image_auroc(scores, labels):.3f} {mark}".strip()
    axes.plot(curve.fpr, curve.tpr, color=GOOD, linewidth=2, label=name, clip_on=False)
    if threshold is not None:
        alarms, found = (scores[~labels] > threshold).mean(), (scores[labels] > threshold).mean()
        point = f"at the threshold: {found:.0%} found, {alarms:.0%} false alarms {mark}".strip()
        axes.plot([alarms], [found], "o", color=DEFECTIVE, markersize=8, label=point, clip_on=False, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="good images rejected", ylabel="defective images found")
    legend(figure, columns=1)
    return to_svg(figure, "roc", f"ROC curve, {name}")


def histogram(scores: np.ndarray, labels: np.ndarray, threshold: float | None) -> str:
    """How the image scores of good and defective images are distributed, with the threshold: an ``<svg>`` element."""
    figure, axes = new_figure()
    edges = np.histogram_bin_edges(scores, bins=30)
    for part, colour, name in ((~labels, GOOD, "good"), (labels, DEFECTIVE, "defective")):
        if part.any():
            counts, _ = np.histogram(scores[part], edges)
            name = f"{name} ({int(part.sum())})"
            axes.stairs(counts.astype(float), edges, fill=True, color=colour, alpha=0.65, label=name)
    if threshold is not None:
        axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label=f"threshold {threshold:.3g}")
    low, high = (edges[0], edges[-1]) if threshold is None else (min(edges[0], threshold), max(edges[-1], threshold))
    axes.set(xlabel="image score", ylabel="images", xlim=(low, high))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    legend(figure, columns=3)
    return to_svg(figure, "scores", "Histogram of the image scores of good and defective images")


def limits_chart(limits: Limits) -> str:
    """What the inspector finds of drawn defects, and where: an ``<svg>`` element."""
    description = "Share of drawn defects found, a field a kind, by size and depth, and by place"
    return to_svg(limits_figure(limits, INK), "limits", description)


def new_figure(height: float = 3.7) -> tuple[Figure, Axes]:
    """Empty axes in the page's style, ``height`` inches high."""
    figure = Figure(figsize=(5.2, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.spines[["left", "bottom"]].set_alpha(0.5)
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(color=INK, alpha=0.1, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def legend(figure: Figure, columns: int) -> None:
    """What the marks mean, above the axes."""
    figure.legend(
        loc="outside upper left", ncols=columns, frameon=False, fontsize=9, labelcolor=INK,
        handlelength=1.4, columnspacing=1.4, borderaxespad=0,
    )  # fmt: skip


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element; ``name`` is its own on the page, ``description`` for who cannot see it."""
    text = io.StringIO()
    # Letters stay letters, in the page's font; ids are the same whenever the same chart is drawn.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg, count=2)
    svg = re.sub(r' (width|height)="[^"]*"', "", svg, count=2)
    svg = re.sub(r'font: ([\d.]+px) [^;"]+', r"font: \1 system-ui, sans-serif", svg)
    # Two charts on one page must not share ids.
    svg = svg.replace(' id="', f' id="{name}-').replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')
    svg = svg.replace(INK, "currentColor")
    return svg.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
