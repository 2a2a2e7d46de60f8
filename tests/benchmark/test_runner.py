"""Jobs as processes: what is done stays done, what fails is said, and the rest go on."""

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
from realnet.benchmark.expand import Entry, Settings, expand
from realnet.benchmark.jobs import FAILURE_FILE, OUTCOME_FILE, InspectorJob, Job, Outcome, read_outcome
from realnet.benchmark.plan import parse_plan
from realnet.benchmark.products import DataFolder, find_products
from realnet.benchmark.runner import Finished, Observer, Runner, failed
from tests.data.layouts import make_mvtec
from tests.training.tiny import FIELDS

PLAN = parse_plan("p", "title: T\nquestion: Q?\nrows:\n  - {name: A, synthesis: nsa}\n")


class Diary(Observer):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.settled: list[tuple[str, bool]] = []

    def starts(self, job: Job) -> None:
        self.started.append(job.name)

    def ends(self, finished: Finished, done: int, total: int) -> None:
        self.settled.append((finished.entry.product, finished.fresh))


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    """Two products; one image of ``nut`` is broken."""
    root = make_mvtec(tmp_path_factory.mktemp("runner") / "set", categories=("cap", "nut"))
    (root / "nut" / "train" / "good" / "000.png").write_bytes(b"no image")
    return find_products([str(root)])


def entries(data_folder: DataFolder, folder: Path, *fields: str) -> list[Entry]:
    return list(expand(PLAN, data_folder, Settings(assignments=(*FIELDS, *fields)), folder))


@pytest.fixture(scope="module")
def done(data_folder: DataFolder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Entry], list[Finished]]:
    """Both jobs run, side by side."""
    folder = tmp_path_factory.mktemp("jobs")
    jobs = entries(data_folder, folder)
    return folder, jobs, Runner(folder, at_once=2).run(jobs)


def test_a_job_gives_figures_and_what_they_cost(done: tuple[Path, list[Entry], list[Finished]]) -> None:
    cap, _ = done[2]
    assert cap.outcome is not None and cap.outcome.results is not None
    assert cap.outcome.results.categories[0].category == "cap"
    measured = cap.outcome.measured
    assert measured["images_per_second"] > 0 and measured["fit_seconds"] > 0
    assert 0 < measured["model_gigabytes"] < 0.1
    assert 0.05 < measured["inference_memory_gigabytes"] <= measured["peak_memory_gigabytes"] * 1.5
    assert "thread" in cap.outcome.hardware


def test_a_job_that_fails_leaves_the_others_alone(done: tuple[Path, list[Entry], list[Finished]]) -> None:
    folder, jobs, settled = done
    (nut,) = failed(settled)
    assert nut.entry.product == "nut" and "000.png" in nut.failure
    assert jobs[1].job is not None
    assert (folder / jobs[1].job.folder / FAILURE_FILE).is_file()
    assert [Runner(folder).found(job).failure for job in jobs] == ["", nut.failure]


def test_what_is_done_is_not_run_again(done: tuple[Path, list[Entry], list[Finished]]) -> None:
    folder, jobs, settled = done
    diary = Diary()
    again = Runner(folder, diary).run(jobs[:1])
    assert (diary.started, diary.settled) == ([], [("cap", False)])
    assert again[0].outcome == settled[0].outcome


def test_another_table_takes_what_is_done(
    done: tuple[Path, list[Entry], list[Finished]], data_folder: DataFolder
) -> None:
    folder, _, settled = done
    other = parse_plan("other", "title: T\nquestion: Q?\nrows:\n  - {name: By another name, synthesis: nsa}\n")
    entry, _ = expand(other, data_folder, Settings(assignments=FIELDS), folder)
    diary = Diary()
    laboratory = Runner(folder, diary)
    (again,) = laboratory.run([entry])
    assert (diary.started, diary.settled, again.outcome) == ([], [("cap", False)], settled[0].outcome)
    assert laboratory.found(entry).outcome == settled[0].outcome


def of_one_configuration(names: str, data_folder: DataFolder, folder: Path) -> list[Entry]:
    rows = "".join(f"  - {{name: {name}, synthesis: nsa}}\n" for name in names)
    plan = parse_plan("p", f"title: T\nquestion: Q?\nrows:\n{rows}")
    return list(expand(plan, data_folder, Settings(assignments=FIELDS), folder))


def test_rows_of_one_configuration_are_one_job(tmp_path: Path, data_folder: DataFolder) -> None:
    places: list[Path] = []

    def work(place: Path, laboratory: Runner, says: object) -> int:
        places.append(place)
        time.sleep(0.3)  # the others ask for it in the meantime
        write_text(place / OUTCOME_FILE, Outcome(hardware="a machine").model_dump_json())
        return 0

    settled = Runner(tmp_path, at_once=4, worker=work).run(of_one_configuration("ABCD", data_folder, tmp_path))
    assert [finished.outcome for finished in settled] == [Outcome(hardware="a machine")] * 8
    assert sorted(place.name.split("-")[0] for place in places) == ["cap", "nut"]
    assert sorted(path for path in tmp_path.iterdir() if path.is_dir()) == sorted(places)


def test_a_job_that_fails_is_tried_once_whatever_rows_ask_for_it(tmp_path: Path, data_folder: DataFolder) -> None:
    places: list[Path] = []

    def work(place: Path, laboratory: Runner, says: object) -> int:
        places.append(place)
        time.sleep(0.3)
        return 1

    settled = Runner(tmp_path, at_once=3, worker=work).run(of_one_configuration("ABC", data_folder, tmp_path)[:3])
    assert len(places) == 1
    assert all("status 1" in finished.failure for finished in settled)


def test_ctrl_c_ends_the_wait_for_a_job_that_another_process_does(tmp_path: Path, data_folder: DataFolder) -> None:
    (entry, _) = entries(data_folder, tmp_path)
    assert entry.job is not None
    laboratory = Runner(tmp_path)
    with FileLock(tmp_path / f".{entry.job.key}.lock"):
        threading.Timer(0.7, setattr, (laboratory, "stopped", True)).start()
        with pytest.raises(KeyboardInterrupt):
            laboratory.settle(entry)
    assert not (tmp_path / entry.job.folder).exists()


def test_an_entry_without_a_job_says_what_it_lacks(tmp_path: Path, data_folder: DataFolder) -> None:
    (entry, _) = entries(data_folder, tmp_path)
    (finished,) = Runner(tmp_path).run([replace(entry, job=None, missing="needs textures")])
    assert (finished.outcome, finished.failure) == (None, "needs textures")


def test_a_job_waits_for_what_it_needs(tmp_path: Path, data_folder: DataFolder) -> None:
    good, bad = entries(data_folder, tmp_path)
    assert bad.job is not None
    (finished,) = Runner(tmp_path, worker=lambda place, *rest: 1).run([replace(good, before=(bad.job,))])
    assert finished.outcome is None and finished.failure.startswith(f"{bad.job.name} is missing: ")
    assert good.job is not None and not (tmp_path / good.job.folder).exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_killed_job_goes_on_where_it_was(tmp_path: Path, data_folder: DataFolder) -> None:
    (entry, _) = entries(data_folder, tmp_path, "training.steps=400")
    assert isinstance(entry.job, InspectorJob)
    place = tmp_path / entry.job.folder
    diary, laboratory = Diary(), Runner(tmp_path)
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
    again = Runner(tmp_path, diary).run([entry])
    assert diary.settled == [("cap", True)] and again[0].outcome is not None

    undisturbed = tmp_path / "undisturbed"
    (whole,) = Runner(undisturbed).run(entries(data_folder, undisturbed, "training.steps=400")[:1])
    assert whole.outcome is not None and again[0].outcome is not None
    assert whole.outcome.results is not None and again[0].outcome.results is not None
    assert again[0].outcome.results.categories == whole.outcome.results.categories
    assert (place / OUTCOME_FILE).is_file() and read_outcome(place) == again[0].outcome


def test_a_job_ends_with_the_laboratory_that_started_it() -> None:
    """Otherwise one that was killed and started again would find the job still being done by nobody's child."""
    code = "import threading, time; from realnet.benchmark.work import end_with_parent as e; "
    code += "threading.Thread(target=e, daemon=True).start(); print('up', flush=True); time.sleep(120)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as job:
        assert job.stdin is not None and job.stdout is not None
        assert job.stdout.readline().strip() == b"up"
        with pytest.raises(subprocess.TimeoutExpired):
            job.wait(0.5)
        job.stdin.close()
        assert job.wait(30) == 1
