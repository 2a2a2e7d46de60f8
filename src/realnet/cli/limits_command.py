"""``realnet limits``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from realnet.cli.console import console, say, warn
from realnet.cli.options import DeviceOption, GoodOption
from realnet.cli.status import status_line
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
        str | None,
        typer.Option("--sizes", help="Widths in pixels of the images, such as 1,2,4,8 (default: 0.5% to 16%)."),
    ] = None,
    each: Annotated[
        int, typer.Option(min=1, help="Defects drawn of each kind, size and depth; 29 are the least to be sure.")
    ] = 29,
    seed: Annotated[int, typer.Option(min=0, help="Of the defects.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="The chart.")] = Path("limits.png"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
    device: DeviceOption = "auto",
) -> None:
    """Say how small and how faint a defect is found: scratches, holes, stains and others, drawn on good images."""
    from realnet.atomic import write_text
    from realnet.data import open_good
    from realnet.inspection.loading import load_on
    from realnet.limits import EACH, measure_limits
    from realnet.limits.limits_chart import write_chart
    from realnet.run_folder import open_run_or_export

    chosen = _sizes(sizes)
    if each < EACH:
        warn(f"{each} defects of a kind, size and depth are too few to be sure of anything: {EACH} are the least.")
    for path in (output, json_file):
        if path is not None and path.exists():
            raise UserError(f"{path} exists already: name another file, or remove it.")
    files = [sample.image for sample in open_good(images, good or ()).train]
    judge = load_on(open_run_or_export(run), device, say)
    with status_line("Drawing defects") as watcher:
        found = measure_limits(judge, files, sizes=chosen, each=each, seed=seed, watcher=watcher)
    if json_file is not None:
        write_text(json_file, found.to_json())
    write_chart(output, found, f"Share of drawn defects found by {run.name}, % (* nine of ten at least, 95% sure)")
    console.print(_table(found))
    left_out = f", {found.left_out} left out as they are above the threshold by themselves" if found.left_out else ""
    say(
        f"{each} defects of each kind, size and depth, drawn on {found.images} good images of {found.side} pixels"
        f"{left_out}.",
        "Reliable means: nine of ten at least are found, with 95% confidence.",
        f"Chart: {output}",
    )


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
    from realnet.limits import DEPTHS, KINDS

    table = Table("found reliably from", *(f"{depth} levels" for depth in DEPTHS), box=None, pad_edge=False)
    for kind in KINDS:
        sizes = [found.smallest(kind, None if kind == "missing" else depth) for depth in DEPTHS]
        shown = ["-" if size is None else f"{size:g} px" for size in sizes]
        table.add_row(kind, *(shown if kind != "missing" else [shown[0], "", "", "", ""]))
    return table
