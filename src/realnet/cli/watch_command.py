"""``realnet watch``: several cameras at once."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.cli import history_options
from realnet.cli.bars import counting
from realnet.cli.console import console, say, warn
from realnet.cli.inspect_command import QUEUE_FILE
from realnet.cli.options import DeviceOption, OverwriteOption, ResumeOption
from realnet.cli.signal_options import HeartbeatOption, SignalsOption, SinkOption, announced, signals_to
from realnet.errors import UserError, plural
from realnet.progress import interruptible

if TYPE_CHECKING:
    from realnet.history import Retention, Store
    from realnet.inspection.journal import Earlier
    from realnet.inspection.line import CameraSettings, Station
    from realnet.inspection.rows import Row
    from realnet.inspection.sources import Sources
    from realnet.signals import Signals

_log = logging.getLogger("realnet.watch")


def watch(
    cameras: Annotated[Path, typer.Argument(help="YAML file that names cameras, each with its source and its run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results: a folder in it for each camera.")],
    limit: Annotated[int | None, typer.Option(help="Stop after so many images of each camera.", min=1)] = None,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    overlays: Annotated[
        bool, typer.Option("--overlays/--no-overlays", help="Write overlays/NAME.png: image, heat map, outlines.")
    ] = True,
    device: DeviceOption = "auto",
    sink: SinkOption = None,
    signals: SignalsOption = "all",
    heartbeat: HeartbeatOption = None,
    history: history_options.HistoryOption = None,
    keep_images: history_options.KeepOption = None,
    keep_days: history_options.KeepDays = None,
    keep_size: history_options.KeepSize = None,
    log_level: history_options.LogLevel = "warning",
    log_json: history_options.LogJson = False,
) -> None:
    """Inspect the images of several cameras or folders at once, each by its own run, until Ctrl-C.

    Signals, heartbeat, results store and logs name the camera.
    """
    history_options.set_up_logs(log_level, log_json)
    from realnet.inspection.journal import what_of_earlier
    from realnet.inspection.line import inspect_line, read_line

    named = read_line(cameras)
    earlier = what_of_earlier(resume, overwrite)
    stations = _stations(named, output, device, limit, earlier, overlays)
    opened = history_options.open_store(history, keep_images, keep_days, keep_size)
    stop, done = threading.Event(), 0
    with (
        signals_to(sink, output / QUEUE_FILE, signals, heartbeat, warn) as told_of,
        counting(f"Inspecting {plural(len(stations), 'camera')}", None) as shown,
        interruptible(stop),
    ):
        alive: dict[str, str | None] = dict.fromkeys(named)
        if told_of is not None:
            told_of.life["cameras"] = alive

        def told(name: str, row: "Row") -> None:
            from realnet.logs import verdict_facts

            nonlocal done
            done += 1
            alive[name] = row.time
            _log.info("verdict", extra={"facts": {**verdict_facts(row, named[name].run.name), "camera": name}})
            shown.update(shown.task_ids[0], completed=done)
            if row.error:
                warn(f"{name}: {row.error}")

        summaries = inspect_line(_connected(stations, named, told_of, opened, resume), stop, told)
    for name, summary in summaries.items():
        for note in summary.notes:
            warn(f"{name}: {note}")
        say(f"{name}: {summary.sentence()} Results: {output / name}")


def _stations(
    named: "Mapping[str, CameraSettings]", output: Path, device: str, limit: int | None, earlier: "Earlier",
    overlays: bool,
) -> "list[Station]":  # fmt: skip
    """A station a camera; a run that several name is loaded once."""
    from realnet.inspection.line import Station
    from realnet.inspection.loading import judging_device, load
    from realnet.inspection.result_folder import InspectionRequest
    from realnet.run_folder import open_run_or_export

    exports = [open_run_or_export(settings.run).is_export for settings in named.values()]
    places = {name: _sources(name, settings, output / name) for name, settings in named.items()}
    chosen = judging_device(device, all(exports), say)
    with console.status("Loading"):
        judges = {run: load(run, chosen) for run in {settings.run.resolve() for settings in named.values()}}
    stations = []
    for name, settings in named.items():
        request = InspectionRequest(overlays, earlier=earlier, limit=limit)
        stations.append(Station(name, judges[settings.run.resolve()], places[name], output / name, request))
    return stations


def _sources(name: str, settings: "CameraSettings", output: Path) -> "Sources":
    from realnet.inspection.sources import open_sources

    def say(sentence: str) -> None:
        warn(f"{name}: {sentence}")

    try:
        return open_sources([settings.source], output, Path(settings.source).is_dir(), settings.every, say)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _connected(
    stations: "list[Station]",
    named: "Mapping[str, CameraSettings]",
    signals: "Signals | None",
    opened: "tuple[Store, Retention] | None",
    resume: bool,
) -> "list[Station]":
    """The stations, with what becomes of their rows: signals that name the camera, and the results store."""
    from realnet.history.recording import Recording

    series = None if signals is None else signals.outbox.series(again=resume)
    connected = []
    for station in stations:
        request, model = station.request, named[station.name].run.resolve().name
        if opened is not None:
            request = replace(request, recorder=Recording(opened[0], model, station.name, opened[1]))
        if signals is not None:
            request = announced(request, signals, f"{series}/{station.name}", model=model, camera=station.name)
        connected.append(replace(station, request=request))
    return connected
