"""``realnet import-official``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.console import console, say
from realnet.files import quoted


def import_official(
    file: Annotated[Path, typer.Argument(help="The authors' checkpoint, such as ckpt_best.pth.tar.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run: new or empty.")],
    image_size: Annotated[int, typer.Option("--size", help="Side in pixels that it was trained at.")] = 256,
    mode: Annotated[
        str | None, typer.Option(help="How residuals are ranked: max&mean, max or mean (default: as its settings say).")
    ] = None,
    image_score: Annotated[
        str, typer.Option(help="max, as in the paper, or pooled16, as in the authors' evaluator.")
    ] = "max",
) -> None:
    """Turn a checkpoint of the RealNet authors' released code into a run for evaluate and inspect."""
    from realnet.integrations import official
    from realnet.run_folder import UNCALIBRATED

    with console.status("Importing"):
        network, imported = official.import_official(file, output, image_size, mode, image_score)
    model = network.config
    count = sum(parameter.numel() for parameter in network.parameters())
    epoch = "" if imported.epoch is None else f" (epoch {imported.epoch})"
    say(
        f"Imported {file}{epoch} as {output}: {model.backbone.name}, {model.reconstruction.network} of architecture "
        f"{model.reconstruction.architecture}, channels {', '.join(map(str, model.afs.dimensions))}, "
        f"{model.rrs.retention:.1%} of the residuals by {model.rrs.mode}, {count / 1e6:.2f} M parameters.",
        *imported.assumed,
        f"Its threshold of {UNCALIBRATED} is not calibrated: a checkpoint holds none. Judge good images with "
        f"`realnet inspect {quoted(output)} GOOD_IMAGES --output DIR`, then give --threshold a value above their "
        "scores.",
        "The released code keeps the state that is best on the test images, so figures on them are marked oracle.",
    )
