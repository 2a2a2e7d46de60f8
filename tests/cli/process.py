"""The command line in a process of its own.

Loading torch takes seconds: a server process does it once and forks itself for every call (where the system can).
``tests/training/test_ddp.py`` starts `python -m realnet` afresh.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_CONTEXT: Any = multiprocessing.get_context(_METHOD)
if _METHOD == "forkserver":
    _CONTEXT.set_forkserver_preload(["tests.cli.preloaded"])


@dataclass(frozen=True)
class Finished:
    """What a call left: exit status (negative: the signal that ended it) and its output."""

    status: int
    out: str
    err: str


class Started:
    """A call of ``realnet`` with these arguments; its output goes to files in ``folder``."""

    def __init__(self, arguments: Sequence[str | Path], folder: Path) -> None:
        self.files = (folder / "stdout.txt", folder / "stderr.txt")
        texts = [str(argument) for argument in arguments]
        self.process = _CONTEXT.Process(target=_call, args=(texts, *self.files))
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def wait(self, seconds: float = 300) -> Finished:
        """Wait for its end."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"not done after {seconds} s: {self.files[1].read_text()}")
        out, err = (file.read_text(encoding="utf-8") for file in self.files)
        return Finished(self.process.exitcode, out, err)


def _call(arguments: list[str], out: Path, err: Path) -> None:
    # Shells start what runs in the background with Ctrl-C ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in ((1, out), (2, err)):
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    os.environ["COLUMNS"] = "200"
    sys.argv = ["realnet", *arguments]
    from realnet.cli import main

    main()
