"""``realnet inspect``."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress
from rich.table import Column, Table

from realnet.choices import numbered
from realnet.cli import history_options, options
from realnet.cli.bar import showing
from realnet.cli.bars import counting
from realnet.cli.completion import complete_table
from realnet.cli.console import complain, console, harmless, say, warn
from realnet.cli.signal_options import HeartbeatOption, SignalsOption, SinkOption, announced, signals_to
from realnet.errors import UserError, plural
from realnet.progress import interruptible

if TYPE_CHECKING:
    from realnet.calibration import Calibration
    from realnet.inspection.judging import Judge
    from realnet.inspection.result_folder import InspectionRequest
    from realnet.inspection.rows import Row
    from realnet.inspection.sources import Sources
    from realnet.inspection.summary_page import Summary
    from realnet.signals import Signals

_DRIFT_EVERY = 100
_log = logging.getLogger("realnet.inspect")
# Exit status of --fail-on-anomaly: neither a mistake (2) nor a crash (1).
_ANOMALOUS = 3
# Images that are listed in the terminal.
_WORST = 10
QUEUE_FILE = "signals.sqlite"


Images = Annotated[
    list[str],
    typer.Argument(
        help="Images, folders of them, quoted patterns ('photos/**/*.png'), - (paths from standard input, one a line), "
        "camera:N, camera:URL or camera:VIDEO_FILE."
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", help="Folder for overlays and results (default: a new one, results/ and the run's name)."
    ),
]
ThresholdOption = Annotated[
    float | None, typer.Option(help="Image score above which an image is anomalous (default: the run's).")
]
MinimumArea = Annotated[
    int, typer.Option("--minimum-area", help="Pixels of the smallest defect that counts; 0: any.", min=0)
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Go on with images that appear in the folders, until Ctrl-C.")
]
EveryOption = Annotated[
    float | None,
    typer.Option(help="Seconds between pictures of a camera or video; 0: every picture (default: 1).", min=0),
]
FormatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        help="Of the tables: csv, json or parquet; repeatable (default: csv and json). results.jsonl, with a line an "
        "image as soon as it is judged, is always there.",
        autocompletion=complete_table,
    ),
]
OverlaysOption = Annotated[
    bool | None,
    typer.Option(
        "--overlays/--no-overlays", help="Write overlays/NAME.png: image, heat map, outlines (not with --ray)."
    ),
]


def inspect(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run, or of an export.")],
    images: Images,
    output: OutputOption = None,
    threshold: ThresholdOption = None,
    minimum_area: MinimumArea = 0,
    device: options.DeviceOption = "auto",
    watch: WatchOption = False,
    every: EveryOption = None,
    limit: Annotated[int | None, typer.Option(help="Stop after so many images.", min=1)] = None,
    resume: options.ResumeOption = False,
    overwrite: options.OverwriteOption = False,
    formats: FormatOption = None,
    overlays: OverlaysOption = None,
    masks: Annotated[bool, typer.Option("--masks", help="Write masks/NAME.png: what is outlined, 0 or 255.")] = False,
    sink: SinkOption = None,
    signals: SignalsOption = "all",
    heartbeat: HeartbeatOption = None,
    fail_on_anomaly: Annotated[
        bool, typer.Option("--fail-on-anomaly", help="Exit with status 3 where an image is anomalous or unknown.")
    ] = False,
    ray: options.RayOption = None,
    ray_cpus: options.RayCpus = None,
    ray_gpus: options.RayGpus = None,
    history: history_options.HistoryOption = None,
    keep_images: history_options.KeepOption = None,
    keep_days: history_options.KeepDays = None,
    keep_size: history_options.KeepSize = None,
    log_level: history_options.LogLevel = "warning",
    log_json: history_options.LogJson = False,
) -> None:
    """Judge images: a score, a verdict and an overlay for each, in results.csv and results.json.

    With --ray: images by paths or URLs such as s3://bucket/photos, rows in OUTPUT/parts/*.parquet.
    """
    from realnet.calibration import describe_drift
    from realnet.inspection.journal import what_of_earlier
    from realnet.inspection.judging import check_threshold

    earlier = what_of_earlier(resume, overwrite)
    if threshold is not None:
        check_threshold(threshold)
    interrupted = False
    if ray is not None:
        place = _place_of_all(output)
        _refuse_on_cluster(
            {"--overwrite": overwrite, "--watch": watch, "--every": every is not None, "--limit": limit is not None,
             "--masks": masks, "--format": formats is not None, "--overlays": overlays is True,
             "--device": device != "auto", "--history": history is not None, "--sink": bool(sink),
             "--heartbeat": heartbeat is not None}
        )  # fmt: skip
        from realnet.cluster.remote_inspecting import inspect_on

        with options.ray_cluster(ray, ray_cpus, ray_gpus) as cluster, showing("Inspecting") as watcher:
            assert cluster is not None
            summary = inspect_on(cluster, run, images, place, threshold, minimum_area, resume, watcher)
        place = f"{place}/parts"
    else:
        name = run.resolve().name
        place = output or str(numbered(Path("results"), name, resume or overwrite))
        for one in (place, *images):
            if "://" in one and not one.startswith("camera:"):
                raise UserError(f"{one} is in another storage: name it with --ray (also --ray local).")
        options.refuse_shares(ray_cpus, ray_gpus)
        history_options.set_up_logs(log_level, log_json)
        from realnet.inspection.sources import open_sources
        from realnet.inspection.tables import check_formats

        sources = open_sources(images, Path(place), watch, every, warn)
        forms = tuple(dict.fromkeys(formats or ["csv", "json"]))
        check_formats(forms)

        from realnet.history.recording import Recording
        from realnet.inspection.loading import load
        from realnet.inspection.result_folder import InspectionRequest

        judge = load(run, device, say=say).judge_by(threshold, minimum_area)
        store = history_options.open_store(history, keep_images, keep_days, keep_size)
        recorder = None if store is None else Recording(store[0], name, "inspect", store[1])
        request = InspectionRequest(overlays is not False, masks, forms, earlier, limit, recorder=recorder)
        receivers = signals_to(sink, Path(place, QUEUE_FILE), signals, heartbeat, warn)
        summary, interrupted = _inspect_here(judge, sources, Path(place), request, receivers, name)
    for note in summary.notes:
        warn(note)
    if worst := [row for row in summary.worst() if row.verdict == "anomalous"][:_WORST]:
        # Folded: where a narrow terminal cuts a long path off, its name is lost.
        image = Column("image", overflow="fold")
        table = Table("score", "outlined", image, title=f"The worst {plural(len(worst), 'image')}")
        for row in worst:
            table.add_row(f"{row.score:.4f}", f"{row.anomalous_area:.2%}", harmless(row.image))
        console.print(table)
    say(f"{summary.sentence()} Results: {place}")
    for sentence in describe_drift(summary.calibration, summary.scores):
        warn(sentence)
    if summary.unreadable and not interrupted:
        raise UserError(f"{summary.unreadable} of {summary.images} images could not be read; the others are judged.")
    if fail_on_anomaly and (summary.anomalous or summary.unknown):
        raise typer.Exit(_ANOMALOUS)


def _inspect_here(
    judge: "Judge", sources: "Sources", output: Path, request: "InspectionRequest",
    receivers: "AbstractContextManager[Signals | None]", model: str,
) -> "tuple[Summary, bool]":  # fmt: skip
    """Judge images on this machine; what was found, and whether Ctrl-C ended what has no end of its own."""
    from realnet.inspection.result_folder import inspect_items

    stop = threading.Event()
    counts = [count for count in (sources.count(), request.limit) if count is not None]
    ended = interruptible(stop) if sources.endless else contextlib.nullcontext(threading.Event())
    with receivers as signals, counting("Inspecting", min(counts, default=None)) as shown, ended as pressed:
        if signals is not None:
            series = signals.outbox.series(again=request.earlier == "resume")
            request = announced(request, signals, series, model=model)
        told = _RowPrinter(shown, model, _DriftWarning(judge.calibration) if sources.endless else None)
        summary = inspect_items(judge, sources.items, output, request, told, stop)
        return summary, pressed.is_set()


def _refuse_on_cluster(given: dict[str, bool]) -> None:
    for option in (option for option, is_given in given.items() if is_given):
        raise UserError(f"{option} is not for a cluster: --ray writes Parquet files, on devices as --ray-gpus says.")


def _place_of_all(output: str | None) -> str:
    """The folder of the results where all machines reach it, and every package that they are written with is there."""
    from realnet.cluster.urls import is_url
    from realnet.inspection.tables import check_formats

    if output is None:
        raise UserError("With --ray name the folder of the results with --output: all machines have to reach it.")
    check_formats(["parquet"])
    return output if is_url(output) else str(Path(output).resolve())


class _RowPrinter:
    """Counts each row and, where there is no verdict, why; and looks for drift where there is no end."""

    def __init__(self, shown: Progress, model: str, drift: "_DriftWarning | None") -> None:
        self._shown, self._model, self._drift = shown, model, drift
        self._done = 0
        self._scores: deque[float] = deque(maxlen=1000)

    def __call__(self, row: "Row") -> None:
        from realnet.logs import verdict_facts

        self._done += 1
        _log.info("verdict", extra={"facts": verdict_facts(row, self._model)})
        self._shown.update(self._shown.task_ids[0], completed=self._done)
        if row.error:
            complain(row.error)
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
        from realnet.calibration import describe_drift

        found = describe_drift(self._calibration, scores)
        if found and not self._drifted:
            warn(found[0])
        self._drifted = bool(found)
