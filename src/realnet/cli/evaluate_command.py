"""``realnet evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.app import app, console
from realnet.cli.options import CategoryOption, Data, check_run, torch_device


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    data: Data,
    category: CategoryOption = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results here as well.")] = None,
    maps: Annotated[
        Path | None, typer.Option("--maps", help="Write anomaly maps here, as MVTec lays them out.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="The report (default: RUN/report.html).")] = None,
    protocol: Annotated[
        str, typer.Option(help="exact, or realnet: the authors' evaluator, to compare with published tables.")
    ] = "exact",
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
) -> None:
    """Measure a run on the test images of DATA: a table, metrics.json, report.html."""
    check_run(run)
    evaluate_and_show(run, data, category, json_file, maps, report, protocol, device)


def evaluate_and_show(
    run: Path,
    data: str,
    category: str | None,
    json_file: Path | None = None,
    maps: Path | None = None,
    report: Path | None = None,
    protocol: str = "exact",
    device: str = "cpu",
) -> Path:
    """What the command does; returns the report's path."""
    from realnet.data import check_dataset, open_dataset
    from realnet.errors import UserError

    if protocol not in ("exact", "realnet"):
        raise UserError(f"There is no protocol {protocol!r}: use exact, or realnet for the authors' evaluator.")
    categories = open_dataset(Path(data), category)

    from realnet.atomic import write_text
    from realnet.evaluation.evaluate import evaluate_run, record, write_maps
    from realnet.evaluation.tables import to_table
    from realnet.model.saving import read_metrics
    from realnet.report.run_report import report_evaluation

    training = read_metrics(run).get("training")
    trained = training.get("categories") if isinstance(training, dict) else None
    if category is None and isinstance(trained, list):
        # A run knows what it was trained on: by default nothing else of the data set is judged.
        own = [c for c in categories if c.name in trained]
        categories = own or categories
    check_dataset(categories, need_test=True)
    with console.status("Evaluating") as status:
        evaluation = evaluate_run(
            run,
            data,
            categories,
            "realnet" if protocol == "realnet" else "exact",
            torch_device(device),
            lambda done, total: status.update(f"Evaluating image {done} of {total}"),
        )
        record(run, evaluation.results)
        if json_file is not None:
            write_text(json_file, evaluation.results.to_json())
        if maps is not None:
            write_maps(maps, evaluation.samples, evaluation.maps)
        path = report or run / "report.html"
        report_evaluation(path, run, evaluation, categories)
    for note in evaluation.notes:
        console.print(note, soft_wrap=True, markup=False, highlight=False)
    console.print(to_table(evaluation.results))
    console.print(f"Report: {path}", soft_wrap=True)
    return path
