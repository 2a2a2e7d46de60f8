"""``realnet score``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.console import console, say
from realnet.cli.options import CategoryOption, JsonOption, ProtocolOption
from realnet.errors import UserError


def score(
    maps_dir: Annotated[
        Path, typer.Argument(help="Folder of anomaly maps: CATEGORY/test/DEFECT/NAME, .tiff, .npy or 16-bit .png.")
    ],
    data: Annotated[str, typer.Argument(help="The data set whose test images the maps are of.")],
    category: CategoryOption = None,
    scores: Annotated[
        Path | None, typer.Option(help="CSV file (image, score) of the method's own image scores.")
    ] = None,
    image_score: Annotated[str | None, typer.Option(help="max (default) or pooled16, taken from the maps.")] = None,
    name: Annotated[str | None, typer.Option(help="The method's name (default: the folder's).")] = None,
    json_file: JsonOption = None,
    protocol: ProtocolOption = "exact",
) -> None:
    """Measure the anomaly maps of any other method on the test images of DATA, with the same figures as a run's."""
    from realnet.data import open_dataset

    if scores is not None and image_score is not None:
        raise UserError("--scores are the method's own image scores, --image-score takes them from the maps: give one.")
    if protocol == "realnet" and image_score == "max":
        raise UserError("The protocol realnet has an image score of its own (pooled16): leave --image-score out.")
    categories = open_dataset(Path(data), category)

    from realnet.atomic import write_text
    from realnet.cli.figure_tables import results_table
    from realnet.evaluation.foreign_maps import score_maps, with_maps
    from realnet.evaluation.results import check_protocol

    chosen = with_maps(maps_dir, categories)
    with console.status("Reading maps") as status:
        results = score_maps(
            maps_dir,
            data,
            chosen,
            name=name or maps_dir.resolve().name,
            image_score=image_score or "max",
            scores=scores,
            protocol=check_protocol(protocol),
            progress=lambda done, total: status.update(f"Reading map {done} of {total}"),
        )
    if json_file is not None:
        write_text(json_file, results.to_json())
    console.print(results_table(results))
    left = [c.name for c in categories if c not in chosen]
    if left:
        say(f"Not judged, as there are no maps of them: {', '.join(left)}.")
