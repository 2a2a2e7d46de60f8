"""``realnet afs``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.console import say
from realnet.cli.options import CategoryOption, Data, DeviceOption, check_png, torch_device
from realnet.errors import UserError


def afs(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The sheet, a .png file.")],
    category: CategoryOption = None,
    defect: Annotated[int, typer.Option(help="Which of the first defects it was trained on, from 1.", min=1)] = 1,
    device: DeviceOption = "auto",
) -> None:
    """Draw which feature channels see a synthetic defect, by AFS loss (Fig. S7); no test image is needed."""
    check_png(output)
    from realnet.run_folder import open_run

    opened = open_run(run)

    from realnet.data import open_dataset
    from realnet.model.saving import load_model
    from realnet.report.afs_sheet import afs_sheet
    from realnet.report.run_report import afs_view
    from realnet.synthesis import write_figure
    from realnet.training.prepare import training_defects

    model = load_model(opened, torch_device(device))
    if model.afs.method != "afs":
        raise UserError(f"{run} chose its channels by {model.afs.method}, not by AFS: there is nothing to show.")
    if not model.afs.measured:
        raise UserError(
            f"{run} keeps all channels and trained no step, so AFS had nothing to choose: there is nothing to show."
        )
    made = training_defects(opened, opened.own(open_dataset(Path(data), category)), defect)
    if not made:
        raise UserError(
            f"{data} does not hold the good images that {run} was trained on, or what its defects were made of is "
            "gone: give the data set of its training."
        )
    good, anomaly = made[-1]
    view = afs_view(model, good, anomaly)
    assert view is not None
    write_figure(output, afs_sheet(view))
    say(f"{len(view.layers)} layers, defect {defect} ({anomaly.kind}): {output}")
