"""How long a results store keeps what: by age, and by the size of its file."""

import datetime
from dataclasses import dataclass

from realnet.history.schema import Base
from realnet.inspection.trace import utc_now

_BATCH = 500


@dataclass(frozen=True)
class Retention:
    """What may go; None: nothing.

    Attributes:
        days: of age.
        bytes: of the file, of what is in use in it.
    """

    days: float | None = None
    bytes: int | None = None


def remove_old(base: Base, retention: Retention, now: datetime.datetime | None = None) -> int:
    """Remove the oldest results with their pictures, as far as ``retention`` says; how many.

    Results that a person gave a verdict on stay, whatever their age. Each removal is itself a row of the store.
    """
    removed = 0
    if retention.days is not None:
        now = now or datetime.datetime.now(datetime.UTC)
        moment = (now - datetime.timedelta(days=retention.days)).isoformat(timespec="milliseconds")
        while some := _remove(base, moment.replace("+00:00", "Z"), f"older than {retention.days:g} days"):
            removed += some
    if retention.bytes is not None:
        while _used(base) > retention.bytes:
            oldest = base.ask(
                "SELECT time FROM results WHERE id NOT IN (SELECT result FROM feedback) ORDER BY number LIMIT ?", _BATCH
            )
            if not oldest:
                break
            # The time itself stays; that of the last one is passed by the least step there is.
            last = max(row["time"] for row in oldest) + "~"
            removed += _remove(base, last, f"more than {retention.bytes:,} bytes")
    if removed:
        base.shrink()
    return removed


def _remove(base: Base, before: str, why: str) -> int:
    """Remove a batch of what is older than ``before``, and note it; how many results."""
    with base.transaction():
        rows = base.ask(
            "SELECT id FROM results WHERE time < ? AND id NOT IN (SELECT result FROM feedback) ORDER BY number LIMIT ?",
            before, _BATCH,
        )  # fmt: skip
        if not rows:
            return 0
        known = base.ask("SELECT 1 FROM removals WHERE before >= ?", before)
        if not known:
            base.ask("INSERT INTO removals (time, before, why) VALUES (?, ?, ?)", utc_now(), before, why)
        for row in rows:
            base.ask("DELETE FROM pictures WHERE result = ?", row["id"])
            base.ask("DELETE FROM results WHERE id = ?", row["id"])
    return len(rows)


def _used(base: Base) -> int:
    pages, free, size = (base.ask(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size
