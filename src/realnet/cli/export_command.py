"""``realnet export``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.bar import showing
from realnet.cli.completion import complete_export
from realnet.cli.console import say
from realnet.files import quoted


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the export: new or empty.")],
    form: Annotated[
        str,
        typer.Option(
            "--format", help="onnx, openvino, openvino-fp16, openvino-int8 or torch.", autocompletion=complete_export
        ),
    ] = "onnx",
    images: Annotated[
        Path | None, typer.Option(help="Good images to verify on; openvino-int8 is calibrated with them.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="In their place: the data set that the run was trained on.")] = None,
    category: Annotated[
        str | None, typer.Option(help="Of the data set (default: what the run was trained on).")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Largest difference from PyTorch (default: 0.001; openvino-fp16: 0.01); for openvino-int8 the largest "
            "loss of image AUROC (default: 0.01).",
            min=0,
            max=1,
        ),
    ] = None,
) -> None:
    """Export a run for ONNX Runtime, OpenVINO or torch.export, verified against PyTorch on real images."""
    from realnet import api
    from realnet.run_folder import Run

    with showing("Loading") as watcher:
        api.export(
            run, output, format=form, images=images, data=data, category=category, tolerance=tolerance,
            progress=watcher,
        )  # fmt: skip
    manifest = Run(output).manifest
    size = sum(file.length for file in manifest.files) / 1e6
    say(f"Exported {run} as {output}: {form}, {size:.1f} MB, threshold {manifest.threshold:.4f}.")
    if form == "torch":
        say("Next: open it with torch.export.load in a program of your own.")
    else:
        say(f"Next: realnet inspect {quoted(output)} IMAGES --output DIR, or realnet serve {quoted(output)}")
