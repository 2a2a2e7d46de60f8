"""From settled jobs to the table: the mean over seeds, and the paper's figure beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from realnet.benchmark.columns import COLUMNS
from realnet.benchmark.jobs import Outcome
from realnet.benchmark.origin import tell
from realnet.benchmark.plan import QUALITY, Plan, Row
from realnet.benchmark.reported import Reported, ReportedTable, reported
from realnet.benchmark.runner import Finished

MEAN = "mean"


@dataclass(frozen=True)
class Value:
    """A figure, one value a seed."""

    by_seed: dict[int, float]

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(np.mean(list(self.by_seed.values())))

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds (population); None for one seed."""
        return float(np.std(list(self.by_seed.values()))) if len(self.by_seed) > 1 else None


@dataclass(frozen=True)
class Line:
    """The figures of one row of the plan for one product, or for their mean.

    Attributes:
        row: the row's name.
        category: the product, or ``mean`` over products.
        values: ours, by metric.
        paper: the paper's, by metric.
        problems: a sentence for each job that has none.
        oracle: whether any run kept the state that was best on the test images.
    """

    row: str
    category: str
    values: dict[str, Value] = field(default_factory=dict)
    paper: dict[str, Reported] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    oracle: bool = False


@dataclass(frozen=True)
class BenchmarkTable:
    """A plan's figures, ready to be written in any form."""

    plan: Plan
    lines: tuple[Line, ...]
    metrics: tuple[str, ...]
    categories: tuple[str, ...]
    facts: tuple[str, ...]

    def line(self, row: str, category: str) -> Line:
        """The line of a row and a product, without figures where there are none."""
        found = (line for line in self.lines if line.row == row and line.category == category)
        return next(found, Line(row, category))

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows that have a line, in the plan's order."""
        have = {line.row for line in self.lines}
        return tuple(row.name for row in self.plan.rows if row.name in have)


def make_table(plan: Plan, settled: Sequence[Finished], remarks: Sequence[str] = ()) -> BenchmarkTable:
    """The table of ``plan`` from what its jobs gave; ``remarks`` are said beside it."""
    source = None if plan.reported is None else reported(plan.reported)
    categories = tuple(dict.fromkeys(name for finished in settled for name in _categories(finished)))
    lines: list[Line] = []
    for row in plan.rows:
        own = [finished for finished in settled if finished.entry.row.name == row.name]
        singles = [_line(row, name, own, source) for name in categories] if own else []
        singles = [line for line in singles if line.values or line.problems]
        lines += singles
        mean = _mean(row, singles, source)
        if mean is not None:
            lines.append(mean)
    metrics = _metrics(plan, lines)
    return BenchmarkTable(plan, tuple(lines), metrics, categories, (*_facts(settled, source), *remarks))


def _categories(finished: Finished) -> tuple[str, ...]:
    if finished.entry.product != "all":
        return (finished.entry.product,)
    job = finished.entry.job
    return () if job is None else tuple(place.name for place in job.places)


def _line(row: Row, category: str, own: Sequence[Finished], source: ReportedTable | None) -> Line:
    by_name: dict[str, dict[int, float]] = {}
    problems: list[str] = []
    oracle = False
    for finished in own:
        if category not in _categories(finished):
            continue
        seed = finished.entry.seed
        if finished.outcome is None:
            if finished.failure:
                problems.append(f"{row.name}, {category}, seed {seed}: {finished.failure}")
            continue
        for name, figure in _figures(finished, finished.outcome, category).items():
            by_name.setdefault(name, {})[seed] = figure
        results = finished.outcome.results
        oracle = oracle or (results is not None and results.overall.oracle)
    values = {name: Value(by_seed) for name, by_seed in by_name.items()}
    return Line(row.name, category, values, _paper(row, category, source), tuple(problems), oracle)


def _figures(finished: Finished, outcome: Outcome, category: str) -> dict[str, float]:
    figures = dict(outcome.measured)
    if outcome.results is not None:
        # By place: an earlier plan may have done the job under other names.
        found = outcome.results.categories[_categories(finished).index(category)]
        figures |= {name: getattr(found, name) for name in COLUMNS if getattr(found, name, None) is not None}
    return figures


def _mean(row: Row, singles: Sequence[Line], source: ReportedTable | None) -> Line | None:
    """The mean over products, of the figures and seeds that all of them have, and the paper's own mean beside it."""
    paper = _paper(row, None, source)
    full = [line for line in singles if line.values]
    values: dict[str, Value] = {}
    if len(full) > 1:
        for name in full[0].values:
            if any(name not in line.values for line in full):
                continue
            parts = [line.values[name].by_seed for line in full]
            shared = sorted(set.intersection(*(set(part) for part in parts)))
            if shared:
                values[name] = Value({seed: float(np.mean([part[seed] for part in parts])) for seed in shared})
    if not values and not paper:
        return None
    return Line(row.name, MEAN, values, paper, oracle=any(line.oracle for line in full))


def _paper(row: Row, category: str | None, source: ReportedTable | None) -> dict[str, Reported]:
    if source is None:
        return {}
    found = {name: source.figure(row.label, category, name) for name in source.metrics}
    return {name: figure for name, figure in found.items() if figure is not None}


def _metrics(plan: Plan, lines: Sequence[Line]) -> tuple[str, ...]:
    """The plan's metrics that anybody has; of a plan about images themselves every one."""
    have = {name for line in lines for name in (*line.values, *line.paper)}
    quality = any(row.method == QUALITY for row in plan.rows)
    wanted = [name for name in COLUMNS if name in have] if quality else list(plan.metrics)
    return tuple(name for name in wanted if name in have)


def _facts(settled: Sequence[Finished], source: ReportedTable | None) -> tuple[str, ...]:
    done = [(finished.entry, finished.outcome) for finished in settled if finished.outcome is not None]
    runs = [outcome.results.provenance for _, outcome in done if outcome.results is not None]
    facts: list[str] = []
    if runs:
        sources: dict[str, set[str]] = {
            "Data": {run.data for run in runs},
            "split": {run.split for run in runs},
            "seeds": {str(entry.seed) for entry, _ in done if entry.job is not None},
            "preset": {run.preset for run in runs},
            "image score": {run.image_score for run in runs},
            "state selected by": {run.selection for run in runs},
            "protocol": {run.protocol for run in runs},
        }
        told = [f"{what} {', '.join(sorted(values))}" for what, values in sources.items() if values]
        facts.append("; ".join(told) + ".")
    machines = sorted({outcome.hardware for _, outcome in done if outcome.hardware})
    if machines:
        facts.append(f"Hardware: {'; '.join(machines)}.")
    facts.append("± is the standard deviation over seeds (population); figures of one seed have none.")
    if source is not None:
        facts.append(f"paper: as reported there for {source.dataset}, not measured here.")
    origins: dict[str, list[dict[str, str]]] = {}
    for entry, outcome in done:
        if outcome.origin:
            origins.setdefault(entry.row.name, []).append(outcome.origin)
    notes = dict.fromkeys(note for _, outcome in done for note in outcome.notes)
    return (*facts, *_grouped(origins), *notes)


def _grouped(origins: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
    """A sentence for all rows whose defects are of one origin."""
    rows: dict[str, list[str]] = {}
    for row, own in origins.items():
        rows.setdefault(tell("", own), []).append(row)
    return [tell(", ".join(names), origins[names[0]]) for names in rows.values()]
