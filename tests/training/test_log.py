"""The log of a training where the disk is full."""

import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from realnet.errors import UserError
from realnet.training.log import TrainingLog

pytest.importorskip("tensorboard")


def _full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _await_writers() -> None:
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("tensorboard."):
            thread.join(10)


@pytest.mark.parametrize("late", [False, True], ids=["at the beginning", "later"])
def test_a_full_disk_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    """Its thread has the error first, and prints a traceback where nobody keeps it from that."""
    printed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)
    log = TrainingLog(tmp_path, oracle=False) if late else None
    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", _full)
    with pytest.raises(UserError, match=r"tensorboard: No space left on device\. Free some"):
        (log or TrainingLog(tmp_path, oracle=False)).write([{"step": 1, "loss": 0.5}])
    _await_writers()
    assert printed == []


def test_errors_of_others_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)
    for _ in range(2):
        TrainingLog(tmp_path, oracle=False).close()
    thread = threading.Thread(target=_full)
    thread.start()
    thread.join()
    assert len(printed) == 1
