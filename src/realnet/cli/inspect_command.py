"""``realnet inspect``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.app import app, console, errors
from realnet.cli.options import check_run, torch_device


@app.command()
def inspect(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run, or of an export.")],
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for overlays and results.")],
    threshold: Annotated[
        float | None, typer.Option(help="Image score above which an image is anomalous (default: the run's).")
    ] = None,
    minimum_area: Annotated[
        int, typer.Option("--minimum-area", help="Pixels of the smallest defect that counts; 0: any.", min=0)
    ] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
) -> None:
    """Judge images: a score, a verdict and an overlay for each, in results.csv and results.json."""
    from realnet.data import list_images
    from realnet.errors import UserError
    from realnet.runtime import is_export

    exported = is_export(run)
    if not exported:
        check_run(run)
    files = list_images(images)

    from realnet.inspection.loading import load
    from realnet.inspection.results import inspect_files

    inspector = load(run, device if exported else torch_device(device))
    if threshold is not None:
        inspector.threshold = threshold
    inspector.minimum_area = minimum_area
    with console.status("Inspecting") as status:
        rows = inspect_files(
            inspector, files, output, lambda done: status.update(f"Inspecting image {done} of {len(files)}")
        )
    failed = [row for row in rows if row.error]
    for row in failed:
        errors.print(row.error, style="red", markup=False, highlight=False, soft_wrap=True)
    anomalous = sum(row.verdict == "anomalous" for row in rows)
    console.print(
        f"{len(rows) - len(failed)} images judged, {anomalous} anomalous (score above {inspector.threshold:.4f}). "
        f"Overlays and results: {output}",
        soft_wrap=True,
    )
    _warn_of_drift(run, [row.score for row in rows if row.score is not None])
    if failed:
        raise UserError(f"{len(failed)} of {len(rows)} images could not be read; the others are judged.")


def _warn_of_drift(run: Path, scores: list[float]) -> None:
    """Say so where the scores are not those of the good images that the threshold rests on."""
    from realnet.calibration import drift, read_calibration

    calibration = read_calibration(run)
    if calibration is not None and scores:
        found = drift(calibration.good_scores, scores)
        if found.warns:
            errors.print(found.sentence(), style="yellow", markup=False, highlight=False, soft_wrap=True)
