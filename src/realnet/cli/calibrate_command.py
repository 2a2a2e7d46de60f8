"""``realnet calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.console import console
from realnet.cli.options import DeviceOption, GoodOption, check_run, judging_device


def calibrate(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run, or of an export.")],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Good images from the line's own camera that the run was not trained on: files, folders, or a data "
            "set, of which the good images outside train/ are taken."
        ),
    ],
    good: GoodOption = None,
    false_alarms: Annotated[
        str | None,
        typer.Option(
            "--false-alarms", help="Share of good images that may be rejected, such as 0.1% (default: the run's)."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Go on with images the run was trained on; the calibration says so.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Set the thresholds of a run or an export by good images, and say what they promise; nothing is trained."""
    from realnet.calibration import rate, read_calibration, save_calibration
    from realnet.data import open_good
    from realnet.data.summary import describe_not_used
    from realnet.errors import UserError
    from realnet.runtime import is_export
    from realnet.runtime.manifest import save_thresholds

    exported = is_export(run)
    if not exported:
        check_run(run)
    asked = None if false_alarms is None else rate(false_alarms)
    chosen = open_good(images, good or ())
    files = [sample.image for sample in chosen.train]
    if len(files) < 2:
        raise UserError(f"One good image is no calibration; give {run} at least twenty.")
    place = judging_device(device, exported)
    for line in (f"Calibrating on {len(files)} good images.", *describe_not_used(chosen.left_out)):
        console.print(line, soft_wrap=True, markup=False, highlight=False)

    from realnet.inspection.calibrating import calibrate_on, usual_false_alarms
    from realnet.inspection.loading import load
    from realnet.seen import find_seen

    seen = find_seen(run, files, calibrated=False)
    if seen and not force:
        raise UserError(f"{seen.sentence(run, len(files))} Give others, or go on with --force.")
    inspector = load(run, place)
    before = read_calibration(run)
    with console.status("Judging") as status:
        made = calibrate_on(
            inspector,
            files,
            asked or usual_false_alarms(inspector, before),
            len(seen.trained),
            lambda done: status.update(f"Judging good image {done} of {len(files)}"),
        )
    save_calibration(run, made)
    if exported:
        save_thresholds(run, made.score, made.pixel)
    console.print("\n".join(made.sentences()), soft_wrap=True, markup=False, highlight=False)
    if before is not None:
        console.print(f"The threshold was {before.score:.4f}.", highlight=False)
    console.print(f"Next: realnet inspect {run} IMAGES --output DIR", soft_wrap=True, markup=False, highlight=False)
