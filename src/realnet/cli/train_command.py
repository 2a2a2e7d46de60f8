"""``realnet train``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli import options


def train(
    data: options.Data,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the run (default: a new one, runs/ and the product's name)."),
    ] = None,
    category: options.CategoryOption = None,
    good: options.GoodOption = None,
    add: Annotated[
        list[Path] | None, typer.Option(help="Further good images that are not in DATA: a file or folder; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="A good image to train without, by its name or file, as one that stands out; repeatable."),
    ] = None,
    keep: options.KeepOption = None,
    preset: options.PresetOption = None,
    synthesis: options.SynthesisOption = None,
    source: options.SourceOption = None,
    time_budget: options.TimeBudgetOption = None,
    seed: options.SeedOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    assignments: options.SetOption = None,
    config_file: options.ConfigOption = None,
    select: Annotated[
        str | None,
        typer.Option(
            help="Which state is kept. validation (default of lite): the best on good images not trained on; last "
            "(default of the paper's presets): that after the last step; oracle: the best on the TEST images, for "
            "comparison with published tables only; every figure of such a run is marked."
        ),
    ] = None,
    false_alarms: Annotated[
        str | None, typer.Option(help="Share of good images that may be rejected, such as 0.5% (default: 1%).")
    ] = None,
    tolerate: Annotated[
        str | None,
        typer.Option(
            help="How far a good part may be moved, turned (degrees), lighter or darker, such as "
            "shift=5%,rotation=3,light=20%."
        ),
    ] = None,
    find: Annotated[
        list[str] | None,
        typer.Option(
            help="What is to be found, such as scratch:2px, or scratch:2px@32 of 32 grey levels; commas between "
            "several. Chooses image size, tiles and threshold, and says what is reached."
        ),
    ] = None,
    view: options.ViewOption = None,
    align: options.AlignOption = None,
    reference: options.ReferenceOption = None,
    device: options.DeviceOption = "auto",
    devices: options.DevicesOption = 1,
    precision: options.PrecisionOption = "32-true",
    strategy: options.StrategyOption = "auto",
) -> None:
    """Train an inspector on the good images of DATA."""
    from realnet import api
    from realnet.cli.bar import Bar

    with (bar := Bar()).display:
        api.train(
            data, output, category=category, good=good or (), add=add or (), exclude=exclude or (),
            keep=keep or (), preset=preset or "lite", synthesis=synthesis, source=source, time_budget=time_budget,
            seed=seed, resume=resume, config=config_file, select=select, false_alarms=false_alarms, find=find or (),
            tolerate=tolerate, view=view, align=align, reference=reference, device=device, devices=devices,
            precision=precision, strategy=strategy, set=assignments or (), progress=bar,
        )  # fmt: skip
