"""Running jobs: those that are done are left alone, those that fail are reported, and the rest go on."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from filelock import BaseFileLock, FileLock, Timeout

from realnet.benchmark.expand import Entry
from realnet.benchmark.footprint import DEVICE_VARIABLE
from realnet.benchmark.jobs import FAILURE_FILE, LOG_FILE, Job, Outcome, place_of, read_outcome, write_job

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Finished:
    """What became of an entry: its outcome, or the sentence that says why there is none; ``fresh``: by work of now."""

    entry: Entry
    outcome: Outcome | None
    failure: str = ""
    fresh: bool = False


class Observer:
    """What running tells whoever watches."""

    def starts(self, job: Job) -> None:
        """A job begins (or is waited for, where another process is at it)."""

    def says(self, job: Job, line: str, seconds: float) -> None:
        """The newest line that a running job printed, and how long it has been running."""

    def ends(self, finished: Finished, done: int, total: int) -> None:
        """An entry is settled."""


@dataclass
class Runner:
    """Runs jobs in ``folder``, each at most once a call, each by one process at a time.

    ``at_once`` jobs run side by side on ``device``, done by ``worker``: each in a process of this machine, with its
    share of the cores, or elsewhere (`realnet.cluster.remote_jobs`). A job that failed in an earlier call is tried
    again: what it lacked may be there now.
    """

    folder: Path
    observer: Observer = field(default_factory=Observer)
    at_once: int = 1
    device: str = "auto"
    worker: "Worker" = field(default_factory=lambda: here)
    failures: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    def run(self, entries: Iterable[Entry]) -> list[Finished]:
        """Settle all ``entries`` in their order; KeyboardInterrupt on Ctrl-C, once the running job has saved itself."""
        waiting = list(entries)
        settled: list[Finished] = []
        pool = ThreadPoolExecutor(self.at_once)
        try:
            for finished in pool.map(self.settle, waiting):
                settled.append(finished)
                self.observer.ends(finished, len(settled), len(waiting))
        finally:
            # On Ctrl-C what has not begun does not begin, and what runs saves itself.
            self.stopped = True
            pool.shutdown(wait=True, cancel_futures=True)
        return settled

    def settle(self, entry: Entry) -> Finished:
        """Run what ``entry`` needs and itself."""
        earlier = self.found(entry)
        if entry.job is None or earlier.outcome is not None:
            return earlier
        for needed in entry.before:
            failure = self._do(needed)
            if failure:
                return Finished(entry, None, f"{needed.name} is missing: {failure}", fresh=True)
        failure = self._do(entry.job)
        return Finished(entry, None if failure else self._outcome(entry.job), failure, fresh=True)

    def found(self, entry: Entry) -> Finished:
        """What earlier calls have made of ``entry``; nothing is run."""
        if entry.job is None:
            return Finished(entry, None, entry.missing)
        failure = place_of(self.folder, entry.job) / FAILURE_FILE
        text = failure.read_text(encoding="utf-8") if failure.is_file() else ""
        return Finished(entry, self._outcome(entry.job), text)

    def _outcome(self, job: Job) -> Outcome | None:
        return read_outcome(place_of(self.folder, job))

    def _do(self, job: Job) -> str:
        """Do ``job`` unless it is done; the reason where it cannot be, empty otherwise."""
        if self._outcome(job) is not None:
            return ""
        self.observer.starts(job)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._held(job):
            # Another process, or another row, may have done or tried it in the meantime, and under another name.
            if job.key in self.failures:
                return self.failures[job.key]
            place = place_of(self.folder, job)
            if read_outcome(place) is not None:
                return ""
            place.mkdir(exist_ok=True)
            write_job(place, job)
            failure = self._process(job, place)
            if failure:
                self.failures[job.key] = failure
            return failure

    def _held(self, job: Job) -> contextlib.AbstractContextManager[BaseFileLock]:
        """Hold the job's lock, waiting for whoever has it; the system frees it where a process is killed."""
        lock = FileLock(self.folder / f".{job.key}.lock")
        while not self.stopped:
            with contextlib.suppress(Timeout):
                return lock.acquire(timeout=_POLL_SECONDS)
        raise KeyboardInterrupt

    def _process(self, job: Job, place: Path) -> str:
        failure = place / FAILURE_FILE
        failure.unlink(missing_ok=True)
        started = time.monotonic()

        def says() -> None:
            self.observer.says(job, _last_line(place / LOG_FILE), time.monotonic() - started)

        status = self.worker(place, self, says)
        if status == 130:
            self.stopped = True
            raise KeyboardInterrupt
        if status == 0 and read_outcome(place) is not None:
            return ""
        if failure.is_file():
            return failure.read_text(encoding="utf-8").strip()
        signal = f"was killed (signal {-status})" if status < 0 else f"ended with status {status}"
        return f"its process {signal}, perhaps for lack of memory; see {place / LOG_FILE}."


# Does the job in a folder, says now and then that it is at it, and returns the status of the job's process; 130: it
# was interrupted.
Worker = Callable[[Path, Runner, Callable[[], None]], int]


def here(place: Path, laboratory: Runner, says: Callable[[], None]) -> int:
    """Do the job in a process of its own on this machine: a :data:`Worker`."""
    environment = _environment(laboratory.at_once, laboratory.device)
    # Ctrl-C reaches the job from the terminal as well: it finishes its step and saves, and is waited for.
    with (place / LOG_FILE).open("w", encoding="utf-8") as stream, start_job(place, stream, environment) as process:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_POLL_SECONDS)
            says()


def start_job(place: Path, log: IO[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Begin the job in ``place``; it ends when this process does, however that ends; see `end_with_parent`."""
    command = [sys.executable, "-m", "realnet.benchmark.work", str(place)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment)


def _environment(at_once: int, device: str) -> dict[str, str]:
    """Side by side each job has its share of the cores: spinning threads would slow each other tenfold."""
    environment = {**os.environ, DEVICE_VARIABLE: device}
    if at_once > 1:
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // at_once))
    return environment


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 400))
            lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line), "")


def failed(settled: Sequence[Finished]) -> list[Finished]:
    """Those without an outcome that have a reason."""
    return [finished for finished in settled if finished.outcome is None and finished.failure]
