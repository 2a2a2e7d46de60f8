"""``realnet history`` and ``realnet feedback``."""

import csv
import getpass
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.cli.console import console, say
from realnet.cli.history_options import KeepDays, KeepSize, parse_size
from realnet.errors import UserError, plural
from realnet.files import quoted

if TYPE_CHECKING:
    from realnet.history import Entry

StoreArgument = Annotated[Path, typer.Argument(help="Results store, the file that --history named.")]
_SHOWN = 8
# Columns that a narrow terminal has no room for, the first to go first, until so much of an image's name can be read.
_GIVING_WAY = ("threshold", "cal.", "score", "model", "level", "said")
_LEAST_NAME, _GAP = 12, 2


def history(
    store: StoreArgument,
    since: Annotated[
        str | None, typer.Option(help="From then on: 2026-03-01, 2026-03-01T08:30 (UTC), or 24h, 7d for so long ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before then.")] = None,
    verdict: Annotated[str | None, typer.Option(help="good, anomalous, unknown or unreadable.")] = None,
    label: Annotated[str | None, typer.Option(help="What a person said: good or defective.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the inspector, or the beginning of its digest.")] = None,
    above: Annotated[float | None, typer.Option(help="Scores above this.")] = None,
    below: Annotated[float | None, typer.Option(help="Scores below this.")] = None,
    image: Annotated[
        str | None, typer.Option(help="A part of the image's name, its hash, or an image file: results of this image.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where it came from: a camera's name, inspect, serve, ...")] = None,
    review: Annotated[
        bool, typer.Option("--review", help="What to look at next: the closest verdicts, then the most suspicious.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Number of results.", min=1)] = 20,
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    keep_days: KeepDays = None,
    keep_size: KeepSize = None,
) -> None:
    """Search what a line has judged: which model and threshold judged which image, and when; the latest first.

    With --keep-days or --keep-size: remove old results instead.
    """
    from realnet import history as h
    from realnet.history.searching import count, moment
    from realnet.history.store import LABELS

    for given, known in ((verdict, ("good", "anomalous", "unknown", "unreadable")), (label, LABELS)):
        if given is not None and given not in known:
            raise UserError(f"{given!r} is none of {', '.join(known)}.")
    if form not in _WRITERS:
        raise UserError(f"There is no format {form!r}: choose table, csv or json.")
    opened = h.Store(store, make=False)
    if keep_days is not None or keep_size is not None:
        removed = h.remove_old(opened, h.Retention(keep_days, None if keep_size is None else parse_size(keep_size)))
        console.print(f"{removed} results are removed; those that a person gave a verdict on stay.")
        return
    query = h.Query(
        since=None if since is None else moment(since), until=None if until is None else moment(until),
        verdict=verdict, label=label, model=model, above=above, below=below, image=_image(image), limit=limit,
        source=source,
    )  # fmt: skip
    entries = h.review(opened, model, limit) if review else h.search(opened, query)
    _WRITERS[form](entries)
    if form == "table":
        if review:
            say(
                f"{len(entries)} to look at. Say what they are: realnet feedback {quoted(store)} ID --good or "
                "--defective."
            )
        else:
            total = count(opened, query)
            shown = "all shown" if len(entries) == total else f"the latest {len(entries)} shown (--limit)"
            say(f"{plural(total, 'result')}, {shown}." if total else "No result is like that.")


def feedback(
    store: StoreArgument,
    results: Annotated[list[str], typer.Argument(help="Ids of results; their first six digits do.")],
    good: Annotated[bool, typer.Option("--good", help="The images show good products.")] = False,
    defective: Annotated[bool, typer.Option("--defective", help="The images show defects.")] = False,
    who: Annotated[str | None, typer.Option(help="Who says so (default: the user's name).")] = None,
    why: Annotated[str, typer.Option(help="Why, in words.")] = "",
) -> None:
    """Say that images are good or defective, whatever their verdict; `realnet calibrate --feedback` makes use of it."""
    from realnet.history import Store, find, read_confirmed

    if good == defective:
        raise UserError("Say either --good or --defective.")
    opened = Store(store, make=False)
    entries = [find(opened, result) for result in results]  # all are known before anything is written
    for entry in entries:
        opened.add_feedback(entry.id, "good" if good else "defective", who or getpass.getuser(), why)
    for digest in dict.fromkeys(entry.model_digest for entry in entries):
        last = [entry for entry in entries if entry.model_digest == digest][-1]
        confirmed = read_confirmed(opened, digest)
        say(f"{last.model}, threshold {last.threshold:.4f}: {confirmed.sentence(last.threshold)}")


def _image(text: str | None) -> str | None:
    """A file that is there stands for its hash."""
    if text is None or not Path(text).is_file():
        return text
    from realnet.data import read_image
    from realnet.data.images import image_hash

    return image_hash(read_image(text))


def _table(entries: "list[Entry]") -> None:
    from rich.cells import cell_len
    from rich.table import Table

    cells = {
        "id": [e.id[:_SHOWN] for e in entries],
        "time (UTC)": [e.time[:19].replace("T", " ") for e in entries],
        "image": [_plain(e.image) for e in entries],
        "verdict": [e.verdict for e in entries],
        "level": ["" if e.level is None else f"{e.level:.2f}" for e in entries],
        "score": ["" if e.score is None else f"{e.score:.4f}" for e in entries],
        "threshold": [f"{e.threshold:.4f}" for e in entries],
        "model": [f"{_plain(e.model)} {e.model_digest[:6]}" for e in entries],
        "cal.": ["" if e.calibration is None else str(e.calibration) for e in entries],
        "said": ["" if e.label is None else _plain(f"{e.label} ({e.who})") for e in entries],
    }
    widths = {name: max(map(cell_len, [name, *column])) for name, column in cells.items()}
    too_wide = sum(widths.values()) + _GAP * len(widths) - console.width
    left_out: list[str] = []
    while too_wide > max(0, widths["image"] - _LEAST_NAME) and len(left_out) < len(_GIVING_WAY):
        left_out.append(_GIVING_WAY[len(left_out)])
        too_wide -= widths.pop(left_out[-1]) + _GAP
    widths["image"] -= max(0, too_wide)
    room = widths["image"] - 1  # the end of a path tells images apart
    cells["image"] = [name if cell_len(name) <= room + 1 else f"…{name[-room:]}" for name in cells["image"]]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for name, width in widths.items():
        table.add_column(name, no_wrap=True, width=width)
    for row in zip(*(cells[name] for name in widths), strict=True):
        table.add_row(*row)
    console.print(table, highlight=False)
    if left_out:
        say(f"No room here for {', '.join(left_out)}: a wider terminal or --format csv shows them.")


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _csv(entries: "list[Entry]") -> None:
    from realnet.history import Entry

    writer = csv.DictWriter(sys.stdout, [field.name for field in fields(Entry)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**asdict(entry), "regions": len(entry.regions)} for entry in entries)


def _json(entries: "list[Entry]") -> None:
    print(json.dumps([asdict(entry) for entry in entries], indent=1))


_WRITERS = {"table": _table, "csv": _csv, "json": _json}
