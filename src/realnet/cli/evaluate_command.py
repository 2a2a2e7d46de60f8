"""``realnet evaluate``."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.cli.console import console, errors
from realnet.cli.options import (
    CategoryOption,
    Data,
    DeviceOption,
    GoodOption,
    check_run,
    say_empty_masks,
    say_summary,
    torch_device,
)

if TYPE_CHECKING:
    from realnet.data import Category


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    data: Data,
    category: CategoryOption = None,
    good: GoodOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    maps: Annotated[
        Path | None, typer.Option("--maps", help="Write anomaly maps here, as MVTec lays them out.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="The report (default: in the run, one a data set).")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="exact, or realnet: the authors' evaluator, to compare with published tables.")
    ] = "exact",
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
    from realnet.errors import UserError

    check_run(run)
    if protocol not in ("exact", "realnet"):
        raise UserError(f"There is no protocol {protocol!r}: use exact, or realnet for the authors' evaluator.")
    categories = _opened(run, data, category, good)
    asked = Asked(protocol, at_image_size, force, torch_device(device))
    evaluate_and_show(run, data, categories, asked, json_file, maps, report)
    console.print(
        "Next: look at what was missed and at the false alarms in the report; set the threshold by good images of your "
        f"line with realnet calibrate {run} IMAGES; then realnet inspect {run} IMAGES --output DIR",
        soft_wrap=True, markup=False, highlight=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """How an evaluation is to be done: see the options of the command; ``device`` is chosen and said."""

    protocol: str = "exact"
    at_image_size: bool = False
    force: bool = False
    device: str = "cpu"


def evaluate_and_show(
    run: Path,
    data: str,
    categories: "list[Category]",
    asked: Asked = Asked(),
    json_file: Path | None = None,
    maps: Path | None = None,
    report: Path | None = None,
) -> Path | None:
    """What the command does; returns the report's path, None where there is none."""
    from realnet.errors import UserError

    caveats = _checked(run, categories, asked.force)

    from realnet.atomic import write_text
    from realnet.evaluation.evaluate import evaluate_run, other_product, write_maps
    from realnet.evaluation.result_table import to_table
    from realnet.evaluation.results import with_caveats
    from realnet.report.run_report import file_evaluation

    def complain(sentence: str) -> None:
        errors.print(sentence, style="yellow", markup=False, soft_wrap=True)

    with console.status("Evaluating") as status:
        evaluation = evaluate_run(
            run, data, categories, "realnet" if asked.protocol == "realnet" else "exact", asked.device,
            lambda done, total: status.update(f"Evaluating image {done} of {total}"),
            at_image_size=asked.at_image_size, caveats=caveats,
        )  # fmt: skip
        another = other_product(run, categories, evaluation)
        if another and asked.force:
            evaluation = replace(evaluation, results=with_caveats(evaluation.results, [another]))
        if json_file is not None:
            write_text(json_file, evaluation.results.to_json())
        if maps is not None:
            write_maps(maps, evaluation.samples, evaluation.maps)
    for note in evaluation.notes:
        console.print(note, soft_wrap=True, markup=False, highlight=False)
    console.print(to_table(evaluation.results))
    if another and not asked.force:
        raise UserError(f"{another} The figures are not filed under the run; --force files them, with a mark.")
    with console.status("Writing the report"):
        path = file_evaluation(run, evaluation, categories, report, complain)
    if path is not None:
        console.print(f"Report: {path}", soft_wrap=True, markup=False)
    return path


def _opened(run: Path, data: str, category: str | None, good: list[str] | None) -> "list[Category]":
    """The categories to judge."""
    from realnet.data import open_dataset
    from realnet.model.saving import trained_categories

    categories = open_dataset(Path(data), category, good or ())
    trained = trained_categories(run)
    if category is None:
        # A run knows what it was trained on: by default nothing else of the data set is judged.
        categories = [c for c in categories if c.name in trained] or categories
    return categories


def _checked(run: Path, categories: "list[Category]", force: bool) -> list[str]:
    """Say what ``categories`` hold and check them; returns why their figures are to be marked.

    Raises:
        UserError: where something is wrong with the images, or the run has seen some and that is not forced.
    """
    from realnet.data import check_dataset
    from realnet.errors import UserError
    from realnet.model.saving import load_config
    from realnet.seen import find_seen

    say_summary(categories, evaluating=True)
    check_dataset(categories, need_test=True, need_train=False)
    say_empty_masks(categories)
    files = [sample.image for one in categories for sample in one.test]
    seen = find_seen(run, files, load_config(run).data.pair)
    if not seen:
        return []
    sentence = seen.sentence(run, len(files))
    if not force:
        raise UserError(f"{sentence} Evaluate others, or go on with --force: every figure is marked then.")
    return [sentence]
