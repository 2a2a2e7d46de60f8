"""``realnet sdas``: the classifier for guidance, the choice of the strength, the quality of the images."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.console import console, say
from realnet.cli.options import Data, DeviceOption, JsonOption, SeedOption, check_png, torch_device
from realnet.cli.sdas_commands import Model, Steps, Strengths, draw_columns, ready, strengths, usual_strength


def classifier(
    model: Model,
    data: Data,
    steps: Annotated[int, typer.Option(help="Training steps.", min=1)] = 2000,
    device: DeviceOption = "auto",
) -> None:
    """Train the classifier that --guidance uses, on DATA, for a model of several categories."""
    from realnet.data import check_dataset, open_dataset

    categories = open_dataset(Path(data))
    check_dataset(categories, need_test=False)

    from realnet.cli.bar import Bar
    from realnet.diffusion.classifier_training import train_classifier
    from realnet.diffusion.model_folder import load_diffusion

    loaded = load_diffusion(model, torch_device(device))
    with (watcher := Bar(counts=True)).display:
        loss = train_classifier(loaded, categories, steps, report=partial(watcher.stage, "Training", total=steps))
    console.print(f"Classifier of {len(loaded.categories)} categories: loss {loss:.3f} nats. Saved in {model}.")


def strength(
    model: Model,
    run: Annotated[Path, typer.Argument(help="A trained inspector of the same product.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The sheet, a .png file.")],
    category: Annotated[str | None, typer.Option(help="The category to sample.")] = None,
    values: Strengths = None,
    rows: Annotated[int, typer.Option(help="Images a strength.", min=2, max=64)] = 8,
    steps: Steps = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Help to choose the strength: samples over s, and what an inspector says of them."""
    from realnet.run_folder import open_run

    wanted = None if values is None else strengths(values, ",")
    check_png(output)
    opened = open_run(run)
    loaded, request = ready(model, [0.0], steps, seed, "iddpm", "learned", 0.0, min(rows, 8), device)
    low, high = usual_strength(loaded.config, "iddpm")
    columns = wanted or [0.0, low / 2, low, high, 1.5 * high, 2.5 * high, 5 * high]

    from rich.table import Table

    from realnet.inspection.inspector import trained_inspector
    from realnet.inspection.strength import advice, respond
    from realnet.synthesis import grid_image, write_figure

    inspector = trained_inspector(opened, device)
    name = loaded.categories[loaded.category_number(category)]
    drawn, titles = draw_columns(loaded, name, columns, rows, request)
    responses, overlays = respond(inspector, drawn[-len(columns) :], columns)
    # Each image stands over its heat map; the good images, which are not judged, over themselves.
    judged = [*drawn[: -len(columns)], *overlays]
    both = [[p for pair in zip(a, b, strict=True) for p in pair] for a, b in zip(drawn, judged, strict=True)]
    write_figure(output, grid_image(both, titles, 128))
    table = Table("s", "mean score", "found")
    for response in responses:
        table.add_row(f"{response.strength:g}", f"{response.mean_score:.4f}", f"{response.share_above:.0%}")
    console.print(table)
    say(f"{advice(responses)} The sheet: {output}")


def quality(
    images: Annotated[list[Path], typer.Argument(help="Folders of synthetic anomaly images, a row each.")],
    data: Annotated[Path, typer.Option(help="The data set with real anomalous images.")],
    category: Annotated[str | None, typer.Option(help="One category of it.")] = None,
    sample: Annotated[int | None, typer.Option(help="Images a draw (the paper: 1000; default: all).", min=2)] = None,
    repeats: Annotated[int, typer.Option(help="Draws.", min=1)] = 3,
    size: Annotated[int, typer.Option(help="Side the images are compared at.", min=32)] = 256,
    inception: Annotated[Path | None, typer.Option(help="Inception weights, for FID and KID.")] = None,
    alexnet: Annotated[Path | None, typer.Option(help="AlexNet weights, for LPIPS.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch these weights where they are missing.")] = False,
    json_file: JsonOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Compare synthetic with real anomaly images: FID, KID, cluster LPIPS, IC-LPIPS (Tab. S6), or their offline kin."""
    from realnet.atomic import write_text
    from realnet.cli.options import open_one
    from realnet.data import check_dataset, list_images, survey
    from realnet.data.finding import LeftOut
    from realnet.data.summary import describe_not_used

    (chosen,) = open_one(str(data), category)
    check_dataset([chosen], need_test=True)
    left_out: list[LeftOut] = []
    files = {folder: list_images([folder], left_out) for folder in images}
    say(*describe_not_used(left_out))

    from realnet.cli.figure_tables import quality_table
    from realnet.diffusion.quality import Quality, measure_quality

    rows: list[tuple[str, Quality]] = []
    real = [sample_.image for sample_ in chosen.test if sample_.is_anomalous]
    good = [sample_.image for sample_ in chosen.train]
    levels = survey(good).levels
    with console.status("Measuring") as status:
        for folder, paths in files.items():
            measured = measure_quality(
                paths, real, good, size=size, repeats=repeats, sample=sample, seed=seed or 0, inception=inception,
                alexnet=alexnet, download=download, device=torch_device(device), progress=status.update,
                levels=levels,
            )  # fmt: skip
            rows.append((str(folder), measured))
    if json_file is not None:
        write_text(json_file, json.dumps({name: row.model_dump(mode="json") for name, row in rows}, indent=2))
    console.print(quality_table(rows))
