"""A benchmark's table on a terminal, in Markdown, as CSV, and as a page with plots."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup
from rich import box
from rich.table import Table
from rich.text import Text

from realnet.atomic import write_text
from realnet.benchmark.benchmark_tables import MEAN, BenchmarkTable, Line
from realnet.benchmark.columns import COLUMNS
from realnet.benchmark.reported import Reported
from realnet.evaluation.results import METRICS
from realnet.templates import filled

_DASH = "–"
Grid = tuple[str, list[str], list[list[str]]]
"""A caption, a header, and rows of cells."""


def grids(table: BenchmarkTable) -> list[Grid]:
    """The table in the paper's shape: one grid, or one a product where a method's figures fill a line."""
    if table.plan.layout == "categories":
        return [_by_category(table)]
    if len(table.categories) == 1:
        return [_by_method(table, table.categories[0], _lines_of_one(table))]
    found = []
    for name in (*table.categories, MEAN):
        lines = [line for line in table.lines if line.category == name and (line.values or line.paper)]
        if lines:
            found.append(_by_method(table, "mean over products" if name == MEAN else name, lines))
    return found


def _lines_of_one(table: BenchmarkTable) -> list[Line]:
    """Of a single product: its own lines, with the paper's mean where the paper has no figure of the product."""
    pairs = [(table.line(row, table.categories[0]), table.line(row, MEAN)) for row in table.rows]
    lines = [replace(own, paper=own.paper or mean.paper) for own, mean in pairs]
    return [line for line in lines if line.values or line.paper]


def write_outputs(table: BenchmarkTable, folder: Path) -> list[Path]:
    """Write ``NAME.md``, ``NAME.csv`` and ``NAME.html`` to ``folder``; their paths. UserError where it cannot be."""
    name = table.plan.name
    written = [folder / f"{name}.{suffix}" for suffix in ("md", "csv", "html")]
    for path, text in zip(written, (to_markdown(table), to_csv(table), to_html(table)), strict=True):
        write_text(path, text)
    return written


def to_terminal(table: BenchmarkTable) -> Iterator[Table]:
    """One rich table a grid."""
    for caption, header, rows in grids(table):
        drawn = Table(title=Text(caption, style="table.title"), box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
        for number, name in enumerate(header):
            # A title breaks between its words, a figure never.
            width = max(len(cells[number]) for cells in rows) if number else None
            drawn.add_column(Text(name), justify="right" if number else "left", min_width=width, overflow="fold")
        for cells in rows:
            drawn.add_row(*(Text(cell) for cell in cells))
        yield drawn


def to_markdown(table: BenchmarkTable) -> str:
    """Heading, question, tables, facts, problems."""
    lines = [f"### {_markdown_text(table.plan.title)}", "", table.plan.question, ""]
    for caption, header, rows in grids(table):
        lines += [
            f"**{_markdown_text(caption)}**",
            "",
            _markdown_line(header),
            _markdown_line(["---", *["--:"] * (len(header) - 1)]),
        ]
        lines += [_markdown_line([_markdown_text(cell) for cell in cells]) for cells in rows] + [""]
    lines += [f"- {_markdown_text(fact)}" for fact in table.facts]
    found = problems(table)
    if found:
        lines += ["", "Not there:", ""] + [f"- {_markdown_text(problem)}" for problem in found]
    return "\n".join(lines) + "\n"


def to_csv(table: BenchmarkTable) -> str:
    """A line a row, product and metric: ours (as a fraction, not per cent), its deviation and seeds, the paper's."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["plan", "row", "category", "metric", "mean", "deviation", "seeds", "paper", "paper_deviation", "oracle"]
    )
    for line in table.lines:
        for metric in dict.fromkeys((*line.values, *line.paper)):
            value, paper = line.values.get(metric), line.paper.get(metric)
            ours = (value.mean, value.deviation, " ".join(map(str, value.by_seed))) if value else (None, None, None)
            printed = (paper.value, paper.deviation) if paper else (None, None)
            oracle = "oracle" if line.oracle else None
            writer.writerow([table.plan.name, line.row, line.category, metric, *ours, *printed, oracle])
    return text.getvalue()


def to_html(table: BenchmarkTable) -> str:
    """One page that opens anywhere, offline."""
    from realnet.benchmark.bar_charts import bars, curves

    draw = curves if table.plan.chart else bars
    shown = [metric for metric in table.metrics if any(metric in line.values for line in table.lines)]
    charts = [(COLUMNS[metric].title, Markup(draw(table, metric))) for metric in shown]
    return filled(
        "realnet.benchmark",
        "table.html.jinja",
        title=table.plan.title,
        question=table.plan.question,
        grids=grids(table),
        charts=charts,
        facts=table.facts,
        problems=problems(table),
    )


def problems(table: BenchmarkTable) -> list[str]:
    """A sentence for each job that has no outcome."""
    return [problem for line in table.lines for problem in line.problems]


def _by_category(table: BenchmarkTable) -> Grid:
    """A line a product, a column a row of the plan, all metrics in a cell, as Tab. 1 has it."""
    metrics = [COLUMNS[metric].title.removesuffix(" (%)") for metric in table.metrics]
    names = [name for name in (*table.categories, MEAN) if any(line.category == name for line in table.lines)]
    rows = []
    for name in names:
        lines = [table.line(row, name) for row in table.rows]
        for title, written in ((name, _own), (f"{name} (paper)", _reported)):
            cells = [_joined(line, table.metrics, written) for line in lines]
            if any(cell != _DASH for cell in cells):
                rows.append([title, *cells])
    return f"{' / '.join(metrics)} (%)", ["category", *table.rows], rows


def _by_method(table: BenchmarkTable, caption: str, lines: Sequence[Line]) -> Grid:
    """A line a row of the plan, a column a metric; the paper's beside it where it has one."""
    header, columns = [""], []
    for metric in table.metrics:
        if any(metric in line.values for line in lines):
            header.append(COLUMNS[metric].title)
            columns.append((metric, False))
        if any(metric in line.paper for line in lines):
            header.append(f"{COLUMNS[metric].title}, paper")
            columns.append((metric, True))
    rows = [
        [line.row, *(_reported(line, metric) if paper else _own(line, metric) for metric, paper in columns)]
        for line in lines
    ]
    return caption, header, rows


def _own(line: Line, metric: str) -> str:
    value = line.values.get(metric)
    if value is None:
        return _DASH
    mark = " (oracle)" if line.oracle and metric in METRICS else ""
    return COLUMNS[metric].text(value.mean, value.deviation) + mark


def _reported(line: Line, metric: str) -> str:
    figure: Reported | None = line.paper.get(metric)
    return _DASH if figure is None else COLUMNS[metric].text(figure.value, figure.deviation)


def _joined(line: Line, metrics: Sequence[str], written: Callable[[Line, str], str]) -> str:
    cells = [written(line, metric) for metric in metrics]
    return " / ".join(cells) if any(cell != _DASH for cell in cells) else _DASH


def _markdown_line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _markdown_text(text: str) -> str:
    """``text`` as Markdown shows it as it is: names of folders must not break a table or start markup."""
    for character in "\\|*_`<>[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
