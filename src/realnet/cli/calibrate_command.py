"""``realnet calibrate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet import api
from realnet.cli.bar import showing
from realnet.cli.console import console, say
from realnet.cli.options import DeviceOption, GoodOption
from realnet.errors import UserError
from realnet.files import quoted

if TYPE_CHECKING:
    from realnet.run_folder import Run


def calibrate(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run, or of an export.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Good images from the line's own camera that the run was not trained on: files, folders, or a data "
            "set, of which the good images outside train/ are taken."
        ),
    ] = None,
    good: GoodOption = None,
    false_alarms: Annotated[
        str | None, typer.Option(help="Share of good images that may be rejected, such as 0.1% (default: as before).")
    ] = None,
    feedback: Annotated[
        Path | None, typer.Option(help="Results store: the images that people confirmed as good count as well.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Go on with images the run was trained on (the calibration says so), or most of which look defective "
            "to the inspector.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come out, and change nothing.")] = False,
    versions: Annotated[bool, typer.Option("--list", help="List the calibrations that there were.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put the calibration before the present one in force.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Set the thresholds of a run or an export by good images, and say what they promise; nothing is trained.

    Every calibration is kept in the run's calibrations/; servers that run take a new one up by themselves.
    """
    from realnet.run_folder import open_run_or_export

    if versions + undo + bool(images or feedback) != 1:
        raise UserError("Give good images, --feedback with a results store, --list, or --undo.")
    if good and not images:
        raise UserError("--good is about a data set: give it as well.")
    opened = open_run_or_export(run)
    if versions or undo:
        _list(opened) if versions else _undo(run, dry_run)
        return
    before = opened.calibration
    with showing("Calibrating") as watcher:
        made = api.calibrate(
            run, images or (), good=good or (), false_alarms=false_alarms, feedback=feedback, dry_run=dry_run,
            force=force, device=device, progress=watcher,
        )  # fmt: skip
    if before is not None:
        say(f"The threshold was {before.score:.4f}.")
    if dry_run:
        say("Nothing is changed (--dry-run).")
    else:
        say(f"This is calibration {made.version} of {run}.", f"Next: realnet inspect {quoted(run)} IMAGES --output DIR")


def _list(run: "Run") -> None:
    from rich.table import Table

    from realnet.calibrations import list_versions

    now, kept = run.calibration, list_versions(run.folder)
    if now is None:
        raise UserError(f"{run.folder} was never calibrated.")
    table = Table("", "version", "date", "threshold", "promised", "good images", "from", box=None, pad_edge=False)
    for one in kept:
        table.add_row(
            "*" if one.version == now.version else "", str(one.version), one.date[:16].replace("T", " "),
            f"{one.score:.4f}", f"{one.promised:.2%}", str(len(one.good_scores)), one.note or one.source,
        )  # fmt: skip
    console.print(table, highlight=False)


def _undo(run: Path, dry_run: bool) -> None:
    from realnet.calibrations import undo

    if dry_run:
        raise UserError("--undo has no --dry-run: see --list for what would be in force.")
    was, now = undo(run)
    say(
        f"Calibration {now.version} is in force again, threshold {now.score:.4f}; calibration {was.version} "
        f"({was.score:.4f}) is kept in {run}/calibrations."
    )
    if was.taught != now.taught:
        say("What the run was taught in between counts no more; it is kept in taught/.")
