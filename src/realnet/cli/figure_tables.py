"""Figures as tables of a terminal: of an evaluation, and of the quality of synthetic images, as in Tab. S6."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from realnet.diffusion.quality.quality_figures import Quality
from realnet.evaluation.results import METRICS, Results
from realnet.report.result_words import cells_of, heading, remarks, shown_metrics

_NUMBERS = frozenset(["Missed", "False alarms", "Defective", "Good", *(metric.title for metric in METRICS.values())])


def results_table(results: Results) -> Table:
    """A rich table of what fits a terminal: without F1-max; its caption says what was done."""
    header, rows = cells_of(results, [name for name in shown_metrics(results) if not name.endswith("f1_max")])
    table = _table_with_remarks(heading(results), remarks(results))
    for name in header:
        # A title breaks between its words, a figure never.
        width = max(5, *(len(word) for word in name.split())) if name in _NUMBERS else None
        table.add_column(Text(name), justify="right" if name in _NUMBERS else "left", min_width=width, overflow="fold")
    for cells, strong in rows:
        table.add_row(*(Text(cell) for cell in cells), style="bold" if strong else None)
    return table


def quality_table(rows: Sequence[tuple[str, Quality]]) -> Table:
    """A rich table of several sets of images, each under its name; a figure that a set lacks is a dash.

    Its caption says with what the figures were measured, which direction is better, and what limits them.
    """
    figures = {figure.name: figure for _, quality in rows for figure in quality.figures}
    table = _table_with_remarks("Synthetic anomaly images against real ones", quality_remarks(rows))
    table.add_column("Images", overflow="fold")
    for name in ("Synthetic", "Real", *figures):
        table.add_column(Text(name), justify="right", min_width=max(len(word) for word in name.split()))
    for title, quality in rows:
        number = f"{quality.repeats} x {quality.synthetic}" if quality.repeats > 1 else str(quality.synthetic)
        cells = [figure.text if (figure := quality.figure(name)) else "–" for name in figures]
        table.add_row(*(Text(cell) for cell in (title, number, str(quality.real), *cells)))
    return table


def quality_remarks(rows: Sequence[tuple[str, Quality]]) -> list[str]:
    """What a reader of the table must know, each remark once."""
    figures = {figure.name: figure for _, quality in rows for figure in quality.figures}
    lines = []
    for direction in ("lower", "higher"):
        if names := [name for name, figure in figures.items() if figure.better == direction]:
            lines.append(f"{', '.join(names)}: {direction} is better.")
    for network in dict.fromkeys(figure.network for figure in figures.values()):
        names = [name for name, figure in figures.items() if figure.network == network]
        lines.append(f"{', '.join(names)} by {network}.")
    sizes = sorted({quality.size for _, quality in rows})
    lines.append(f"Images at {' and '.join(f'{size}x{size}' for size in sizes)}; ± is the deviation over repeats.")
    for title, quality in rows:
        start = f"{title}: " if len(rows) > 1 else ""
        lines += [start + note for note in quality.notes]
    return list(dict.fromkeys(lines))


def _table_with_remarks(title: str, remarks: Sequence[str]) -> Table:
    """An empty rich table in the style of all figures, its remarks below."""
    return Table(
        title=Text(title, style="table.title"),
        caption=Text("\n".join(remarks), style="table.caption"),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
    )
