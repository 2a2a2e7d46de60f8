"""Log lines: one a request and one a verdict, for people or as JSON, on standard error."""

import datetime
import json
import logging
import sys
from typing import Any

from realnet.inspection.rows import Row

LEVELS = ("debug", "info", "warning", "error")


def set_up_logs(level: str, as_json: bool = False) -> None:
    """Send what the package logs from ``level`` (:data:`LEVELS`) on to standard error, in words or as JSON lines."""
    handler = _ToStandardError()
    handler.setFormatter(_Json() if as_json else _Words())
    logger = logging.getLogger("realnet")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())


def verdict_facts(row: Row, model: str) -> dict[str, Any]:
    """What the log line of a verdict says."""
    return {
        "id": row.id,
        "image": row.image,
        "verdict": row.verdict,
        "score": row.score,
        "threshold": row.threshold,
        "model": model,
        "model_digest": row.model_digest,
        "calibration": row.calibration,
        **({"error": row.error} if row.error else {}),
    }


class _ToStandardError(logging.Handler):
    """Writes to what standard error is at the moment, which may be another stream than at the start."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


class _Words(logging.Formatter):
    """``TIME LEVEL what happened name=value ...``; values with blanks and the like are quoted as JSON quotes them."""

    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={_word(value)}" for name, value in _facts(record).items())
        # A line break in what somebody sent must not begin a line of its own.
        message = record.getMessage().replace("\r", " ").replace("\n", " ")
        return " ".join(part for part in (_time(record), record.levelname, message, facts) if part)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        head = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        return json.dumps({**head, **_facts(record)}, default=str)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return getattr(record, "facts", {})


def _time(record: logging.LogRecord) -> str:
    found = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = text and text.isascii() and text.isprintable() and not set(text) & set(' "=')
    return text if plain else json.dumps(text)
