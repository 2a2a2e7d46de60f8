"""``realnet train``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.options import (
    AlignOption,
    CategoryOption,
    ConfigOption,
    Data,
    DeviceOption,
    DevicesOption,
    GoodOption,
    PrecisionOption,
    PresetOption,
    ReferenceOption,
    SeedOption,
    SetOption,
    SourceOption,
    StrategyOption,
    SynthesisOption,
    TimeBudgetOption,
    ViewOption,
)


def train(
    data: Data,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the run (default: a new one, runs/ and the product's name)."),
    ] = None,
    category: CategoryOption = None,
    good: GoodOption = None,
    add: Annotated[
        list[Path] | None,
        typer.Option("--add", help="Further good images that are not in DATA: a file or folder; repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude", help="A good image to train without, by its name or file, as one that stands out; repeatable."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", help="A good image that stands out and is good all the same: it is not named again; repeatable."
        ),
    ] = None,
    preset: PresetOption = None,
    synthesis: SynthesisOption = None,
    source: SourceOption = None,
    time_budget: TimeBudgetOption = None,
    seed: SeedOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    assignments: SetOption = None,
    config_file: ConfigOption = None,
    select: Annotated[
        str | None,
        typer.Option(
            help="Which state is kept. validation (default of lite): the best on good images not trained on; last "
            "(default of the paper's presets): that after the last step; oracle: the best on the TEST images, for "
            "comparison with published tables only; every figure of such a run is marked."
        ),
    ] = None,
    false_alarms: Annotated[
        str | None,
        typer.Option("--false-alarms", help="Share of good images that may be rejected, such as 0.5% (default: 1%)."),
    ] = None,
    tolerate: Annotated[
        str | None,
        typer.Option(
            "--tolerate",
            help="How far a good part may be moved, turned (degrees), lighter or darker, such as "
            "shift=5%,rotation=3,light=20%.",
        ),
    ] = None,
    find: Annotated[
        list[str] | None,
        typer.Option(
            "--find",
            help="What is to be found, such as scratch:2px, or scratch:2px@32 of 32 grey levels; commas between "
            "several. Chooses image size, tiles and threshold, and says what is reached.",
        ),
    ] = None,
    view: ViewOption = None,
    align: AlignOption = None,
    reference: ReferenceOption = None,
    device: DeviceOption = "auto",
    devices: DevicesOption = 1,
    precision: PrecisionOption = "32-true",
    strategy: StrategyOption = "auto",
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
