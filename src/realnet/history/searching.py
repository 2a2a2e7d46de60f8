"""Reading a results store: searches, the review queue, and the course of scores over time."""

import datetime
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from realnet.errors import UserError
from realnet.history.schema import Base

# From here to there around the threshold, which is at level 0.5, a verdict is close.
_CLOSE = 0.1
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SELECT = """SELECT r.*, l.label, l.who, l.why, l.time AS labelled, p.kind AS picture FROM results r
    LEFT JOIN labels l ON l.result = r.id LEFT JOIN pictures p ON p.result = r.id"""
_LEAST_PREFIX = 6


@dataclass(frozen=True)
class Query:
    """Which results are meant; None: any.

    Attributes:
        since, until: ISO 8601, UTC; the latter excluded.
        verdict: ``good``, ``anomalous``, ``unknown`` or ``unreadable``.
        label: ``good`` or ``defective``: what a person said.
        model: name of the inspector, or the beginning of the model's digest (six digits at least).
        above, below: of the score.
        image: a part of the image's name, or its hash.
        before: number of a result; only what was written earlier.
        limit: rows.
        source: where images came from, such as a camera's name.
    """

    since: str | None = None
    until: str | None = None
    verdict: str | None = None
    label: str | None = None
    model: str | None = None
    above: float | None = None
    below: float | None = None
    image: str | None = None
    before: int | None = None
    limit: int = 50
    source: str | None = None


@dataclass(frozen=True)
class Entry:
    """A result with what a person said of it.

    Attributes:
        number: counted up as results are written.
        source: where the image came from.
        width, height: of the image, in pixels; None where they are not known.
        regions: as in ``results.json``, some with outlines.
        label, who, why, labelled: the latest feedback and its time; None without any.
        picture: ``thumbnail``, ``original`` or None: what is kept of the image.

    The others are those of a row of ``results.json``; ``model`` is the inspector's name.
    """

    number: int
    id: str
    time: str
    source: str
    image: str
    image_hash: str
    width: int | None
    height: int | None
    verdict: str
    score: float | None
    level: float | None
    threshold: float
    anomalous_area: float | None
    regions: list[dict[str, Any]]
    error: str
    model: str
    model_digest: str
    calibration: int | None
    software: str
    label: str | None
    who: str | None
    why: str | None
    labelled: str | None
    picture: str | None


def search(base: Base, query: Query) -> list[Entry]:
    """The results that ``query`` means, the latest first; UserError where the file is damaged."""
    where, values = _conditions(query)
    statement = f"{_SELECT} WHERE {where} ORDER BY r.number DESC LIMIT ?"
    return [_entry(row) for row in base.ask(statement, *values, query.limit)]


def count(base: Base, query: Query) -> int:
    """How many results ``query`` means, whatever its limit."""
    where, values = _conditions(query)
    statement = f"SELECT count(*) AS n FROM results r LEFT JOIN labels l ON l.result = r.id WHERE {where}"
    return int(base.ask(statement, *values)[0]["n"])


def find(base: Base, result: str) -> Entry:
    """The result of that id, or of its first digits, six at least; UserError where there is none, or several."""
    if not re.fullmatch(rf"[0-9a-f]{{{_LEAST_PREFIX},32}}", result):
        raise UserError(f"{result!r} is no id of a result: it has hexadecimal digits, {_LEAST_PREFIX} at least.")
    rows = base.ask(f"{_SELECT} WHERE r.id >= ? AND r.id < ? LIMIT 2", result, result + "g")
    if len(rows) != 1:
        raise UserError(f"{'Several results begin' if rows else 'No result begins'} with {result} in {base.path}.")
    return _entry(rows[0])


def find_whole(base: Base, result: str) -> Entry | None:
    """The result of that whole id; None where there is none."""
    rows = base.ask(f"{_SELECT} WHERE r.id = ?", result)
    return _entry(rows[0]) if rows else None


def review(base: Base, model: str | None = None, limit: int = 50) -> list[Entry]:
    """What a person should look at next: the closest verdicts first, then the most suspicious images.

    Close is a level within 0.1 of the threshold's 0.5. An image is in the queue once for each model, with its latest
    result, and leaves it when somebody has given a verdict on it.
    """
    where, values = _conditions(Query(model=model))
    statement = f"""{_SELECT} WHERE {where} AND r.score IS NOT NULL
        AND r.number = (SELECT max(o.number) FROM results o
            WHERE o.image_hash = r.image_hash AND o.model_digest = r.model_digest)
        AND NOT EXISTS (SELECT 1 FROM results o JOIN feedback f ON f.result = o.id
            WHERE o.image_hash = r.image_hash AND o.model_digest = r.model_digest)
        ORDER BY abs(r.level - 0.5) > {_CLOSE}, CASE WHEN abs(r.level - 0.5) <= {_CLOSE} THEN abs(r.level - 0.5) END,
            r.score DESC, r.number LIMIT ?"""
    return [_entry(row) for row in base.ask(statement, *values, limit)]


@dataclass(frozen=True)
class Span:
    """The results of an hour or a day.

    Attributes:
        start: ISO 8601, UTC.
        images, anomalous: how many were judged, and rejected.
        level, highest: mean and largest level; the threshold is at 0.5.
        calibrations: versions that were in force.
    """

    start: str
    images: int
    anomalous: int
    level: float
    highest: float
    calibrations: list[int]


def trend(base: Base, by: Literal["hour", "day"], query: Query) -> list[Span]:
    """How levels and alarms went, span by span; at most ``query.limit`` of the latest, the earliest of them first."""
    where, values = _conditions(query)
    length, rest = (13, ":00:00Z") if by == "hour" else (10, "T00:00:00Z")
    statement = f"""SELECT substr(r.time, 1, {length}) AS start, count(*) AS images,
        sum(r.verdict IN ('anomalous', 'unknown')) AS anomalous, avg(r.level) AS level, max(r.level) AS highest,
        group_concat(DISTINCT r.calibration) AS calibrations
        FROM results r LEFT JOIN labels l ON l.result = r.id WHERE {where} AND r.score IS NOT NULL
        GROUP BY 1 ORDER BY 1 DESC LIMIT ?"""
    return [
        Span(
            row["start"] + rest, row["images"], row["anomalous"], row["level"], row["highest"],
            sorted(int(number) for number in (row["calibrations"] or "").split(",") if number),
        )
        for row in reversed(base.ask(statement, *values, query.limit))
    ]  # fmt: skip


def moment(text: str, now: datetime.datetime | None = None) -> str:
    """A time as results have it: of ``2026-03-01``, ``2026-03-01T08:30``, or ``90m``, ``24h``, ``7d``, ``2w`` ago.

    Times are UTC unless they name an offset, as in ``2026-03-01T08:30+01:00``. UserError for anything else.
    """
    ago = re.fullmatch(r"(\d{1,6})\s*([mhdw])", text.strip())
    try:
        if ago:
            now = now or datetime.datetime.now(datetime.UTC)
            found = now - datetime.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            found = datetime.datetime.fromisoformat(text.strip())
            found = found.replace(tzinfo=found.tzinfo or datetime.UTC)
        return found.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError) as error:
        raise UserError(
            f"{text!r} is no time: write 2026-03-01, 2026-03-01T08:30, or 24h or 7d for so long ago."
        ) from (error)


def _conditions(query: Query) -> tuple[str, list[Any]]:
    model = query.model
    conditions: list[tuple[str, Any]] = [
        ("r.time >= ?", query.since),
        ("r.time < ?", query.until),
        ("r.verdict = ?", query.verdict),
        ("l.label = ?", query.label),
        ("r.score > ?", query.above),
        ("r.score < ?", query.below),
        ("r.number < ?", query.before),
        ("r.source = ?", query.source),
    ]
    if model is not None and re.fullmatch(rf"[0-9a-f]{{{_LEAST_PREFIX},64}}", model):
        conditions.append((f"? IN (r.model, substr(r.model_digest, 1, {len(model)}))", model))
    else:
        conditions.append(("r.model = ?", model))
    if query.image is not None and re.fullmatch(r"[0-9a-f]{64}", query.image):
        conditions.append(("r.image_hash = ?", query.image))
    else:
        conditions.append(("instr(lower(r.image), lower(?)) > 0", query.image))
    chosen = [(condition, value) for condition, value in conditions if value is not None]
    return " AND ".join(["1", *(condition for condition, _ in chosen)]), [value for _, value in chosen]


def _entry(row: Any) -> Entry:
    return Entry(**{**dict(row), "regions": json.loads(row["regions"])})
