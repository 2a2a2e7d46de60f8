"""``realnet preview`` and ``realnet synthesize``: synthetic defects to look at, and for anybody's trainer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet import api
from realnet.choices import configuration
from realnet.cli import options
from realnet.cli.bar import showing
from realnet.cli.console import say
from realnet.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from realnet.config import Config
    from realnet.data import Category
    from realnet.synthesis import Synthesizer


def preview(
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The sheet, a .png file.")],
    synthesis: Annotated[
        str,
        typer.Option(
            help="How defects are made: dtd, nsa, cutpaste, sia or mix; several, such as sia,dtd,nsa,cutpaste, side by "
            "side."
        ),
    ] = "mix",
    category: options.CategoryOption = None,
    good: options.GoodOption = None,
    source: options.SourceOption = None,
    generated: Annotated[
        Path | None, typer.Option(help="Folder of generated images for sia, where several kinds are compared.")
    ] = None,
    seed: options.SeedOption = None,
    count: Annotated[int, typer.Option(help="How many defects.", min=1, max=200)] = 12,
    assignments: options.SetOption = None,
    config_file: options.ConfigOption = None,
) -> None:
    """Draw a sheet of good image, source, mask and blend; of several kinds side by side (Fig. 3b)."""
    from realnet.synthesis import contact_sheet, write_figure

    options.check_png(output)
    kinds = [kind.strip() for kind in synthesis.split(",")]
    if len(kinds) > 1:
        folders = _folders(kinds, source, generated)
        configs = [configuration("lite", assignments, config_file, kind, folders[kind], seed) for kind in kinds]
        write_figure(output, _compare(options.open_one(data, category, good), configs, count))
        say(f"{count} defects each of {', '.join(kinds)}, seed {configs[0].seed}: {output}")
        return
    if generated is not None:
        raise UserError("--generated is for several kinds; of sia alone --source is the folder of generated images.")
    config = configuration("lite", assignments, config_file, synthesis, source, seed)
    synthesizer = _synthesizer(options.open_one(data, category, good), config)
    defects = [synthesizer(index) for index in range(count)]
    goods = [synthesizer.images[synthesizer.good_of(index)] for index in range(count)]
    write_figure(output, contact_sheet(defects, goods))
    say(f"{count} defects, {config.synthesis.source}, seed {config.seed}: {output}")


def _folders(kinds: list[str], source: Path | None, generated: Path | None) -> dict[str, Path | None]:
    if generated is not None and "sia" not in kinds:
        raise UserError("--generated is for sia, which --synthesis does not name.")
    if source is not None and not {"dtd", "mix"} & set(kinds):
        raise UserError("--source is for dtd and mix here, which --synthesis does not name; for sia give --generated.")
    return {kind: generated if kind == "sia" else source if kind in ("dtd", "mix") else None for kind in kinds}


def _compare(categories: "list[Category]", configs: "list[Config]", count: int) -> "np.ndarray":
    """The sheet of several kinds: a row a good image, a column a kind."""
    from realnet.synthesis import grid_image

    columns: list[list[np.ndarray]] = []
    for config in configs:
        synthesizer = _synthesizer(categories, config)
        if not columns:
            columns.append([synthesizer.images[synthesizer.good_of(index)] for index in range(count)])
        columns.append([synthesizer(index).image for index in range(count)])
    return grid_image(columns, ["good image", *(config.synthesis.source for config in configs)])


def synthesize(
    data: options.Data,
    count: Annotated[int, typer.Option(help="How many image and mask pairs.", min=1)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the pairs, in MVTec layout.")],
    synthesis: options.SynthesisOption = "mix",
    category: options.CategoryOption = None,
    good: options.GoodOption = None,
    source: options.SourceOption = None,
    seed: options.SeedOption = None,
    size: Annotated[int, typer.Option(help="Side of the images in pixels.", min=32)] = 256,
    assignments: options.SetOption = None,
    config_file: options.ConfigOption = None,
) -> None:
    """Write image and mask pairs of synthetic defects, with a manifest; the same call continues after a stop."""
    with showing("Writing") as watcher:
        manifest = api.synthesize(
            data, count, output, synthesis=synthesis or "mix", category=category, good=good or (), source=source,
            seed=seed, size=size, config=config_file, set=assignments or (), progress=watcher,
        )  # fmt: skip
    say(f"{count} pairs of image and mask; {manifest} names the origin of each.")


def _synthesizer(categories: "list[Category]", config: "Config") -> "Synthesizer":
    from realnet.data import check_dataset

    check_dataset(categories, need_test=False)
    from realnet.training.prepare import synthesizer_of

    synthesizer, said = synthesizer_of(categories, config)
    say(*said)
    return synthesizer
