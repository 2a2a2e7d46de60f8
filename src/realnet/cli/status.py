"""How evaluation, calibration and export are shown in a terminal."""

import contextlib
from collections.abc import Iterator

from rich.status import Status

from realnet.cli.console import console, say, warn
from realnet.progress import Watcher


class StatusLine(Watcher):
    """Prints what is said, and shows in one line what is being done."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def say(self, sentence: str) -> None:
        """A line of the answer."""
        say(sentence)

    def warn(self, sentence: str) -> None:
        """A line on standard error."""
        warn(sentence)

    def stage(self, text: str, done: int = 0, total: int = 0) -> None:
        """The line that moves."""
        self._status.update(f"{text}: {done} of {total}" if total else text)


@contextlib.contextmanager
def status_line(text: str) -> Iterator[StatusLine]:
    """A status line that begins with ``text``."""
    with console.status(text) as status:
        yield StatusLine(status)
