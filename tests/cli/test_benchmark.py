"""``realnet benchmark`` as a user calls it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from realnet.atomic import write_text
from realnet.benchmark.expand import Settings, expand
from realnet.benchmark.jobs import OUTCOME_FILE
from realnet.benchmark.plan import read_plan
from realnet.benchmark.products import choose, find_products
from tests.benchmark.test_tables import outcome
from tests.cli.process import Finished
from tests.data.layouts import make_mvtec
from tests.training.tiny import FIELDS, flags

Call = Callable[..., Finished]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one data set of two products."""
    root = tmp_path_factory.mktemp("shelf")
    make_mvtec(root / "set", categories=("cap", "nut"))
    return root


def plan_of_two(folder: Path) -> Path:
    plan = folder / "mine.yaml"
    plan.write_text(
        "title: My table\nquestion: Which?\nreported: table1\nrows:\n"
        "  - {name: NSA, synthesis: nsa}\n  - {name: DTD, synthesis: dtd}\n"
    )
    return plan


def test_a_table_goes_on_where_it_was(realnet: Call, shelf: Path, tmp_path: Path) -> None:
    plan, jobs = plan_of_two(tmp_path), tmp_path / "tables" / "jobs"
    known = find_products([str(shelf)])
    job = next(expand(read_plan(str(plan)), choose(known, ["cap"]), Settings(assignments=FIELDS), jobs)).job
    assert job is not None
    place = jobs / job.folder / OUTCOME_FILE
    write_text(place, outcome({"cap": 1.0}).model_dump_json())
    stamp = place.stat().st_mtime_ns

    call = ["benchmark", plan, "--data", shelf, "--output", tmp_path / "tables", "--only", "cap", *flags()]
    again = realnet(*call)
    assert again.status == 0 and "1/2  cap, NSA, seed 0: Image AUROC" in again.out, again.err
    assert "(done before)" in again.out and place.stat().st_mtime_ns == stamp
    assert "--textures" in again.err  # DTD cannot be done, and the rest went on
    assert "training.steps=6" in again.out  # a changed preset is no secret

    shown = realnet(*call, "--show", "--only", "nut")
    assert shown.status == 0 and "cap" in shown.out
    assert len(list(jobs.glob("[!.]*"))) == 1, "--show runs nothing"
    text = (tmp_path / "tables" / "mine.md").read_text(encoding="utf-8")
    assert "### My table" in text and "| NSA |" in text and "100.00" in text
    assert (tmp_path / "tables" / "mine.html").is_file() and (tmp_path / "tables" / "mine.csv").is_file()


@pytest.mark.slow
def test_what_is_not_done_is_done(realnet: Call, shelf: Path, tmp_path: Path) -> None:
    """As tests/benchmark/test_runner.py has it, by a command."""
    tables = tmp_path / "tables"
    done = realnet("benchmark", plan_of_two(tmp_path), "--data", shelf, "--output", tables, "--only", "cap", *flags())
    assert done.status == 0, done.err
    assert "1/2  cap, NSA, seed 0: Image AUROC" in done.out and "done before" not in done.out
    assert len(list((tables / "jobs").glob("[!.]*/outcome.json"))) == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of a terminal")
def test_ctrl_c_loses_nothing(realnet: Call, shelf: Path, tmp_path: Path) -> None:
    plan = tmp_path / "mine.yaml"
    rows = "".join(f"  - {{name: {name}, synthesis: {name}}}\n" for name in ("nsa", "cutpaste"))
    plan.write_text(f"title: My table\nquestion: Which?\nrows:\n{rows}")
    call = ["benchmark", plan, "--data", shelf, "--output", tmp_path / "tables", "--only", "cap", "--jobs", "2"]
    call += flags("training.steps=30")
    command = [sys.executable, "-m", "realnet", *map(str, call)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("tables/jobs/*/run/checkpoint.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    # As a terminal does: the call and its jobs are told alike.
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in said and "Interrupted" in said
    finished = realnet(*call)
    assert finished.status == 0 and "2/2" in finished.out, finished.err


def test_the_plans_are_listed(realnet: Call) -> None:
    finished = realnet("benchmark", "list")
    assert finished.status == 0
    assert all(name in finished.out for name in ("table1:", "table5a:", "figure5:", "tableS6:", "peers:"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["table9"], "There is no plan 'table9'"),
        (["table1", "--only", "carpet"], "--only carpet: that is no row of table1 (SIA, DTD, NSA, CutPaste)"),
        (["table1", "--category", "carpet"], "There is no category carpet"),
        (["table1", "--seeds", "0,x"], "no seeds"),
        (["table1", "--preset", "huge"], "no preset 'huge'"),
        (["table1", "--set", "training.stops=1"], "no field training.stops"),
        (["table1", "--sia", "nowhere"], "The folder nowhere does not exist; check --sia."),
        (["table1", "--diffusion", "nowhere"], "model.json is missing or damaged"),
        (["table1", "--init", "nowhere"], "There is no file nowhere; check --init."),
        (["table1", "--download"], "--inception, --alexnet and --download are for tableS6"),
        (["tableS6", "--alexnet", "nowhere"], "There is no weight file nowhere for AlexNet"),
    ],
)
def test_mistakes_are_answered_before_anything_runs(
    realnet: Call, shelf: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    finished = realnet("benchmark", *options, "--data", shelf, "--output", tmp_path / "tables")
    assert (finished.status, words in finished.err) == (2, True), finished.err
    assert not (tmp_path / "tables").exists()


def test_data_is_needed(realnet: Call) -> None:
    finished = realnet("benchmark", "table1")
    assert finished.status == 2 and "--data" in finished.err
