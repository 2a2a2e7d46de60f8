"""Tables: means over seeds and products by hand, the paper's figures in their places, every form of output."""

import csv
import io
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from realnet.benchmark.benchmark_tables import MEAN, BenchmarkTable, Value, make_table
from realnet.benchmark.columns import COLUMNS
from realnet.benchmark.expand import Entry
from realnet.benchmark.jobs import InspectorJob, Outcome, ProductLocation
from realnet.benchmark.outputs import grids, to_csv, to_html, to_markdown, to_terminal, write_outputs
from realnet.benchmark.plan import Plan, parse_plan, read_plan
from realnet.benchmark.runner import Finished
from realnet.evaluation.results import Figures, Provenance, Results
from realnet.presets import presets
from realnet.provenance import collect_provenance

HEAD = "title: T\nquestion: Which?\nreported: table1\n"
ROWS = "rows:\n  - {name: SIA, synthesis: sia}\n  - {name: DTD, synthesis: dtd}\n  - {name: Theirs, method: reported}\n"


def outcome(figures: dict[str, float], oracle: bool = False, **measured: float) -> Outcome:
    """Of one evaluation with these image AUROCs by category."""
    rows = tuple(
        Figures(category=name, defect=None, good=2, defective=2, image_auroc=value, oracle=oracle)
        for name, value in figures.items()
    )
    provenance = Provenance(**collect_provenance(
        data="set", data_fingerprint="-", split="test", seed=0, preset="lite", image_score="max",
        selection="oracle" if oracle else "validation",
    ))  # fmt: skip
    results = Results(overall=rows[0], categories=rows, defects=(), provenance=provenance)
    return Outcome(results=results, measured=measured, hardware="a machine")


def finished(plan: Plan, row: int, product: str, seed: int, result: Outcome | None, failure: str = "") -> Finished:
    names = ("cap", "nut") if product == "all" else (product,)
    places = tuple(ProductLocation(root="set", category=name, name=name) for name in names)
    job = InspectorJob(name="x", places=places, data="-", config=presets["lite"])
    return Finished(Entry(plan.rows[row], product, seed, job), result, failure)


@pytest.fixture
def table() -> BenchmarkTable:
    """Two rows, two products, two seeds; one job has failed."""
    plan = parse_plan("p", HEAD + ROWS)
    return make_table(
        plan,
        [
            finished(plan, 0, "transistor", 0, outcome({"transistor": 0.9}, images_per_second=10.0)),
            finished(plan, 0, "transistor", 1, outcome({"transistor": 0.8}, images_per_second=20.0)),
            finished(plan, 0, "nut", 0, outcome({"nut": 0.6})),
            finished(plan, 0, "nut", 1, outcome({"nut": 0.7})),
            finished(plan, 1, "transistor", 0, outcome({"transistor": 0.5})),
            finished(plan, 1, "transistor", 1, None, "the disk is full."),
        ],
        ["Said beside it."],
    )


def test_means_and_deviations_over_seeds(table: BenchmarkTable) -> None:
    line = table.line("SIA", "transistor")
    value = line.values["image_auroc"]
    assert value.mean == pytest.approx(0.85) and value.deviation == pytest.approx(0.05)
    single = table.line("DTD", "transistor")
    assert single.values["image_auroc"].deviation is None
    assert single.problems == ("DTD, transistor, seed 1: the disk is full.",)


def test_figures_of_a_job_that_was_done_under_other_names() -> None:
    plan = parse_plan("p", HEAD + ROWS)
    table = make_table(plan, [finished(plan, 0, "all", 0, outcome({"a-cap": 0.9, "a-nut": 0.6}))])
    found = [table.line("SIA", name) for name in ("cap", "nut")]
    assert [line.values["image_auroc"].mean for line in found] == [0.9, 0.6]


def test_the_mean_over_products_is_taken_seed_by_seed(table: BenchmarkTable) -> None:
    line = table.line("SIA", MEAN)
    assert line.values["image_auroc"].by_seed == pytest.approx({0: 0.75, 1: 0.75})
    assert "images_per_second" not in line.values  # only one product has it
    lone = table.line("DTD", MEAN)
    assert lone.values == {}  # one product is no mean, but the paper's is there
    assert lone.paper["image_auroc"].value == 0.9952


def test_the_papers_figures_stand_beside_ours(table: BenchmarkTable) -> None:
    line = table.line("SIA", "transistor")
    assert line.paper["pro"].value == 0.9292
    nut = table.line("SIA", "nut")
    assert nut.paper == {}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_value_is_the_plain_mean_and_population_deviation(numbers: list[float]) -> None:
    value = Value(dict(enumerate(numbers)))
    assert value.mean == pytest.approx(statistics.fmean(numbers))
    expected = statistics.pstdev(numbers) if len(numbers) > 1 else None
    assert value.deviation == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_a_row_of_several_products_together_gives_each_its_line() -> None:
    plan = parse_plan("p", "title: T\nquestion: Q?\nrows:\n  - {name: A, synthesis: nsa, together: true}\n")
    table = make_table(plan, [finished(plan, 0, "all", 0, outcome({"cap": 0.9, "nut": 0.7}))])
    values = {line.category: line.values["image_auroc"].mean for line in table.lines}
    assert values == pytest.approx({"cap": 0.9, "nut": 0.7, MEAN: 0.8})


def test_markdown_has_every_figure_fact_and_failure(table: BenchmarkTable) -> None:
    text = to_markdown(table)
    assert "| SIA | 85.00 ± 5.00 | 100.00 |" in text  # transistor, with the paper's
    assert "| SIA | 65.00 ± 5.00 |" in text  # nut, of which the paper says nothing
    assert "| SIA | 75.00 ± 0.00 | 99.65 |" in text  # mean
    assert "the disk is full." in text and "- Said beside it." in text
    assert "seeds 0, 1" in text and "preset lite" in text and "a machine" in text


def test_csv_gives_the_same_numbers_back(table: BenchmarkTable) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    (row,) = [r for r in rows if (r["row"], r["category"], r["metric"]) == ("SIA", "transistor", "image_auroc")]
    assert float(row["mean"]) == pytest.approx(0.85) and float(row["deviation"]) == pytest.approx(0.05)
    assert (row["seeds"], float(row["paper"]), row["oracle"]) == ("0 1", 1.0, "")


def test_by_category_as_table_1_has_it(table: BenchmarkTable) -> None:
    plan = table.plan.model_copy(update={"layout": "categories"})
    ((caption, header, rows),) = grids(make_table(plan, _again(plan)))
    assert caption == "Image AUROC / Pixel AUROC / PRO (%)" and header == ["category", "SIA", "DTD"]
    assert [row[0] for row in rows] == ["transistor", "transistor (paper)", f"{MEAN} (paper)"]
    assert rows[0][1].startswith("85.00") and rows[1][1] == "100.00 / 98.00 / 92.92"


def _again(plan: Plan) -> list[Finished]:
    return [
        finished(plan, 0, "transistor", 0, outcome({"transistor": 0.9})),
        finished(plan, 0, "transistor", 1, outcome({"transistor": 0.8})),
    ]


def test_one_product_gives_one_grid_with_the_papers_mean(table: BenchmarkTable) -> None:
    plan = read_plan("table2")
    made = make_table(plan, [finished(plan, 9, "cap", 0, outcome({"cap": 0.9}))])
    ((caption, header, rows),) = grids(made)
    assert caption == "cap" and header == ["", "Image AUROC (%)", "Image AUROC (%), paper", "Pixel AUROC (%), paper"]
    assert rows[-1] == ["RealNet", "90.00", "99.60", "99.00"]
    assert ["SimpleNet", "–", "99.60", "98.10"] in rows  # no library offers it: as reported


def test_oracle_is_marked_everywhere() -> None:
    plan = parse_plan("p", "title: T\nquestion: Q?\nrows:\n  - {name: A, synthesis: nsa}\n")
    table = make_table(plan, [finished(plan, 0, "cap", 0, outcome({"cap": 0.9}, oracle=True))])
    assert "90.00 (oracle)" in to_markdown(table) and "90.00 (oracle)" in to_html(table)
    assert to_csv(table).splitlines()[1].endswith(",oracle")


def test_the_page_is_whole_and_escapes_names(table: BenchmarkTable) -> None:
    plan = parse_plan("p", "title: <b>T</b>\nquestion: Q?\nrows:\n  - {name: '<i>', synthesis: nsa}\n")
    page = to_html(make_table(plan, [finished(plan, 0, "cap", 0, outcome({"cap": 0.9}))]))
    assert "<b>T" not in page and "<i>" not in page and page.count("<svg") == 1
    assert to_html(table).count("<svg") == 1 and "http" not in to_html(table).replace("http-equiv", "")


def test_figure5_is_drawn_as_curves() -> None:
    plan = read_plan("figure5")
    made = [finished(plan, n, "cap", s, outcome({"cap": 0.9 - 0.01 * n})) for n in range(16) for s in (0, 1)]
    page = to_html(make_table(plan, made))
    assert all(name in page for name in ("Max&amp;Avg", "Avg", "share P of the residuals"))


def test_the_terminal_breaks_no_figure(table: BenchmarkTable) -> None:
    console = Console(width=60, record=True, file=io.StringIO())
    for drawn in to_terminal(table):
        console.print(drawn)
    assert "85.00 ± 5.00" in console.export_text()


def test_files_are_written(table: BenchmarkTable, tmp_path: Path) -> None:
    written = write_outputs(table, tmp_path / "out")
    assert [path.name for path in written] == ["p.md", "p.csv", "p.html"]
    assert all(path.stat().st_size > 100 for path in written)


def test_figures_are_written_in_their_units() -> None:
    assert COLUMNS["pro"].text(0.93071, 0.001234) == "93.07 ± 0.12"
    assert COLUMNS["images_per_second"].text(31.93) == "31.93"
