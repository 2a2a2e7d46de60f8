"""``realnet`` as processes: with a time limit, killed, or serving."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Of one process; a bomb is to bring down itself and not the machine.
MEMORY = 24 * 2**30
_TRACES = ("Traceback (most recent call last)", "Fatal Python error", "Segmentation fault", "core dumped")


@dataclass(frozen=True)
class Finished:
    """What a call left; ``status`` is None where it had to be stopped, negative where a signal ended it."""

    status: int | None
    out: str
    err: str
    seconds: float

    def problems(self, allowed: Sequence[int]) -> list[str]:
        """What no call may do: hang, crash, show a traceback, end with another status."""
        found = []
        if self.status is None:
            found.append(f"not done after {self.seconds:.0f} s")
        elif self.status not in allowed:
            found.append(f"status {self.status}")
        found += [f"{trace!r} in the output" for trace in _TRACES if trace in self.out + self.err]
        return found

    def refusal_problems(self) -> list[str]:
        """What a refusal may not do: anything but status 2 and one sentence."""
        found = self.problems((2,))
        lines = [line for line in self.err.splitlines() if line.strip()]
        if not found and (len(lines) != 1 or not lines[0].startswith("Error: ")):
            found.append(f"{len(lines)} lines instead of one sentence: {' / '.join(lines)[:300]}")
        return found

    def last_words(self) -> str:
        """The last line of what it said."""
        lines = (self.err or self.out).strip().splitlines()
        return lines[-1][:300] if lines else ""


class Started:
    """A call of ``realnet``, in a process group of its own; its output goes to files in ``folder``."""

    def __init__(self, arguments: Sequence[str | Path], folder: Path, module: str = "realnet") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.files = (folder / "stdout.txt", folder / "stderr.txt")
        self.began = time.monotonic()
        with self.files[0].open("wb") as out, self.files[1].open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *(os.fspath(argument) for argument in arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "COLUMNS": "200"},
                start_new_session=True,
                preexec_fn=_limit,
            )

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self.process.pid

    def running(self, seconds: float) -> bool:
        """Whether it is alive a moment later; one that began more than ``seconds`` ago is killed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.02)
        if self.process.poll() is None and time.monotonic() - self.began > seconds:
            self.kill()
        return self.process.poll() is None

    def computed(self) -> float:
        """Seconds of processor time, with those of its children; of the clock where the system does not say."""
        ticks = sum(_ticks(pid) for pid in (self.pid, *descendants(self.pid)))
        return ticks / os.sysconf("SC_CLK_TCK") if ticks else time.monotonic() - self.began

    def wait(self, seconds: float) -> Finished:
        """Wait for its end; what is not done by then is killed."""
        try:
            status: int | None = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
            self.kill()
        except BaseException:
            self.kill()
            raise
        out, err = (file.read_text(encoding="utf-8", errors="replace") for file in self.files)
        return Finished(status, out, err, time.monotonic() - self.began)

    def kill(self, children: bool = True) -> None:
        """``kill -9``, its ``children`` too or the process alone."""
        with contextlib.suppress(ProcessLookupError):
            if children:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self.process.kill()
        self.process.wait()

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        """While the block runs, it does nothing."""
        os.killpg(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.pid, signal.SIGCONT)

    def memory(self) -> float:
        """Resident memory in MB, with that of its children; 0 where the system does not say."""
        return sum(_resident(pid) for pid in (self.pid, *descendants(self.pid))) / 2**20


def _limit() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, KeyError):
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(lines["VmRSS"].split()[0]) * 1024
    return 0


def _ticks(pid: int) -> int:
    """Of a process, and of those of its children that have ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs; none where the system does not say."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def call(arguments: Sequence[str | Path], folder: Path, seconds: float) -> Finished:
    """``realnet`` with ``arguments``, to its end."""
    return Started(arguments, folder).wait(seconds)


class NotServing(Exception):
    """The server ended, or never said where it is; ``finished`` is what it left."""

    def __init__(self, finished: Finished) -> None:
        super().__init__(finished.last_words())
        self.finished = finished


@dataclass(frozen=True)
class Server:
    """A running server."""

    started: Started
    port: int

    @property
    def alive(self) -> bool:
        """Whether its process is."""
        return self.started.process.poll() is None


def await_port(started: Started, seconds: float) -> int:
    """The port that a server says it listens on.

    Raises:
        NotServing: where it ends before, or says nothing.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and started.process.poll() is None:
        found = re.search(r"http://[^/\s]*:(\d+)", started.files[0].read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.1)
    raise NotServing(started.wait(max(0.1, deadline - time.monotonic())))


@contextlib.contextmanager
def serving(run: Path, folder: Path, *options: str, module: str = "realnet", seconds: float = 120) -> Iterator[Server]:
    """``realnet serve RUN`` on a free port of this machine, until the block ends."""
    arguments = ["serve", run, "--port", "0", *options] if module == "realnet" else [run, *options]
    started = Started(arguments, folder, module)
    try:
        yield Server(started, await_port(started, seconds))
    finally:
        started.kill()
