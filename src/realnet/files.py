"""What everything does with files: plain names, digests, tables of JSON, and a folder for one process alone."""

import contextlib
import hashlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from realnet.errors import UserError


def name_pattern(longest: int) -> str:
    """The regular expression of a name that a file, a folder and an address can have, whatever the system."""
    return rf"^[A-Za-z0-9][A-Za-z0-9_.-]{{0,{longest - 1}}}$"


def plain_name(text: str, otherwise: str, longest: int) -> str:
    """``text`` as such a name, of ``longest`` characters at most; ``otherwise`` where nothing is left of it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._")[:longest] or otherwise


def quoted(path: str | Path) -> str:
    """``path`` as it stands in a command that a person may copy: in quotes where the shell would divide it."""
    text = str(path)
    return subprocess.list2cmdline([text]) if sys.platform == "win32" else shlex.quote(text)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def beginning(path: Path, length: int) -> bytes:
    """The first bytes of a file, at most so many; none where it cannot be read."""
    with contextlib.suppress(OSError), path.open("rb") as stream:
        return stream.read(length)
    return b""


def text_sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def printable(name: str) -> str:
    """A file's name as text: what of it is no Unicode, as in names of older systems, is written as an escape."""
    return name.encode("utf-8", "backslashreplace").decode()


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file; ValueError where that is missing, damaged, or holds something else."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(loaded, dict):
        raise ValueError("no table")
    return loaded


@contextlib.contextmanager
def alone_with(lock_file: Path, busy: str) -> Iterator[None]:
    """Hold a lock in the folder of ``lock_file``, freed as the process ends; UserError ``busy`` if another has it."""
    lock = FileLock(lock_file)
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        held = lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(busy) from error
    except OSError as error:
        raise UserError(
            f"Cannot write {lock_file.parent}: {error.strerror}. Choose a folder that can be written."
        ) from error
    with held:
        yield
