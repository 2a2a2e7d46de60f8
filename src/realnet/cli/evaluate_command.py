"""``realnet evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realnet import api
from realnet.cli.bar import showing
from realnet.cli.console import console, say
from realnet.cli.options import CategoryOption, Data, DeviceOption, GoodOption, JsonOption, ProtocolOption
from realnet.errors import NotFiled
from realnet.files import quoted

if TYPE_CHECKING:
    from realnet.evaluation.results import Results


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    data: Data,
    category: CategoryOption = None,
    good: GoodOption = None,
    json_file: JsonOption = None,
    maps: Annotated[
        Path | None, typer.Option("--maps", help="Write anomaly maps here, as MVTec lays them out.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="The report (default: in the run, one a data set).")
    ] = None,
    protocol: ProtocolOption = "exact",
    at_image_size: Annotated[
        bool,
        typer.Option("--at-image-size", help="Pixel figures at each image's size, as MVTec's evaluation has them."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Go on with images the run has seen, or of another product; figures are marked."),
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Measure a run on the test images of DATA: a table, metrics.json, report.html."""
    measure(
        run, data, category=category, good=good or (), json=json_file, maps=maps, report=report, protocol=protocol,
        at_image_size=at_image_size, force=force, device=device,
    )  # fmt: skip
    say(
        "Next: look at what was missed and at the false alarms in the report; set the threshold by good images of your "
        f"line with realnet calibrate {quoted(run)} IMAGES; then realnet inspect {quoted(run)} IMAGES --output DIR"
    )


def measure(run: Path, data: str, **asked: Any) -> None:
    """As :func:`realnet.evaluate`, with the table, also of figures that are not filed under the run."""
    try:
        with showing("Evaluating") as watcher:
            results = api.evaluate(run, data, **asked, progress=watcher)
    except NotFiled as refusal:
        print_table(refusal.results)
        raise
    print_table(results)


def print_table(results: "Results") -> None:
    """Print the figures of one evaluation."""
    from realnet.cli.figure_tables import results_table

    console.print(results_table(results))
