"""``results.jsonl``: a line an image as soon as it is judged, so that nothing is judged twice."""

import contextlib
import errno
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from realnet.atomic import remove_torn, write_text
from realnet.errors import UserError
from realnet.files import alone_with
from realnet.inspection.index import Index, Registration
from realnet.inspection.items import Item
from realnet.inspection.rows import Row, line_of, row_of

HEADER_FILE, JOURNAL_FILE, LOCK_FILE = "inspect.json", "results.jsonl", ".inspect.lock"
_FORMAT = "realnet inspect 1"
_OWN = ("key", "name", "size", "changed_ns")
Earlier = Literal["refuse", "resume", "overwrite"]
"""What to do with the results of an earlier inspection in the same folder."""


def what_of_earlier(resume: bool, overwrite: bool) -> Earlier:
    """What to do with earlier results, as a person says it; UserError where both are asked for."""
    if resume and overwrite:
        said = "keeps earlier results and {}overwrite replaces them: choose one."
        raise UserError(f"resume {said.format('')}", f"--resume {said.format('--')}")
    return "resume" if resume else "overwrite" if overwrite else "refuse"


@dataclass(frozen=True)
class Settings:
    """What the rows of one journal have in common; saved as ``inspect.json``.

    Attributes:
        model: its digest; empty where nobody said.
        threshold, pixel_threshold, minimum_area: the inspector's.
        overlays, masks: whether they are written.
    """

    model: str
    threshold: float
    pixel_threshold: float
    minimum_area: int
    overlays: bool
    masks: bool


class Journal:
    """The journal of an output folder. Made by :func:`open_journal`, which holds the folder's lock meanwhile."""

    def __init__(self, path: Path, index: Index) -> None:
        self.path, self.index = path, index
        self._end = _load(path, index)
        try:
            self._stream = path.open("r+b" if path.exists() else "w+b", buffering=0)
            self._stream.truncate(self._end)
        except OSError as error:
            raise UserError(f"Cannot write {path}: {error.strerror}. Choose a folder that can be written.") from error

    def close(self) -> None:
        """Close its file; nothing is left to be written."""
        self._stream.close()

    def append(self, item: Item, registration: Registration, row: Row) -> None:
        """Write one line, whole or not at all; UserError where the disk is full."""
        size, changed = item.version
        line = line_of(
            {**row.as_dict(), "key": item.key, "name": registration.name, "size": size, "changed_ns": changed}
        )
        try:
            self._stream.seek(self._end)
            if self._stream.write(line) != len(line):
                raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            with contextlib.suppress(OSError):
                self._stream.truncate(self._end)
            raise UserError(f"Cannot write {self.path}: {error.strerror}. Free some space.") from error
        self.index.wrote(item.key, self._end)
        self._end += len(line)

    def rows(self) -> Iterator[Row]:
        """The last row of each image: in the order of the sources, after those of earlier sources."""
        with self.path.open("rb") as stream:
            for line in self.index.lines():
                stream.seek(line)
                yield _row(json.loads(stream.readline()))


@contextlib.contextmanager
def open_journal(
    output: Path, settings: Settings, earlier: Earlier = "refuse", stale: tuple[str, ...] = ()
) -> Iterator[Journal]:
    """The journal of ``output``, for this process alone.

    Args:
        earlier: what to do with an earlier inspection's results, where there are any.
        stale: files in ``output`` that go with an earlier inspection that is not resumed.

    Raises:
        UserError: where another process inspects into the folder, where the folder cannot be written, where it holds
            results that are neither to be resumed nor overwritten, where the journal is damaged, and where it is of
            other settings.
    """
    busy = f"Another `realnet inspect` is writing into {output}: wait for its end or choose another --output."
    with alone_with(output / LOCK_FILE, busy), contextlib.closing(Index()) as index:
        for folder in (output, output / "overlays", output / "masks"):
            remove_torn(folder)
        if earlier == "refuse":
            _refuse_results(output, stale)
        if earlier == "resume" and (output / JOURNAL_FILE).exists():
            _check_settings(output, settings)
        else:
            _start(output, settings, stale)
        with contextlib.closing(Journal(output / JOURNAL_FILE, index)) as journal:
            yield journal


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Let a full disk's sentence say how to go on."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error} What is judged is kept: continue with the same call and --resume.") from error


def read_rows(output: Path) -> Iterator[Row]:
    """The rows of an inspection, also while it runs: one a judgement, in the order in which they were made."""
    with (output / JOURNAL_FILE).open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield _row(json.loads(line))


def _row(record: dict[str, Any]) -> Row:
    return row_of({name: value for name, value in record.items() if name not in _OWN})


def _start(output: Path, settings: Settings, stale: tuple[str, ...]) -> None:
    """The journal goes first: it must never stand below another one's settings."""
    try:
        (output / JOURNAL_FILE).unlink(missing_ok=True)
        if (output / HEADER_FILE).exists():
            for name in stale:
                (output / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"Cannot write {output}: {error.strerror}. Choose a folder that can be written.") from error
    write_text(output / HEADER_FILE, json.dumps({"format": _FORMAT, **vars(settings)}, indent=2))


def _refuse_results(output: Path, stale: tuple[str, ...]) -> None:
    """Whether a row or a table of an earlier inspection is there; a journal without rows is none."""
    journal = output / JOURNAL_FILE
    held = [name for name in stale if (output / name).exists()]
    if journal.is_file() and journal.stat().st_size:
        held.append(JOURNAL_FILE)
    if held:
        raise UserError(
            f"{output} holds the results of an inspection ({held[-1]}): go on with it by --resume, replace it by "
            "--overwrite, or choose another --output."
        )


def _check_settings(output: Path, settings: Settings) -> None:
    path = output / HEADER_FILE
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        before = {name: header[name] for name in ("format", *vars(settings))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is missing or damaged: start anew with --overwrite.") from error
    now = {"format": _FORMAT, **vars(settings)}
    other = [
        name.replace("_", " ") + ("" if name == "model" else f" {before[name]}, not {now[name]}")
        for name in now
        if before[name] != now[name]
    ]
    if other:
        raise UserError(
            f"{output} was begun with another {', another '.join(other)}: continue it with that, choose another "
            "--output, or start anew with --overwrite."
        )


def _load(path: Path, index: Index) -> int:
    """Tell ``index`` of the rows in the journal; where the last whole line ends."""
    end, number = 0, 0
    if not path.exists():
        return end
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):  # torn by a kill; it is overwritten
                break
            try:
                record = json.loads(line)
                _row(record)
                key, name, size, changed = (record[name] for name in _OWN)
                index.load(str(key), str(name), (int(size), int(changed)), end)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UserError(f"{path} is damaged in line {number}: start anew with --overwrite.") from error
            end += len(line)
    return end
