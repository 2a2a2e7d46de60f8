"""Plans: those of the package, and what is refused."""

import json

import pytest

from realnet.benchmark.plan import QUALITY, REALNET, REPORTED, Row, parse_plan, plan_names, read_plan
from realnet.benchmark.reported import reported
from realnet.errors import UserError
from realnet.model.network import RealNet
from realnet.overriding import override
from realnet.presets import presets

PLANS = [name for name in plan_names() if name != "peers"]


@pytest.mark.parametrize("name", plan_names())
def test_every_plan_of_the_package_can_be_read(name: str) -> None:
    plan = read_plan(name)
    assert plan.name == name
    assert read_plan(name.upper()) == plan


@pytest.mark.parametrize("name", [name for name in PLANS if name not in ("figure5",)])
def test_the_papers_figures_have_a_row_each(name: str) -> None:
    plan = read_plan(name)
    assert plan.reported is not None
    labels = {row.label for row in plan.rows}
    assert {row.label for row in reported(plan.reported).rows} <= labels


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("preset", ["lite", "paper"])
def test_every_row_of_realnet_is_a_valid_configuration(name: str, preset: str) -> None:
    for row in read_plan(name).rows:
        if row.method in (REALNET, QUALITY):
            fields = [f"{field}={json.dumps(value)}" for field, value in row.set.items()]
            config = override(presets[row.preset or preset], fields)
            assert config.preset == (row.preset or preset)


@pytest.mark.parametrize("row", read_plan("tableS4").rows, ids=lambda row: row.name)
def test_every_arrangement_can_be_made_of_lite(row: Row) -> None:
    fields = [f"{field}={json.dumps(value)}" for field, value in row.set.items()]
    model = RealNet(override(presets["lite"], fields), pretrained=False)
    assert model.config.reconstruction.architecture in row.name


def test_figure5_covers_the_modes_and_shares() -> None:
    rows = read_plan("figure5").rows
    assert {row.series for row in rows} == {"Max", "Avg", "Max&Avg", "all"}
    assert len({(row.series, row.x) for row in rows}) == len(rows) == 16


def test_a_plan_of_ones_own(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.yaml"
    path.write_text("title: T\nquestion: Q?\nrows:\n  - {name: A}\n  - {name: B, method: reported}\n")
    plan = read_plan(str(path))
    assert (plan.name, plan.rows[1].method) == ("mine", REPORTED)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rows: [{name: A}]", "title"),
        ("title: T\nquestion: Q\nrows: []", "rows"),
        ("title: T\nquestion: Q\nrows: [{name: A}, {name: a}]", "two rows are called a"),
        ("title: T\nquestion: Q\nmetrics: [beauty]\nrows: [{name: A}]", "no metric beauty"),
        ("title: T\nquestion: Q\nrows: [{name: A, colour: red}]", "colour"),
        ("title: T\nquestion: Q\nchart: x\nrows: [{name: A}]", "x and series"),
        ("[1, 2]", "no table of fields"),
        ("title: [", "no YAML"),
    ],
)
def test_what_is_wrong_with_a_plan_is_named(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_plan("mine", text)


def test_an_unknown_plan_names_the_known() -> None:
    with pytest.raises(UserError, match="table5a"):
        read_plan("table9")
    with pytest.raises(UserError, match="cannot be read"):
        read_plan("nowhere.yaml")
