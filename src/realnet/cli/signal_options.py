"""Options of commands that send signals, and their meaning."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from realnet.choices import seconds
from realnet.errors import UserError
from realnet.progress import Notify

if TYPE_CHECKING:
    from realnet.inspection.items import Item
    from realnet.inspection.result_folder import InspectionRequest
    from realnet.inspection.rows import Row
    from realnet.signals import Signals

SinkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sink",
        help="Who is told of each verdict: https://HOST/PATH (webhook), mqtt://HOST/TOPIC, modbus://HOST/COIL or "
        "'command:PROGRAM'; repeatable.",
    ),
]
SignalsOption = Annotated[
    str, typer.Option(help="Of which images receivers are told: all, or anomalous (and unreadable) ones.")
]
HeartbeatOption = Annotated[str | None, typer.Option(help="Time between signs of life to the receivers, such as 30s.")]


@contextlib.contextmanager
def signals_to(
    addresses: Sequence[str] | None, queue: Path, which: str, heartbeat: str | None, say: Notify
) -> "Iterator[Signals | None]":
    """The receivers that the options name, while the block runs; None where they name none.

    Signals wait in the file ``queue``; ``say`` is told when a receiver is away or back. UserError for an address or
    word that is not understood, and for options that go with a receiver without one.
    """
    if which not in ("all", "anomalous"):
        raise UserError(f"--signals is all or anomalous, not {which!r}.")
    if not addresses:
        if heartbeat is not None or which != "all":
            raise UserError("--signals and --heartbeat are for receivers: name one with --sink.")
        yield None
        return
    from realnet.signals import open_sink
    from realnet.signals.delivery import Which, open_signals

    sinks = [open_sink(address, os.environ) for address in dict.fromkeys(addresses)]
    with open_signals(sinks, queue, cast(Which, which), seconds(heartbeat), say) as signals:
        yield signals


def announced(request: "InspectionRequest", signals: "Signals", series: str, **more: str) -> "InspectionRequest":
    """``request``, with rows that are named alike whenever they are judged, each told once in a ``series``."""
    from realnet.signals.messages import identity_of, message_of

    def identify(item: "Item") -> str:
        return identity_of(series, item.image, item.version)

    def announce(item: "Item", row: "Row") -> None:
        signals.announce(message_of(row.as_dict(), **more))

    return replace(request, identify=identify, announce=announce)
