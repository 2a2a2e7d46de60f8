"""The tables of a results store, and how its file is opened."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realnet.errors import UserError

VERSION = 1
_APPLICATION = 0x524E6574  # "RNet", which `file` and SQLite's own tools show
_BUSY_SECONDS = 30.0

# Rows are only ever added. Those that a row of `removals` covers may be deleted, nothing may be changed.
_SCHEMA = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
BEGIN IMMEDIATE;
CREATE TABLE results (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    time TEXT NOT NULL,
    source TEXT NOT NULL,
    image TEXT NOT NULL,
    image_hash TEXT NOT NULL,
    width INTEGER,
    height INTEGER,
    verdict TEXT NOT NULL CHECK (verdict IN ('good', 'anomalous', 'unknown', 'unreadable')),
    score REAL,
    level REAL,
    threshold REAL NOT NULL,
    anomalous_area REAL,
    regions TEXT NOT NULL,
    error TEXT NOT NULL,
    model TEXT NOT NULL,
    model_digest TEXT NOT NULL,
    calibration INTEGER,
    software TEXT NOT NULL
);
CREATE INDEX results_by_time ON results (time);
CREATE INDEX results_by_image ON results (image_hash, model_digest);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    result TEXT NOT NULL REFERENCES results (id),
    label TEXT NOT NULL CHECK (label IN ('good', 'defective')),
    who TEXT NOT NULL,
    why TEXT NOT NULL
);
CREATE INDEX feedback_by_result ON feedback (result);
CREATE TABLE pictures (
    result TEXT PRIMARY KEY REFERENCES results (id),
    kind TEXT NOT NULL CHECK (kind IN ('thumbnail', 'original')),
    content BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE removals (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    before TEXT NOT NULL,
    why TEXT NOT NULL
);
CREATE VIEW labels AS
    SELECT result, label, who, why, time FROM feedback
    WHERE number IN (SELECT max(number) FROM feedback GROUP BY result);
CREATE TRIGGER results_stay BEFORE UPDATE ON results BEGIN SELECT raise(ABORT, 'results are never changed'); END;
CREATE TRIGGER feedback_stays BEFORE UPDATE ON feedback BEGIN SELECT raise(ABORT, 'feedback is never changed'); END;
CREATE TRIGGER feedback_is_kept BEFORE DELETE ON feedback BEGIN SELECT raise(ABORT, 'feedback is never deleted'); END;
CREATE TRIGGER results_are_kept BEFORE DELETE ON results
    WHEN old.time >= coalesce((SELECT max(before) FROM removals), '')
        OR EXISTS (SELECT 1 FROM feedback WHERE result = old.id)
    BEGIN SELECT raise(ABORT, 'results are deleted by retention only'); END;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""


class Base:
    """A results store's file. Any thread may use it, and other processes at the same time."""

    def __init__(self, path: Path, make: bool) -> None:
        self.path, self._lock = path, threading.RLock()
        if not path.is_file() and not make:
            raise UserError(f"There is no results store {path}: name the file that --history was given.")
        with self._told():
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
        try:
            with self._told():
                self._open(make)
        except UserError:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file; all is written."""
        with self._lock:
            self._connection.close()

    def ask(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """The rows that a statement gives; UserError where the file is damaged, or cannot be written."""
        with self._lock, self._told():
            return self._connection.execute(statement, values).fetchall()

    def shrink(self) -> None:
        """Give what is not in use of the file back to the disk; UserError where the file cannot be written."""
        with self._lock, self._told():
            # A script is run to its end; a statement frees a single page.
            self._connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within is written, or nothing of it; UserError where it cannot be."""
        with self._lock, self._told(), self._connection:  # which commits at its end, or rolls back
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    def _open(self, make: bool) -> None:
        self._connection.row_factory = sqlite3.Row
        known = self._connection.execute("PRAGMA application_id").fetchone()[0]
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if make and not known and not tables:
            self._make()
            known = _APPLICATION
        if known != _APPLICATION:
            raise UserError(f"{self.path} is no results store of RealNet: name another file.")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise UserError(f"{self.path} is a results store of version {version}, not {VERSION}: name another file.")
        # A result that was answered must survive a power cut.
        self._connection.execute("PRAGMA synchronous = FULL")

    def _make(self) -> None:
        try:
            with self._connection:
                self._connection.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            # Two processes that begin at the same time: the other one has made it.
            if "already exists" not in str(error):
                raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise UserError(
                f"The results store {self.path} cannot be used ({error}): free some space, check who may write there, "
                "or restore it."
            ) from error
