"""``realnet export``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.completion import complete_export
from realnet.cli.console import console
from realnet.cli.options import check_run


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
        Path | None, typer.Option("--images", help="Good images to verify on; openvino-int8 is calibrated with them.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="In their place: the data set that the run was trained on.")
    ] = None,
    category: Annotated[
        str | None, typer.Option("--category", help="Of the data set (default: what the run was trained on).")
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
    from realnet.data.summary import describe_not_used
    from realnet.export.request import check_format, check_output, chosen_images

    check_run(run)
    checked = check_format(form)
    check_output(output)
    chosen = chosen_images(data, category, images, _products(run))

    for line in describe_not_used(chosen.left_out):
        console.print(line, soft_wrap=True, markup=False, highlight=False)

    from realnet.export.export_folder import export_run

    with console.status("Loading") as status:
        manifest, said = export_run(run, output, checked, chosen, tolerance, status.update)
    size = sum(file.length for file in manifest.files) / 1e6
    console.print("\n".join(said), soft_wrap=True, markup=False, highlight=False)
    console.print(
        f"Exported {run} as {output}: {form}, {size:.1f} MB, threshold {manifest.threshold:.4f}.",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )
    if checked == "torch":
        sentence = "Next: open it with torch.export.load in a program of your own."
    else:
        sentence = f"Next: realnet inspect {output} IMAGES --output DIR, or realnet serve {output}"
    console.print(sentence, soft_wrap=True, markup=False, highlight=False)


def _products(run: Path) -> tuple[str, ...]:
    """What a run was trained on, as far as it says; its files are read in earnest later."""
    import json

    try:
        return tuple(json.loads((run / "metrics.json").read_text(encoding="utf-8"))["training"]["categories"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()
