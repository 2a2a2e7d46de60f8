"""``realnet inspect``."""

import contextlib
import logging
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from realnet.cli.bars import counting
from realnet.cli.completion import complete_table
from realnet.cli.console import console, errors, plural, say, warn
from realnet.cli.history_options import (
    HistoryOption,
    KeepDays,
    KeepOption,
    KeepSize,
    LogJson,
    LogLevel,
    open_store,
    set_up_logs,
)
from realnet.cli.options import (
    DeviceOption,
    OverwriteOption,
    RayCpus,
    RayGpus,
    RayOption,
    ResumeOption,
    numbered,
    ray_cluster,
    refuse_shares,
)
from realnet.cli.signal_options import HeartbeatOption, SignalsOption, SinkOption, announcing, signals_to
from realnet.cli.status import status_line
from realnet.errors import UserError

if TYPE_CHECKING:
    from realnet.calibration import Calibration
    from realnet.inspection.result_folder import Summary
    from realnet.inspection.rows import Row
    from realnet.run_folder import Run

_DRIFT_EVERY = 100
_log = logging.getLogger("realnet.inspect")
# Exit status of --fail-on-anomaly: neither a mistake (2) nor a crash (1).
_ANOMALOUS = 3
# Images that are listed in the terminal.
_WORST = 10
QUEUE_FILE = "signals.sqlite"


def inspect(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run, or of an export.")],
    images: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders of them, quoted patterns ('photos/**/*.png'), - (paths from standard input, one a "
            "line), camera:N, camera:URL or camera:VIDEO_FILE."
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="Folder for overlays and results (default: a new one, results/ and the run's name)."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Image score above which an image is anomalous (default: the run's).")
    ] = None,
    minimum_area: Annotated[
        int, typer.Option("--minimum-area", help="Pixels of the smallest defect that counts; 0: any.", min=0)
    ] = 0,
    device: DeviceOption = "auto",
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on with images that appear in the folders, until Ctrl-C.")
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(help="Seconds between pictures of a camera or video; 0: every picture (default: 1).", min=0),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Stop after so many images.", min=1)] = None,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="Of the tables: csv, json or parquet; repeatable (default: csv and json). results.jsonl, with a line "
            "an image as soon as it is judged, is always there.",
            autocompletion=complete_table,
        ),
    ] = None,
    overlays: Annotated[
        bool | None,
        typer.Option(
            "--overlays/--no-overlays", help="Write overlays/NAME.png: image, heat map, outlines (not with --ray)."
        ),
    ] = None,
    masks: Annotated[bool, typer.Option("--masks", help="Write masks/NAME.png: what is outlined, 0 or 255.")] = False,
    sink: SinkOption = None,
    signals: SignalsOption = "all",
    heartbeat: HeartbeatOption = None,
    fail_on_anomaly: Annotated[
        bool, typer.Option("--fail-on-anomaly", help="Exit with status 3 where an image is anomalous or unknown.")
    ] = False,
    ray: RayOption = None,
    ray_cpus: RayCpus = None,
    ray_gpus: RayGpus = None,
    history: HistoryOption = None,
    keep_images: KeepOption = None,
    keep_days: KeepDays = None,
    keep_size: KeepSize = None,
    log_level: LogLevel = "warning",
    log_json: LogJson = False,
) -> None:
    """Judge images: a score, a verdict and an overlay for each, in results.csv and results.json.

    With --ray: images by paths or URLs such as s3://bucket/photos, rows in OUTPUT/parts/*.parquet.
    """
    from realnet.inspection.journal import what_of_earlier
    from realnet.inspection.judging import check_threshold
    from realnet.run_folder import open_run_or_export

    earlier = what_of_earlier(resume, overwrite)
    opened = open_run_or_export(run)
    if threshold is not None:
        check_threshold(threshold)
    if ray is not None:
        if output is None:
            raise UserError("With --ray name the folder of the results with --output: all machines have to reach it.")
        _refuse_on_cluster(
            {"--overwrite": overwrite, "--watch": watch, "--every": every is not None, "--limit": limit is not None,
             "--masks": masks, "--format": formats is not None, "--overlays": overlays is True,
             "--device": device != "auto", "--history": history is not None, "--sink": bool(sink),
             "--heartbeat": heartbeat is not None}
        )  # fmt: skip
        summary = _on_cluster(opened, images, output, threshold, minimum_area, resume, (ray, ray_cpus, ray_gpus))
        _fail(summary, fail_on_anomaly)
        return
    if output is None:
        output = str(numbered(Path("results"), run.resolve().name, resume or overwrite))
    for place in (output, *images):
        if "://" in place and not place.startswith("camera:"):
            raise UserError(f"{place} is in another storage: name it with --ray (also --ray local).")
    refuse_shares(ray_cpus, ray_gpus)
    folder = Path(output)
    set_up_logs(log_level, log_json)
    from realnet.inspection.sources import open_sources
    from realnet.inspection.tables import check_formats

    sources = open_sources(images, folder, watch, every, warn)
    forms = tuple(dict.fromkeys(formats or ["csv", "json"]))
    check_formats(forms)

    from realnet.history.recording import Recording
    from realnet.inspection.loading import load_on
    from realnet.inspection.result_folder import InspectionRequest, inspect_items

    inspector = load_on(opened, device, say)
    if threshold is not None:
        inspector.threshold = threshold
    inspector.minimum_area = minimum_area
    name = run.resolve().name
    store = open_store(history, keep_images, keep_days, keep_size)
    recorder = None if store is None else Recording(store[0], name, "inspect", store[1])
    drift = _DriftWarning(opened.calibration)
    stop = threading.Event()
    with (
        signals_to(sink, folder / QUEUE_FILE, signals, heartbeat, warn) as told_of,
        counting("Inspecting", _total(sources.count(), limit)) as shown,
        finishing(stop, sources.endless) as interrupted,
    ):
        request = InspectionRequest(
            inspector.origin.model_digest, overlays is not False, masks, forms, earlier, limit, recorder=recorder
        )
        if told_of is not None:
            identify, announce = announcing(told_of, told_of.outbox.series(again=resume), model=name)
            request = replace(request, identify=identify, announce=announce)
        rows = _RowPrinter(shown, drift if sources.endless else None, name)
        summary = inspect_items(inspector, sources.items, folder, request, rows, stop)
    _conclude(summary, inspector.threshold, folder, resume)
    drift.check(summary.scores)
    if not interrupted.is_set():
        _refuse_unreadable(summary)
    _fail(summary, fail_on_anomaly)


def _total(there: int | None, limit: int | None) -> int | None:
    """How many images will be judged, where that is known."""
    return limit if there is None else there if limit is None else min(there, limit)


def _fail(summary: "Summary", asked: bool) -> None:
    """Exit with a status of its own where an image is rejected and that was asked for."""
    if asked and (summary.anomalous or summary.unknown):
        raise typer.Exit(_ANOMALOUS)


def _refuse_on_cluster(given: dict[str, bool]) -> None:
    for option in (option for option, is_given in given.items() if is_given):
        raise UserError(f"{option} is not for a cluster: --ray writes Parquet files, on devices as --ray-gpus says.")


def _on_cluster(
    opened: "Run", images: list[str], output: str, threshold: float | None, minimum_area: int, resume: bool,
    cluster_options: tuple[str, float | None, float | None],
) -> "Summary":  # fmt: skip
    from realnet.inspection.tables import check_formats

    check_formats(["parquet"])

    from realnet.cluster.remote_inspecting import inspect_run_on
    from realnet.cluster.urls import is_url

    place = output if is_url(output) else str(Path(output).resolve())
    with ray_cluster(*cluster_options) as cluster, status_line("Inspecting") as watcher:
        assert cluster is not None
        summary, limit = inspect_run_on(cluster, opened, images, place, threshold, minimum_area, resume, watcher)
    _conclude(summary, limit, f"{place}/parts", resume)
    _DriftWarning(opened.calibration).check(summary.scores)
    _refuse_unreadable(summary)
    return summary


def _refuse_unreadable(summary: "Summary") -> None:
    if summary.unreadable:
        raise UserError(f"{summary.unreadable} of {summary.images} images could not be read; the others are judged.")


class _RowPrinter:
    """Counts each row and, where there is no verdict, why; and looks for drift where there is no end."""

    def __init__(self, shown: Progress, drift: "_DriftWarning | None", model: str) -> None:
        self._shown, self._drift, self._model = shown, drift, model
        self._done = 0
        self._scores: deque[float] = deque(maxlen=1000)

    def __call__(self, row: "Row") -> None:
        from realnet.logs import verdict_facts

        self._done += 1
        _log.info("verdict", extra={"facts": verdict_facts(row, self._model)})
        self._shown.update(self._shown.task_ids[0], completed=self._done)
        if row.error:
            errors.print(row.error, style="red", markup=False, highlight=False, soft_wrap=True)
        if row.score is not None:
            self._scores.append(row.score)
        if self._drift is not None and self._done % _DRIFT_EVERY == 0:
            self._drift.check(self._scores)


class _DriftWarning:
    """Says when scores begin to differ from those of the good images that the threshold rests on."""

    def __init__(self, calibration: "Calibration | None") -> None:
        self._calibration, self._drifted = calibration, False

    def check(self, scores: Sequence[float]) -> None:
        """Compare the last ``scores``; a drift that goes on is not said again."""
        from realnet.calibration import drift

        if self._calibration is None or not scores:
            return
        found = drift(self._calibration.good_scores, list(scores))
        if found.warns and not self._drifted:
            warn(found.sentence())
        self._drifted = found.warns


@contextlib.contextmanager
def finishing(stop: threading.Event, endless: bool) -> Iterator[threading.Event]:
    """Where images have no end, the first Ctrl-C sets ``stop``, a second one interrupts; yields whether there was one.

    Elsewhere Ctrl-C interrupts as ever.
    """
    pressed = threading.Event()

    def note(number: int, frame: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        stop.set()

    if not endless:
        yield pressed
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _conclude(summary: "Summary", threshold: float, output: str | Path, resumed: bool) -> None:
    """One sentence with counts, after what of the images is to be said."""
    for note in summary.notes:
        warn(note)
    if summary.too_small:
        warn(
            f"{summary.too_small} of the good images score above the threshold, but show no region of --minimum-area: "
            "the column note says which."
        )
    judged = summary.images - summary.unreadable
    _show_worst(summary)
    unreadable = f", {summary.unreadable} unreadable" if summary.unreadable else ""
    unknown = f", {summary.unknown} not of a product this inspector knows" if summary.unknown else ""
    earlier = f", {summary.earlier} of them before" if resumed else ""
    say(
        f"{plural(judged, 'image')} judged{earlier}, {summary.anomalous} anomalous (score above "
        f"{threshold:.4f}){unknown}{unreadable}. Results: {output}"
    )


def _show_worst(summary: "Summary") -> None:
    """The anomalous images of the highest scores, the highest first."""
    anomalous = [row for row in summary.worst() if row.verdict == "anomalous"]
    if not anomalous:
        return
    table = Table("score", "outlined", "image", title=f"The worst {plural(min(len(anomalous), _WORST), 'image')}")
    for row in anomalous[:_WORST]:
        table.add_row(f"{row.score:.4f}", f"{row.anomalous_area:.2%}", row.image)
    console.print(table)
