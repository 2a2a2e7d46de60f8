"""Signals on disk until their receivers have taken them: one SQLite file, for one process at a time."""

import contextlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from realnet.errors import UserError
from realnet.files import alone_with
from realnet.signals.sink import Message

# Signals that are done with are remembered so long, so that none is sent anew after a crash.
_KEPT_SECONDS = 7 * 86_400
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS signals (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sink TEXT NOT NULL, id TEXT NOT NULL, made REAL NOT NULL, body TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'waiting', reason TEXT NOT NULL DEFAULT '',
    UNIQUE (sink, id)
);
CREATE INDEX IF NOT EXISTS waiting ON signals (sink, number) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
State = Literal["sent", "refused", "late"]


@dataclass(frozen=True)
class Waiting:
    """A signal that waits: when it was made (seconds since 1970), and how often it was tried."""

    number: int
    made: float
    tries: int
    body: str

    def message(self) -> Message:
        """The signal as it is sent: ``repeated`` where it may have arrived before."""
        return {**json.loads(self.body), "repeated": self.tries > 0}


class Outbox:
    """The signals of a file. Made by :func:`open_outbox`; any thread may use it."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._base.executescript(_SCHEMA)
            self._base.execute("DELETE FROM signals WHERE state = 'sent' AND made < ?", (time.time() - _KEPT_SECONDS,))
        except sqlite3.DatabaseError as error:
            raise UserError(f"{path} cannot be used as a queue of signals ({error}); choose another file.") from error

    def close(self) -> None:
        """Close the file; what waits stays in it."""
        with self._lock:
            self._base.close()

    def series(self, again: bool) -> str:
        """What tells one inspection's signals from another's: that of the last one where it goes on, or a new one."""
        if again and (found := self._ask("SELECT value FROM facts WHERE name = 'series'").fetchone()):
            return str(found[0])
        made = uuid.uuid4().hex
        self._ask("INSERT OR REPLACE INTO facts VALUES ('series', ?)", made)
        return made

    def put(self, sinks: list[str], message: Message) -> None:
        """Keep a signal for each of ``sinks``, once by its ``id``; UserError where the disk is full."""
        body, now = json.dumps(message, separators=(",", ":")), time.time()
        statement = "INSERT OR IGNORE INTO signals (sink, id, made, body) VALUES (?, ?, ?, ?)"
        try:
            with self._lock, self._base:  # which commits at its end, or rolls back
                self._base.execute("BEGIN IMMEDIATE")
                self._base.executemany(statement, [(sink, message["id"], now, body) for sink in sinks])
        except sqlite3.Error as error:
            raise UserError(
                f"Cannot write {self.path} ({error}): free some space. Nothing that was judged is lost."
            ) from error

    def first(self, sink: str) -> Waiting | None:
        """The oldest signal that waits for ``sink``."""
        found = self._ask(
            "SELECT number, made, tries, body FROM signals WHERE sink = ? AND state = 'waiting' ORDER BY number", sink
        ).fetchone()
        return None if found is None else Waiting(*found)

    def trying(self, waiting: Waiting) -> None:
        """Note, before it happens, that a signal is sent: after a kill meanwhile it may have arrived."""
        self._ask("UPDATE signals SET tries = tries + 1 WHERE number = ?", waiting.number)

    def settle(self, waiting: Waiting, state: State, reason: str = "") -> None:
        """Note what became of a signal."""
        self._ask("UPDATE signals SET state = ?, reason = ? WHERE number = ?", state, reason, waiting.number)

    def waiting(self, sink: str) -> int:
        """How many signals wait for ``sink``."""
        return int(self._ask("SELECT COUNT(*) FROM signals WHERE sink = ? AND state = 'waiting'", sink).fetchone()[0])

    def waiting_elsewhere(self, sinks: list[str]) -> int:
        """How many wait for receivers that are not among ``sinks``."""
        marks = ", ".join("?" * len(sinks))
        found = self._ask(f"SELECT COUNT(*) FROM signals WHERE state = 'waiting' AND sink NOT IN ({marks})", *sinks)
        return int(found.fetchone()[0])

    def _ask(self, statement: str, *values: object) -> sqlite3.Cursor:
        with self._lock:
            return self._base.execute(statement, values)


@contextlib.contextmanager
def open_outbox(path: Path) -> Iterator[Outbox]:
    """The outbox in the file ``path``, for this process alone; UserError if another has it or it cannot be written."""
    busy = f"Another process sends the signals in {path}: wait for its end or choose another file."
    with alone_with(path.with_name(path.name + ".lock"), busy), contextlib.closing(Outbox(path)) as outbox:
        yield outbox
