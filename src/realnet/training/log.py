"""The figures of training as they come: ``log.csv``, and TensorBoard's event file where that package is installed."""

import contextlib
import csv
import io
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from realnet.atomic import write_text
from realnet.errors import UserError
from realnet.progress import Watcher
from realnet.training.checkpoint import Progress
from realnet.training.engine import Report

LOG_FILE, BOARD_FOLDER = "log.csv", "tensorboard"


class TrainingLog:
    """Keeps a run's log on disk up to date.

    Args:
        oracle: whether the figures of ``validation`` are those of the test images; they are then named so.
    """

    def __init__(self, folder: Path, oracle: bool) -> None:
        self.folder, self.oracle, self.written = folder, oracle, 0
        self.board: Any = None

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Bring the files up to the numbers in ``rows``, one a judgement since the first step of the first attempt."""
        if len(rows) == self.written:
            return
        named = [
            {marked(name, self.oracle): value for name, value in row.items() if isinstance(value, int | float)}
            for row in rows
        ]
        write_text(self.folder / LOG_FILE, _csv(named))
        if not self.written:
            self.board = _board(self.folder / BOARD_FOLDER)
        if self.board is not None:
            with _on_disk(self.folder / BOARD_FOLDER):
                self._draw(named[self.written :])
        self.written = len(rows)

    def _draw(self, rows: Sequence[Mapping[str, float]]) -> None:
        for row in rows:
            for name, value in row.items():
                if name != "step" and math.isfinite(value):
                    self.board.add_scalar(name, value, int(row["step"]))
        self.board.flush()

    def close(self) -> None:
        """Release the event file."""
        if self.board is not None:
            # Whatever is lost here is in log.csv, and comes again with the next --resume.
            with contextlib.suppress(OSError):
                self.board.close()


@contextlib.contextmanager
def reporting(folder: Path, oracle: bool, watcher: Watcher, first: bool) -> Iterator[Report | None]:
    """What is to be called after every step, for the log and the watcher; nothing in all processes but the first."""
    if not first:
        yield None
        return
    log = TrainingLog(folder, oracle)

    def report(progress: Progress, steps: int) -> None:
        log.write(progress.log)
        watcher.step(progress, steps)

    with contextlib.closing(log):
        yield report


@contextlib.contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"Cannot write {folder}: {error.strerror or error}. Free some space, then continue with --resume."
        ) from error


def marked(name: str, oracle: bool) -> str:
    """The name of a figure, which says so where test images gave it."""
    return name.replace("validation", "oracle_test") if oracle else name


def _board(folder: Path) -> Any:
    """A writer of TensorBoard events, or None without the package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    _hear_of_errors_once()
    # A checkpoint holds the whole log: a resumed run writes it again, so that no step is missing and none twice.
    with _on_disk(folder):
        for events in folder.glob("events.out.tfevents.*"):
            events.unlink()
        return SummaryWriter(str(folder))


def _hear_of_errors_once() -> None:
    """TensorBoard's thread hands an error of the disk on to its caller; it shall not print a traceback beside."""
    others = threading.excepthook
    if getattr(others, "hears_once", False):
        return

    def hook(arguments: Any) -> None:
        of_board = type(arguments.thread).__module__.startswith("tensorboard.")
        if not (of_board and isinstance(arguments.exc_value, OSError)):
            others(arguments)

    hook.hears_once = True  # type: ignore[attr-defined]
    threading.excepthook = hook


def _csv(rows: Sequence[Mapping[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
