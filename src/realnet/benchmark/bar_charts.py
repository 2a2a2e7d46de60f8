"""The plots on a table's page."""

from realnet.benchmark.benchmark_tables import MEAN, BenchmarkTable, Line
from realnet.benchmark.columns import COLUMNS
from realnet.report.charts import DEFECTIVE, GOOD, INK, legend, new_figure, to_svg

_COLOURS = (GOOD, DEFECTIVE, "#4aa564", "#9a6fd0", "#b0893b", "#5f6b7a")


def bars(table: BenchmarkTable, metric: str) -> str:
    """A dot with its deviation for each row of the plan, one colour a product; the paper's as a hollow mark."""
    column = COLUMNS[metric]
    figure, axes = new_figure(height=1.3 + 0.34 * len(table.rows))
    names = list(table.rows)
    categories = [name for name in (*table.categories, MEAN) if _of(table, name, metric)]
    for number, category in enumerate(categories):
        lines = _of(table, category, metric)
        heights = [names.index(line.row) + 0.12 * (number - (len(categories) - 1) / 2) for line in lines]
        means = [line.values[metric].mean * column.factor for line in lines]
        spread = [(line.values[metric].deviation or 0.0) * column.factor for line in lines]
        axes.errorbar(
            means, heights, xerr=spread, fmt="o", color=_COLOURS[number % len(_COLOURS)], markersize=5, capsize=2,
            linewidth=1.2, label=category,
        )  # fmt: skip
    papers = [line for line in table.lines if line.category == MEAN and metric in line.paper]
    if papers:
        axes.plot(
            [papers_line.paper[metric].value * column.factor for papers_line in papers],
            [names.index(papers_line.row) for papers_line in papers],
            "D", color=INK, markerfacecolor="none", markersize=5, alpha=0.6, label="paper, mean",
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(column.title)
    legend(figure, columns=3)
    return to_svg(figure, f"bars-{metric}".replace(" ", "-"), f"{column.title} of each row")


def curves(table: BenchmarkTable, metric: str) -> str:
    """A line a series over the plan's x, with deviations; of the mean where there are several products."""
    column = COLUMNS[metric]
    figure, axes = new_figure()
    category = MEAN if _of(table, MEAN, metric) else table.categories[0]
    rows = {row.name: row for row in table.plan.rows}
    series = dict.fromkeys(row.series for row in table.plan.rows)
    for number, name in enumerate(series):
        points = [
            (rows[line.row].x or 0.0, line.values[metric])
            for line in _of(table, category, metric)
            if rows[line.row].series == name
        ]
        points.sort(key=lambda point: point[0])
        if not points:
            continue
        axes.errorbar(
            [x for x, _ in points],
            [value.mean * column.factor for _, value in points],
            yerr=[(value.deviation or 0.0) * column.factor for _, value in points],
            color=_COLOURS[number % len(_COLOURS)], marker="o", markersize=4, capsize=2, linewidth=1.6, label=name,
        )  # fmt: skip
    axes.set(xlabel=table.plan.chart, ylabel=column.title)
    legend(figure, columns=3)
    return to_svg(figure, f"curves-{metric}".replace(" ", "-"), f"{column.title} over {table.plan.chart}")


def _of(table: BenchmarkTable, category: str, metric: str) -> list[Line]:
    return [line for line in table.lines if line.category == category and metric in line.values]
