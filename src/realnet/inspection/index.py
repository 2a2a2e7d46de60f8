"""Which images an inspection knows, on disk: memory does not grow with their number."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realnet.errors import UserError

_LONGEST = 200
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE images (
    image BLOB PRIMARY KEY, name BLOB, taken BLOB, size INTEGER, changed INTEGER, line INTEGER, place INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX names ON images (taken);
"""


@dataclass(frozen=True)
class Registration:
    """An image that was taken up: the name of its overlay, and whether its row is there already."""

    name: str
    done: bool


class Index:
    """Images by key (see ``Item``): version, name of the overlay, where the row is in the journal, and in the results.

    A temporary database that the system removes with the process; any thread may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # An empty name is a file that SQLite deletes itself.
        self._base = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._base.executescript(_SCHEMA)
        self._next = 0

    def close(self) -> None:
        """Free its file."""
        with self._lock:
            self._base.close()

    def is_known(self, key: str, version: tuple[int, int]) -> bool:
        """Whether this version of the image was taken up or is in the journal."""
        found = self._ask("SELECT size, changed FROM images WHERE image = ?", _encoded(key)).fetchone()
        return found == version

    def register(self, key: str, stem: str, folder: Path, version: tuple[int, int]) -> Registration | None:
        """Take up an image, in the order of the results; None where this version was taken up since the start."""
        encoded = _encoded(key)
        found = self._ask("SELECT name, size, changed, line, place FROM images WHERE image = ?", encoded).fetchone()
        if found is None:
            name = free_name(stem, folder, self._is_taken)
            self._insert(encoded, name, version, None, self._place())
            return Registration(name, done=False)
        name, size, changed, line, place = found
        same = (size, changed) == version
        if place is not None and same:
            return None
        place = self._place() if place is None else place
        self._ask("UPDATE images SET size = ?, changed = ?, place = ? WHERE image = ?", *version, place, encoded)
        return Registration(name.decode("utf-8", "surrogateescape"), done=same and line is not None)

    def load(self, key: str, name: str, version: tuple[int, int], line: int) -> None:
        """Note an earlier row of the image at byte ``line``; a later one replaces it; ValueError for a name in use."""
        known = "UPDATE images SET size = ?, changed = ?, line = ? WHERE image = ?"
        try:
            if not self._ask(known, *version, line, _encoded(key)).rowcount:
                self._insert(_encoded(key), name, version, line, None)
        except sqlite3.IntegrityError as error:
            raise ValueError(f"two images are named {name}") from error

    def wrote(self, key: str, line: int) -> None:
        """Note that the row of an image that was taken up stands at byte ``line``."""
        self._ask("UPDATE images SET line = ? WHERE image = ?", line, _encoded(key))

    def lines(self) -> Iterator[int]:
        """Where the rows stand: those of earlier sources first, then those of the present ones in their order."""
        for (line,) in self._ask(
            "SELECT line FROM images WHERE line IS NOT NULL ORDER BY place IS NOT NULL, place, line"
        ):
            yield line

    def _insert(self, key: bytes, name: str, version: tuple[int, int], line: int | None, place: int | None) -> None:
        values = (key, _encoded(name), _encoded(name.lower()), *version, line, place)
        self._ask("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)", *values)

    def _place(self) -> int:
        self._next += 1
        return self._next

    def _is_taken(self, name: str) -> bool:
        return self._ask("SELECT 1 FROM images WHERE taken = ?", _encoded(name)).fetchone() is not None

    def _ask(self, statement: str, *values: Any) -> sqlite3.Cursor:
        with self._lock:
            try:
                return self._base.execute(statement, values)
            except sqlite3.OperationalError as error:
                raise UserError(f"The temporary folder cannot be written ({error}); free some space there.") from error


def free_name(stem: str, folder: Path, is_taken: Callable[[str], bool]) -> str:
    """A name of an overlay: the image's stem, with its folders where two would share one; then with a number.

    It is cut to 200 bytes: file systems take 255, and a suffix and the temporary name's additions are to come. Names
    are asked for in lower case, as some disks tell them apart no further.
    """
    stem = _shortened(stem, _LONGEST)
    name, parts = stem, list(folder.parts)
    while is_taken(name.lower()) and parts:
        longer = parts.pop().strip("/\\:") + "-" + name
        if longer != _shortened(longer, _LONGEST):
            break
        name = longer
    number = 2
    while is_taken(name.lower()):
        name, number = f"{_shortened(stem, _LONGEST - 12)}-{number}", number + 1
    return name


def _shortened(name: str, length: int) -> str:
    encoded = _encoded(name)
    return name if len(encoded) <= length else encoded[:length].decode("utf-8", "ignore")


def _encoded(text: str) -> bytes:
    """Names that are no Unicode too."""
    return text.encode("utf-8", "surrogateescape")
