"""``realnet calibrate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.cli.console import console
from realnet.cli.options import DeviceOption, GoodOption, check_run, judging_device
from realnet.errors import UserError

if TYPE_CHECKING:
    from realnet.calibration import Calibration
    from realnet.history import Confirmed
    from realnet.inspection.calibrating import Judged


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
        str | None,
        typer.Option(
            "--false-alarms", help="Share of good images that may be rejected, such as 0.1% (default: as before)."
        ),
    ] = None,
    feedback: Annotated[
        Path | None,
        typer.Option("--feedback", help="Results store: the images that people confirmed as good count as well."),
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
    from realnet.calibration import rate, read_calibration
    from realnet.calibrations import install
    from realnet.inspection.calibrating import usual_rate
    from realnet.inspection.manifest import is_export

    if versions + undo + bool(images or feedback) != 1:
        raise UserError("Give good images, --feedback with a results store, --list, or --undo.")
    if good and not images:
        raise UserError("--good is about a data set: give it as well.")
    if not is_export(run):
        check_run(run)
    if versions or undo:
        _list(run) if versions else _undo(run, dry_run)
        return
    asked = None if false_alarms is None else rate(false_alarms)
    before = read_calibration(run)
    asked = asked or usual_rate(run, before)
    confirmed = None if feedback is None else _confirmed(run, feedback)
    further = len(confirmed.good) if confirmed else 0
    judged = _judge(run, _files(run, images, good or []), asked, further, device) if images else _before(run, before)

    from realnet.inspection.calibrating import calibrate_by, check_enough, check_product, check_unseen

    if images and not force:
        check_unseen(run, judged)
        if before is not None:
            check_product(judged.scores, before)
    if confirmed is not None:
        judged = judged.with_confirmed(confirmed.good, confirmed.defects)
    check_enough(len(judged.scores), asked)
    made = calibrate_by(judged, asked, before)
    if not dry_run:
        made = install(run, made)
    _say(*made.sentences())
    if confirmed is not None:
        _say(confirmed.sentence(made.score))
    if before is not None:
        _say(f"The threshold was {before.score:.4f}.")
    if dry_run:
        _say("Nothing is changed (--dry-run).")
    else:
        _say(f"This is calibration {made.version} of {run}.", f"Next: realnet inspect {run} IMAGES --output DIR")


def _before(run: Path, before: "Calibration | None") -> "Judged":
    from realnet.inspection.calibrating import judged_before

    if before is None:
        raise UserError(f"{run} has no calibration that feedback could be added to: give good images as well.")
    return judged_before(before)


def _files(run: Path, images: list[Path], good: list[str]) -> list[Path]:
    """The good images among ``images``; what is taken and what is not is said."""
    from realnet.data import open_good
    from realnet.data.summary import describe_not_used

    chosen = open_good(images, good)
    files = [sample.image for sample in chosen.train]
    _say(f"Calibrating on {len(files)} good images.", *describe_not_used(chosen.left_out))
    if len(files) < 2:
        raise UserError(f"One good image is no calibration; give {run} at least twenty.")
    return files


def _judge(run: Path, files: list[Path], asked: float, further: int, device: str) -> "Judged":
    """The good images that the threshold is to rest on.

    Args:
        further: how many confirmed ones there may be besides.
    """
    from realnet.inspection.calibrating import check_enough, judge_good
    from realnet.inspection.loading import load
    from realnet.inspection.manifest import is_export
    from realnet.seen import read_trained

    check_enough(len(files) + further, asked)  # before minutes are spent on judging
    inspector = load(run, judging_device(device, is_export(run)))
    with console.status("Judging") as status:

        def told(done: int) -> None:
            status.update(f"Judging good image {done} of {len(files)}")

        return judge_good(inspector, files, read_trained(run), told)


def _confirmed(run: Path, feedback: Path) -> "Confirmed":
    """What people confirmed of the images that this very model judged, but for those it was trained on."""
    from realnet.history import Confirmed, Store, read_confirmed
    from realnet.inspection.journal import model_digest
    from realnet.seen import read_trained

    found = read_confirmed(Store(feedback, make=False), model_digest(run))
    trained = read_trained(run)
    new = tuple(image for image in found.good if image[1] not in trained)
    if len(new) < len(found.good):
        _say(f"{len(found.good) - len(new)} confirmed good images are left out: the run was trained on them.")
    if not new and not found.defects:
        raise UserError(f"Nobody has confirmed an image yet that this model judged: {feedback} holds none of them.")
    return Confirmed(new, found.defects)


def _list(run: Path) -> None:
    from rich.table import Table

    from realnet.calibration import read_calibration
    from realnet.calibrations import list_versions

    now, kept = read_calibration(run), list_versions(run)
    if now is None:
        raise UserError(f"{run} was never calibrated.")
    table = Table("", "version", "date", "threshold", "promised", "good images", "from", box=None, pad_edge=False)
    for one in kept:
        table.add_row(
            "*" if one.version == now.version else "", str(one.version), one.date, f"{one.score:.4f}",
            f"{one.promised:.2%}", str(len(one.good_scores)), one.note or one.source,
        )  # fmt: skip
    console.print(table, highlight=False)


def _undo(run: Path, dry_run: bool) -> None:
    from realnet.calibrations import undo

    if dry_run:
        raise UserError("--undo has no --dry-run: see --list for what would be in force.")
    was, now = undo(run)
    _say(
        f"Calibration {now.version} is in force again, threshold {now.score:.4f}; calibration {was.version} "
        f"({was.score:.4f}) is kept in {run}/calibrations."
    )
    if was.taught != now.taught:
        _say("What the run was taught in between counts no more; it is kept in taught/.")


def _say(*sentences: str) -> None:
    console.print("\n".join(sentences), soft_wrap=True, markup=False, highlight=False)
