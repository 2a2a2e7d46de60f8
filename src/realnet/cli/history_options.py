"""Options about results stores and logs that several commands take, and their meaning as objects."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from realnet.errors import UserError

if TYPE_CHECKING:
    from realnet.history import Retention, Store
    from realnet.history.pictures import Keep

HistoryOption = Annotated[
    Path | None, typer.Option(help="Results store of the line, such as realnet.sqlite; made where there is none.")
]
KeepOption = Annotated[
    str | None,
    typer.Option(
        "--keep-images",
        help="What the results store keeps of images: nothing, thumbnails or originals (default: thumbnails).",
    ),
]
KeepDays = Annotated[
    float | None, typer.Option(help="Results older than that leave the store, but for those with feedback.", min=0)
]
KeepSize = Annotated[
    str | None, typer.Option(help="Likewise the oldest while the store is larger, such as 500MB or 20GB.")
]
LogLevel = Annotated[
    str, typer.Option(help="debug, info (requests and verdicts), warning or error; to standard error.")
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Log lines as JSON objects.")]
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def set_up_logs(level: str, as_json: bool) -> None:
    """As :func:`realnet.logs.set_up_logs`; UserError for another level."""
    from realnet import logs

    if level not in logs.LEVELS:
        raise UserError(f"There is no --log-level {level}: take {', '.join(logs.LEVELS[:-1])} or {logs.LEVELS[-1]}.")
    logs.set_up_logs(level, as_json)


def open_store(
    path: Path | None, keep: str | None, days: float | None, size: str | None
) -> "tuple[Store, Retention] | None":
    """The results store of the options and how long it keeps what; None without ``--history``; UserError for others."""
    from realnet.history import Retention, open_history

    if path is None:
        for option, value in (("--keep-images", keep), ("--keep-days", days), ("--keep-size", size)):
            if value is not None:
                raise UserError(f"{option} is about a results store: name one with --history.")
        return None
    retention = Retention(days, None if size is None else parse_size(size))
    return open_history(path, cast("Keep", keep or "thumbnails")), retention


def parse_size(text: str) -> int:
    """Bytes, as people write them: ``500MB``, ``20 GB``; UserError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]B)", text.strip().upper())
    if not found:
        raise UserError(f"{text!r} is no size: write 500MB or 20GB.")
    return int(float(found[1]) * _UNITS[found[2]])
