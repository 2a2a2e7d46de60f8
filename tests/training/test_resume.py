"""Interrupted runs continue to the same result; runs that differ are not mixed."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from realnet.data import open_dataset
from realnet.errors import UserError
from realnet.progress import Watcher
from realnet.run_folder import Run
from realnet.training.checkpoint import CHECKPOINT_FILE, Progress, read_progress
from realnet.training.run import PREPARED_FILE, train
from realnet.training.teaching import check_teachable
from tests.cli.process import Started
from tests.data.layouts import make_mvtec, picture, save
from tests.training.test_run import digest, rows
from tests.training.tiny import TRAINED, Launch, flags, run, tiny

FIELDS = ("training.steps=24", "training.validation_every=4")


posix = pytest.mark.skipif(os.name != "posix", reason="sends signals as POSIX has them")


@pytest.fixture(scope="module")
def undisturbed(product: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    run(product, output, tiny(*FIELDS))
    return output


def wait_for(there: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def log_without_time(run: Path) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows(run)]


def assert_same_run(one: Path, other: Path) -> None:
    assert digest(one) == digest(other)
    assert log_without_time(one) == log_without_time(other)
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}


@posix
def test_after_kill_9_the_same_result_comes_out(product: Path, undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    started = Started(["train", product, "--output", output, "--device", "cpu", *flags(*FIELDS)], tmp_path)
    wait_for(lambda: (output / CHECKPOINT_FILE).is_file() or not started.process.is_alive())
    os.kill(started.pid, signal.SIGKILL)
    finished = started.wait()
    assert finished.status == -signal.SIGKILL, finished.err
    stood = read_progress(output)
    assert stood is not None
    assert 0 < stood.step < 24
    assert not (output / "model.safetensors").exists()
    (output / ".checkpoint.killed.part.safetensors").write_bytes(b"what a kill may leave behind")

    steps: list[int] = []

    class Counter(Watcher):
        def step(self, progress: Progress, steps_planned: int) -> None:
            steps.append(progress.step)

    run(product, output, tiny(*FIELDS), resume=True, watcher=Counter())
    assert steps == list(range(stood.step + 1, 25)), "it went on, it did not start again"
    assert_same_run(output, undisturbed)


@posix
def test_tensorboard_has_no_step_twice_after_a_resume(product: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fields = ("training.steps=6", "training.validation_every=2")
    with stopping_at(5), pytest.raises(KeyboardInterrupt):
        run(product, tmp_path / "run", tiny(*fields), watcher=PressCtrlC(5))
    assert [row["step"] for row in rows(tmp_path / "run")] == ["2", "4"]
    run(product, tmp_path / "run", tiny(*fields), resume=True)
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("loss")] == [2, 4, 6]
    assert [row["step"] for row in rows(tmp_path / "run")] == ["2", "4", "6"]


class PressCtrlC(Watcher):
    def __init__(self, at: int) -> None:
        self.at = at

    def step(self, progress: Progress, steps: int) -> None:
        if progress.step == self.at - 1:
            os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def stopping_at(step: int) -> Iterator[None]:
    """Ctrl-C in this very process: its handler is in place again afterwards."""
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def ctrl_c_as_usual() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt`, as it does where no test runner's worker takes no notice of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@posix
def test_ctrl_c_ends_what_comes_before_the_first_step_at_once(
    product: Path, tmp_path: Path, ctrl_c_as_usual: None
) -> None:
    class PressAtOnce(Watcher):
        def stage(self, text: str, done: int = 0, total: int = 0) -> None:
            stages.append(text)
            if text.startswith("Reading"):
                os.kill(os.getpid(), signal.SIGINT)

    stages: list[str] = []
    with stopping_at(0), pytest.raises(KeyboardInterrupt):
        run(product, tmp_path / "run", tiny("training.steps=0"), watcher=PressAtOnce())
    assert stages[-1].startswith("Reading")
    with pytest.raises(UserError, match="its training has not finished"):
        check_teachable(tmp_path / "run")
    run(product, tmp_path / "run", tiny("training.steps=0"), resume=True)
    assert Run(tmp_path / "run").is_finished


@posix
def test_ctrl_c_saves_and_the_same_call_continues(product: Path, undisturbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    call: list[str | Path] = ["train", product, "--output", output, "--device", "cpu", *flags(*FIELDS)]
    started = Started(call, tmp_path)
    wait_for(lambda: (output / CHECKPOINT_FILE).is_file() or not started.process.is_alive())
    os.kill(started.pid, signal.SIGINT)
    finished = started.wait()
    assert finished.status == 130, finished.err
    assert "Traceback" not in finished.err
    assert "--resume" in finished.err
    stood = read_progress(output)
    assert stood is not None
    assert not stood.finished
    assert not (output / "model.safetensors").exists()

    again = Started([*call, "--resume"], tmp_path).wait()
    assert again.status == 0, again.err
    assert "Trained 24 steps" in again.out
    assert_same_run(output, undisturbed)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.iterdir()}


def test_a_finished_run_is_left_as_it_is(product: Path, undisturbed: Path) -> None:
    before = snapshot(undisturbed)
    progress = run(product, undisturbed, tiny(*FIELDS), resume=True)
    assert (progress.step, progress.finished) == (24, True)
    assert snapshot(undisturbed) == before


def test_killed_while_finishing(product: Path, trained: Path, tmp_path: Path) -> None:
    """A checkpoint that says finished, without the model: the rest is written, nothing is trained."""
    output = tmp_path / "run"
    output.mkdir()
    for name in ("config.yaml", CHECKPOINT_FILE):
        (output / name).write_bytes((trained / name).read_bytes())
    run(product, output, tiny(), resume=True)
    assert_same_run(output, trained)


def assert_refused(product: Path, output: Path, message: str, *fields: str, seed: int = 0, resume: bool = True) -> None:
    before = snapshot(output) if output.is_dir() else None
    with pytest.raises(UserError, match=message):
        train(open_dataset(product), tiny(*fields, seed=seed), output, Launch("cpu", resume=resume))
    assert (snapshot(output) if output.is_dir() else None) == before


def test_an_output_in_use_is_refused(product: Path, trained: Path, tmp_path: Path) -> None:
    assert_refused(product, trained, "already holds a run .*--resume, or give another --output", resume=False)
    (tmp_path / "file").write_text("mine")
    assert_refused(product, tmp_path / "file", "is a file; give --output a folder")
    assert_refused(product, tmp_path / "file" / "run", "Cannot write .*folder that can be written")
    (tmp_path / "holiday.jpg").write_text("mine")
    for resume in (False, True):
        assert_refused(product, tmp_path, r"is not empty \(it holds file\)", resume=resume)


def test_another_configuration_is_named(product: Path, trained: Path) -> None:
    assert_refused(product, trained, "cannot be resumed: its seed differ", seed=1)
    assert_refused(
        product,
        trained,
        "its model.rrs.retention, training.learning_rate differ",
        "model.rrs.retention=0.5",
        "training.learning_rate=0.1",
    )


def test_other_data_are_noticed(product: Path, trained: Path, tmp_path: Path) -> None:
    import numpy as np

    data = make_mvtec(tmp_path / "set")
    save(data / "widget" / "train" / "good" / "006.png", picture(np.random.default_rng(9))[0])
    assert_refused(data, trained, "its good images have changed")


def test_what_was_prepared_for_another_configuration_is_not_used(product: Path, tmp_path: Path) -> None:
    """Killed between preparation and the first checkpoint."""

    class Kill(Watcher):
        def stage(self, text: str, done: int = 0, total: int = 0) -> None:
            if text == "Preparing validation":
                raise InterruptedError

    output = tmp_path / "run"
    with pytest.raises(InterruptedError):
        run(product, output, tiny(*TRAINED), watcher=Kill())
    assert (output / PREPARED_FILE).is_file()
    assert not (output / CHECKPOINT_FILE).exists()
    assert_refused(product, output, "its seed differ", *TRAINED, seed=1)
    assert_refused(product, output, "already holds a run", *TRAINED, resume=False)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / PREPARED_FILE).write_bytes((output / PREPARED_FILE).read_bytes()[:100])
    assert_refused(product, damaged, "prepared.safetensors is damaged")

    run(product, output, tiny(*TRAINED), resume=True)
    assert not (output / PREPARED_FILE).exists()


def test_a_run_without_its_checkpoint_is_not_trained_over(product: Path, trained: Path, tmp_path: Path) -> None:
    for name in ("config.yaml", "model.safetensors", "metrics.json"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    assert_refused(product, tmp_path, "is finished and has no checkpoint.safetensors")
