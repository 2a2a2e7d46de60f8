"""``realnet calibrate``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.app import app, console
from realnet.cli.options import check_run, torch_device


@app.command()
def calibrate(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    good: Annotated[
        list[Path],
        typer.Argument(help="Good images, or folders of them, from the line's own camera; none it was trained on."),
    ],
    false_alarms: Annotated[
        str | None,
        typer.Option(
            "--false-alarms", help="Share of good images that may be rejected, such as 0.1% (default: the run's)."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
) -> None:
    """Set the thresholds of a run by good images, and say what they promise; nothing is trained."""
    from realnet.calibration import rate, read_calibration, save_calibration
    from realnet.data import list_images
    from realnet.errors import UserError

    check_run(run)
    asked = None if false_alarms is None else rate(false_alarms)
    files = list_images(good)

    from realnet.inspection.calibrating import calibrate_on
    from realnet.inspection.inspector import load

    inspector = load(run, torch_device(device))
    before = read_calibration(run)
    with console.status("Judging") as status:
        made = calibrate_on(
            inspector,
            files,
            asked or inspector.config.training.false_alarms,
            lambda done: status.update(f"Judging good image {done} of {len(files)}"),
        )
    if len(made.good_scores) < 2:
        raise UserError(f"One good image is no calibration; give {run} at least twenty.")
    save_calibration(run, made)
    console.print("\n".join(made.sentences()), soft_wrap=True, highlight=False)
    if before is not None:
        console.print(f"The threshold was {before.score:.4f}.", highlight=False)
