"""Cells as processes: what is done stays done, what fails is said, and the rest go on."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from realnet.atomic import write_text
from realnet.lab.cells import FAILURE_FILE, OUTCOME_FILE, Cell, InspectorCell, Outcome, read_outcome
from realnet.lab.expand import Entry, Settings, expand
from realnet.lab.plan import parse_plan
from realnet.lab.products import Holdings, find_products
from realnet.lab.runner import Finished, Laboratory, Observer, failed
from tests.data.layouts import make_mvtec
from tests.training.tiny import FIELDS

PLAN = parse_plan("p", "title: T\nquestion: Q?\nrows:\n  - {name: A, synthesis: nsa}\n")


class Diary(Observer):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.settled: list[tuple[str, bool]] = []

    def starts(self, cell: Cell) -> None:
        self.started.append(cell.name)

    def ends(self, finished: Finished, done: int, total: int, fresh: bool) -> None:
        self.settled.append((finished.entry.product, fresh))


@pytest.fixture(scope="module")
def holdings(tmp_path_factory: pytest.TempPathFactory) -> Holdings:
    """Two products; one image of ``nut`` is broken."""
    root = make_mvtec(tmp_path_factory.mktemp("runner") / "set", categories=("cap", "nut"))
    (root / "nut" / "train" / "good" / "000.png").write_bytes(b"no image")
    return find_products([str(root)])


def entries(holdings: Holdings, folder: Path, *fields: str) -> list[Entry]:
    return list(expand(PLAN, holdings, Settings(assignments=(*FIELDS, *fields)), folder))


@pytest.fixture(scope="module")
def done(holdings: Holdings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Entry], list[Finished]]:
    """Both cells run, side by side."""
    folder = tmp_path_factory.mktemp("cells")
    cells = entries(holdings, folder)
    return folder, cells, Laboratory(folder, jobs=2).run(cells)


def test_a_cell_gives_figures_and_what_they_cost(done: tuple[Path, list[Entry], list[Finished]]) -> None:
    cap, _ = done[2]
    assert cap.outcome is not None and cap.outcome.results is not None
    assert cap.outcome.results.categories[0].category == "cap"
    measured = cap.outcome.measured
    assert measured["images_per_second"] > 0 and measured["fit_seconds"] > 0
    assert 0 < measured["model_gigabytes"] < 0.1
    assert 0.05 < measured["inference_memory_gigabytes"] <= measured["peak_memory_gigabytes"] * 1.5
    assert "threads" in cap.outcome.hardware


def test_a_cell_that_fails_leaves_the_others_alone(done: tuple[Path, list[Entry], list[Finished]]) -> None:
    folder, cells, settled = done
    (nut,) = failed(settled)
    assert nut.entry.product == "nut" and "000.png" in nut.failure
    assert cells[1].cell is not None
    assert (folder / cells[1].cell.folder / FAILURE_FILE).is_file()
    assert [f.failure for f in Laboratory(folder).collect(cells)] == ["", nut.failure]


def test_what_is_done_is_not_run_again(done: tuple[Path, list[Entry], list[Finished]]) -> None:
    folder, cells, settled = done
    diary = Diary()
    again = Laboratory(folder, diary).run(cells[:1])
    assert (diary.started, diary.settled) == ([], [("cap", False)])
    assert again[0].outcome == settled[0].outcome


def test_another_table_takes_what_is_done(done: tuple[Path, list[Entry], list[Finished]], holdings: Holdings) -> None:
    folder, _, settled = done
    other = parse_plan("other", "title: T\nquestion: Q?\nrows:\n  - {name: By another name, synthesis: nsa}\n")
    entry, _ = expand(other, holdings, Settings(assignments=FIELDS), folder)
    diary = Diary()
    laboratory = Laboratory(folder, diary)
    (again,) = laboratory.run([entry])
    assert (diary.started, diary.settled, again.outcome) == ([], [("cap", False)], settled[0].outcome)
    assert laboratory.collect([entry])[0].outcome == settled[0].outcome


def of_one_configuration(names: str, holdings: Holdings, folder: Path) -> list[Entry]:
    rows = "".join(f"  - {{name: {name}, synthesis: nsa}}\n" for name in names)
    plan = parse_plan("p", f"title: T\nquestion: Q?\nrows:\n{rows}")
    return list(expand(plan, holdings, Settings(assignments=FIELDS), folder))


def test_rows_of_one_configuration_are_one_cell(tmp_path: Path, holdings: Holdings) -> None:
    places: list[Path] = []

    def work(place: Path, laboratory: Laboratory, says: object) -> int:
        places.append(place)
        time.sleep(0.3)  # the others ask for it in the meantime
        write_text(place / OUTCOME_FILE, Outcome(hardware="a machine").model_dump_json())
        return 0

    settled = Laboratory(tmp_path, jobs=4, worker=work).run(of_one_configuration("ABCD", holdings, tmp_path))
    assert [finished.outcome for finished in settled] == [Outcome(hardware="a machine")] * 8
    assert sorted(place.name.split("-")[0] for place in places) == ["cap", "nut"]
    assert sorted(path for path in tmp_path.iterdir() if path.is_dir()) == sorted(places)


def test_a_cell_that_fails_is_tried_once_whatever_rows_ask_for_it(tmp_path: Path, holdings: Holdings) -> None:
    places: list[Path] = []

    def work(place: Path, laboratory: Laboratory, says: object) -> int:
        places.append(place)
        time.sleep(0.3)
        return 1

    settled = Laboratory(tmp_path, jobs=3, worker=work).run(of_one_configuration("ABC", holdings, tmp_path)[:3])
    assert len(places) == 1
    assert all("status 1" in finished.failure for finished in settled)


def test_ctrl_c_ends_the_wait_for_a_cell_that_another_process_does(tmp_path: Path, holdings: Holdings) -> None:
    (entry, _) = entries(holdings, tmp_path)
    assert entry.cell is not None
    laboratory = Laboratory(tmp_path)
    with FileLock(tmp_path / f".{entry.cell.key}.lock"):
        threading.Timer(0.7, setattr, (laboratory, "stopped", True)).start()
        with pytest.raises(KeyboardInterrupt):
            laboratory.settle(entry)
    assert not (tmp_path / entry.cell.folder).exists()


def test_an_entry_without_a_cell_says_what_it_lacks(tmp_path: Path, holdings: Holdings) -> None:
    (entry, _) = entries(holdings, tmp_path)
    (finished,) = Laboratory(tmp_path).run([replace(entry, cell=None, missing="needs textures")])
    assert (finished.outcome, finished.failure) == (None, "needs textures")


def test_a_cell_waits_for_what_it_needs(tmp_path: Path, holdings: Holdings) -> None:
    good, bad = entries(holdings, tmp_path)
    assert bad.cell is not None
    (finished,) = Laboratory(tmp_path).run([replace(good, before=(bad.cell,))])
    assert finished.outcome is None and finished.failure.startswith(f"{bad.cell.name} is missing: ")
    assert good.cell is not None and not (tmp_path / good.cell.folder).exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_killed_cell_goes_on_where_it_was(tmp_path: Path, holdings: Holdings) -> None:
    (entry, _) = entries(holdings, tmp_path, "training.steps=400")
    assert isinstance(entry.cell, InspectorCell)
    place = tmp_path / entry.cell.folder
    diary, laboratory = Diary(), Laboratory(tmp_path)
    outcome: list[Finished] = []
    thread = threading.Thread(target=lambda: outcome.extend(laboratory.run([entry])))
    thread.start()
    deadline = time.monotonic() + 60
    while not (place / "run" / "checkpoint.safetensors").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in Path("/proc").glob("[0-9]*"):
        if str(place) in (process / "cmdline").read_text().replace("\0", " "):
            os.kill(int(process.name), signal.SIGKILL)
    thread.join()
    assert "killed (signal 9)" in outcome[0].failure
    again = Laboratory(tmp_path, diary).run([entry])
    assert diary.settled == [("cap", True)] and again[0].outcome is not None

    undisturbed = tmp_path / "undisturbed"
    (whole,) = Laboratory(undisturbed).run(entries(holdings, undisturbed, "training.steps=400")[:1])
    assert whole.outcome is not None and again[0].outcome is not None
    assert whole.outcome.results is not None and again[0].outcome.results is not None
    assert again[0].outcome.results.categories == whole.outcome.results.categories
    assert (place / OUTCOME_FILE).is_file() and read_outcome(place) == again[0].outcome


def test_a_cell_ends_with_the_laboratory_that_started_it() -> None:
    """Otherwise one that was killed and started again would find the cell still being done by nobody's child."""
    code = "import threading, time; from realnet.lab.work import end_with_parent as e; "
    code += "threading.Thread(target=e, daemon=True).start(); print('up', flush=True); time.sleep(120)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cell:
        assert cell.stdin is not None and cell.stdout is not None
        assert cell.stdout.readline().strip() == b"up"
        with pytest.raises(subprocess.TimeoutExpired):
            cell.wait(0.5)
        cell.stdin.close()
        assert cell.wait(30) == 1
