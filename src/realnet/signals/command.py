"""Signals to a program of the user's."""

import json
import os
import shlex
import shutil
import subprocess

from realnet.errors import UserError
from realnet.signals.sink import Message, Sink, Unreachable

_SECONDS = 30.0
_TOLD = ("id", "verdict", "score", "threshold", "image", "model", "repeated")


class Command(Sink):
    """Starts a program for each message, which it gets as JSON on its standard input; status 0 means taken.

    The environment has ``REALNET_ID``, ``REALNET_VERDICT``, ``REALNET_SCORE``, ``REALNET_THRESHOLD``,
    ``REALNET_IMAGE``, ``REALNET_MODEL`` and ``REALNET_REPEATED``, too. No shell is involved. Signs of life do not
    start it. UserError where there is no such program.

    Args:
        line: program and arguments, quoted as for a shell.
        seconds: after which it is ended, and the message counts as not taken.
    """

    def __init__(self, line: str, seconds: float = _SECONDS) -> None:
        try:
            self._arguments = split_line(line, windows=os.name == "nt")
        except ValueError as error:
            raise UserError(f"command:{line} is not well quoted ({error}).") from error
        program = shutil.which(self._arguments[0]) if self._arguments else None
        if program is None:
            raise UserError(f"There is no program to run in command:{line}; check its name and that it may be run.")
        super().__init__(f"command:{line}", f"command:{self._arguments[0]}")
        self._arguments[0], self._seconds = program, seconds

    def send(self, message: Message) -> None:
        """As :meth:`Sink.send`."""
        told = {f"REALNET_{name.upper()}": _as_text(message.get(name)) for name in _TOLD}
        try:
            done = subprocess.run(
                self._arguments,
                input=json.dumps(message).encode(),
                env={**os.environ, **told},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unreachable(f"it takes longer than {self._seconds:g} s") from error
        except OSError as error:
            raise Unreachable(error.strerror or str(error)) from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise Unreachable(f"status {done.returncode}{': ' + said[0][:200] if said else ''}")


def split_line(line: str, windows: bool) -> list[str]:
    """Program and arguments of a command line; ValueError where a quote is not closed.

    On Windows a backslash stands for itself: ``C:\\line\\reject.exe``.
    """
    if not windows:
        return shlex.split(line)
    words = shlex.split(line, posix=False)
    return [word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'" else word for word in words]


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value).replace("\0", "")
