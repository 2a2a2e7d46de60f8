"""``realnet doctor``."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.console import console
from realnet.cli.options import DeviceOption

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("WRONG", "red")}


def doctor(
    run: Annotated[
        Path | None, typer.Argument(help="Folder of a run or export to load and time (default: random weights).")
    ] = None,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Look at versions, extras, devices, weights, disk, and time an inference; status 1 where something is wrong."""
    from rich.text import Text

    from realnet.doctor import examine

    found = []
    for finding in examine(run, device):
        found.append(finding)
        if not as_json:
            mark, colour = _MARKS[finding.state]
            line = Text.assemble((f"{mark:<6}", colour), f"{finding.topic:<10} {finding.text}")
            console.print(line, soft_wrap=True, highlight=False)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    if any(finding.state == "wrong" for finding in found):
        raise typer.Exit(1)
