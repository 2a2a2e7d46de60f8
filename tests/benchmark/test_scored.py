from pathlib import Path

import pytest

from realnet.benchmark.benchmark_tables import make_table
from realnet.benchmark.outputs import to_markdown
from realnet.benchmark.plan import read_plan
from realnet.benchmark.products import DataFolder, Product
from realnet.benchmark.scored import add_scored
from realnet.data.samples import Category
from realnet.errors import UserError
from realnet.evaluation.results import Results
from tests.benchmark.test_tables import finished, outcome

HOLDINGS = DataFolder(tuple(Product("set", name, Category(name, "mvtec", (), ())) for name in ("cap", "nut")))


def write(path: Path, name: str, figures: dict[str, float]) -> Path:
    results = outcome(figures).results
    assert isinstance(results, Results)
    facts = results.provenance.model_copy(update={"preset": name, "seed": None, "selection": "unknown"})
    path.write_text(results.model_copy(update={"provenance": facts}).to_json())
    return path


def test_a_reported_row_is_filled_and_an_unknown_method_gets_its_own(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.json", "SimpleNet", {"cap": 0.91}), write(tmp_path / "b.json", "Mine", {"cap": 0.5})]
    plan, foreign = add_scored(read_plan("table2"), HOLDINGS, files)
    assert [row.name for row in plan.rows][-1] == "Mine" and len(plan.rows) == 11
    text = to_markdown(make_table(plan, [finished(plan, 9, "cap", 4, outcome({"cap": 0.9})), *foreign]))
    assert "| SimpleNet | 91.00 | 99.60 |" in text and "| Mine | 50.00 |" in text
    assert "| UniAD | – | 96.60 |" in text  # still as reported only
    assert "seeds 4;" in text and "Mine" in text.split("preset ")[1]


def test_only_what_is_asked_for_is_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", "Mine", {"cap": 0.9, "pin": 0.1})
    _, foreign = add_scored(read_plan("table2"), HOLDINGS, [file])
    assert [done.entry.product for done in foreign] == ["cap"]
    with pytest.raises(UserError, match="pin, none of which is asked for"):
        add_scored(read_plan("table2"), HOLDINGS, [write(tmp_path / "b.json", "Mine", {"pin": 0.1})])


def test_what_is_refused(tmp_path: Path) -> None:
    plan = read_plan("table2")
    with pytest.raises(UserError, match="PatchCore, which table2 has already"):
        add_scored(plan, HOLDINGS, [write(tmp_path / "a.json", "PatchCore", {"cap": 0.9})])
    twice = write(tmp_path / "b.json", "UniAD", {"cap": 0.9})
    with pytest.raises(UserError, match="UniAD, which table2 has already"):
        add_scored(plan, HOLDINGS, [twice, twice])
    with pytest.raises(UserError, match="cannot be read"):
        add_scored(plan, HOLDINGS, [tmp_path / "none.json"])
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(UserError, match=r"c\.json: These are no evaluation results"):
        add_scored(plan, HOLDINGS, [tmp_path / "c.json"])
