"""``realnet preview`` and ``realnet synthesize``: synthetic defects to look at, and for anybody's trainer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.cli.app import app, console
from realnet.cli.options import (
    CategoryOption,
    ConfigOption,
    Data,
    SeedOption,
    SetOption,
    SourceOption,
    configuration,
    one_category,
)

if TYPE_CHECKING:
    from realnet.config import Config
    from realnet.synthesis import Synthesizer

Kind = Annotated[str, typer.Option("--synthesis", help="How defects are made: dtd, nsa, cutpaste, sia or mix.")]


@app.command()
def preview(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The sheet, a .png file.")],
    synthesis: Kind = "mix",
    category: CategoryOption = None,
    source: SourceOption = None,
    seed: SeedOption = None,
    count: Annotated[int, typer.Option(help="How many defects.", min=1, max=200)] = 12,
    assignments: SetOption = None,
    config_file: ConfigOption = None,
) -> None:
    """Draw a sheet of good image, source, mask and blend."""
    from realnet.errors import UserError
    from realnet.synthesis import contact_sheet, write_image

    if output.suffix.lower() != ".png":
        raise UserError(f"The sheet is written as PNG: name --output something.png, not {output.name}.")
    config = configuration("lite", assignments, config_file, synthesis, source, seed)
    synthesizer = _synthesizer(data, category, config)
    defects = [synthesizer(index) for index in range(count)]
    goods = [synthesizer.images[synthesizer.good_of(index)] for index in range(count)]
    write_image(output, contact_sheet(defects, goods))
    console.print(f"{count} defects, {config.synthesis.source}, seed {config.seed}: {output}", soft_wrap=True)


@app.command()
def synthesize(
    data: Data,
    count: Annotated[int, typer.Option(help="How many image and mask pairs.", min=1)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the pairs, in MVTec layout.")],
    synthesis: Kind = "mix",
    category: CategoryOption = None,
    source: SourceOption = None,
    seed: SeedOption = None,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.", min=32)] = 256,
    assignments: SetOption = None,
    config_file: ConfigOption = None,
) -> None:
    """Write image and mask pairs of synthetic defects, with a manifest; the same call continues after a stop."""
    from realnet.synthesis import write_pairs

    config = configuration("lite", assignments, config_file, synthesis, source, seed)
    synthesizer = _synthesizer(data, category, config, size)
    names = list(synthesizer.names or [])
    with console.status("Writing") as status:
        manifest = write_pairs(
            synthesizer, names, count, output, lambda done: status.update(f"Writing pair {done} of {count}")
        )
    console.print(f"{count} pairs of image and mask; {manifest} names the origin of each.", soft_wrap=True)


def _synthesizer(data: str, category: str | None, config: "Config", size: int | None = None) -> "Synthesizer":
    from realnet.data import GoodImages, check_dataset, open_dataset

    categories = open_dataset(Path(data), one_category(data, category))
    check_dataset(categories, need_test=False)
    from realnet.training.prepare import make_synthesizer
    from realnet.view import view_of

    samples = [sample for c in categories for sample in c.train]
    view = view_of(config.model.view)
    images = GoodImages(
        [s.image for s in samples], size or config.model.image_size, 2**30, config.model.tile, view=view
    )
    return make_synthesizer(samples, images, config, config.seed)
