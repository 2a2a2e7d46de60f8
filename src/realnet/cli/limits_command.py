"""``realnet limits``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from realnet.cli.bar import showing
from realnet.cli.console import console, say, warn
from realnet.cli.options import DeviceOption, GoodOption
from realnet.errors import UserError

if TYPE_CHECKING:
    from realnet.limits import Limits


def limits(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run, or of an export.")],
    images: Annotated[
        list[Path],
        typer.Argument(help="Good images, rather such that the run was not trained on: files, folders or a data set."),
    ],
    good: GoodOption = None,
    sizes: Annotated[
        str | None, typer.Option(help="Widths in pixels of the images, such as 1,2,4,8 (default: 0.5% to 16%).")
    ] = None,
    each: Annotated[
        int, typer.Option(min=1, help="Defects drawn of each kind, size and depth; 29 are the least to be sure.")
    ] = 29,
    seed: Annotated[int, typer.Option(min=0, help="Of the defects.")] = 0,
    sia: Annotated[
        Path | None, typer.Option(help="Folder of generated anomaly images of the product, which are a further kind.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The chart (default: limits.png in the run).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Say how small and how faint a defect is found: scratches, holes, stains and others, drawn on good images.

    The figures are filed under the run: its report and the page of `realnet serve` show them.
    """
    from realnet.atomic import write_text
    from realnet.data import open_good
    from realnet.inspection.loading import load_on
    from realnet.limits import EACH, measure_limits, save_limits
    from realnet.limits.counted import CHART_FILE
    from realnet.limits.limits_chart import write_chart
    from realnet.run_folder import open_run_or_export
    from realnet.synthesis.image_folder import ImageFolder

    chosen = _sizes(sizes)
    if each < EACH:
        warn(f"{each} defects of a kind, size and depth are too few to be sure of anything: {EACH} are the least.")
    for path in (output, json_file):
        if path is not None and path.exists():
            raise UserError(f"{path} exists already: name another file, or remove it.")
    generated = None if sia is None else ImageFolder(sia, "generated images of this product")
    files = [sample.image for sample in open_good(images, good or ()).train]
    opened = open_run_or_export(run)
    judge = load_on(opened, device, say)
    with showing("Drawing defects") as watcher:
        found = measure_limits(judge, files, sizes=chosen, each=each, seed=seed, generated=generated, watcher=watcher)
    if json_file is not None:
        write_text(json_file, found.to_json())
    save_limits(opened.folder, found)
    chart = output or opened.folder / CHART_FILE
    write_chart(chart, found, run.resolve().name)
    console.print(_table(found))
    left_out = f", {found.left_out} left out as they are above the threshold by themselves" if found.left_out else ""
    say(
        f"{each} defects of each kind, size and depth, drawn on {found.images} good images of {found.side} pixels"
        f"{left_out}.",
        "Reliable means: nine of ten at least are found, with 95% confidence.",
        *found.sentences(),
    )
    if generated is None:
        say(
            "SIA is not among them: give generated images of the product with --sia (`realnet sdas sample` makes some)."
        )
    say(f"Chart: {chart}")


def _sizes(text: str | None) -> list[float]:
    if text is None:
        return []
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(1 <= size <= 4096 for size in found):
        raise UserError(f"--sizes takes widths in pixels of 1 or more, such as 1,2,4,8, not {text!r}.")
    return sorted(set(found))


def _table(found: "Limits") -> Table:
    """The smallest size that is found reliably, a row a kind, a column a depth."""
    from realnet.limits.counted import title_of
    from realnet.limits.measuring import DEPTHS, STRENGTHS, depths_of

    table = Table("found reliably from", *(f"{depth} levels" for depth in DEPTHS), box=None, pad_edge=False)
    for kind in found.kinds:
        if kind == "sia":
            table.add_row("", *(f"{strength}%" for strength in STRENGTHS))
        sizes = [found.smallest(kind, depth) for depth in depths_of(kind)]
        table.add_row(title_of(kind), *("-" if size is None else f"{size:g} px" for size in sizes))
    return table
