"""``realnet train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.choices import one_inspector, seconds, training_configuration
from realnet.cli.console import plural, say, warn
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
    default_run,
    torch_device,
)

if TYPE_CHECKING:
    from realnet.run_folder import Run


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
    from realnet.data import check_dataset, summarize, with_further
    from realnet.data.checks import describe_empty_masks
    from realnet.run_folder import Run

    # What is quickly found wrong is said before torch is loaded.
    budget = seconds(time_budget)
    wanted = []
    if find:
        from realnet.limits.asked import read_asked

        wanted = read_asked(find)
    categories = one_inspector(data, category, good or ())
    if add:
        categories = with_further(categories, add)
    if output is None:
        output = default_run(Path(data), categories, resume, devices)
    config = training_configuration(
        data, categories, preset, assignments or [], config_file, say, synthesis=synthesis, source=source, seed=seed,
        select=select, false_alarms=false_alarms, tolerate=tolerate, view=view, align=align, reference=reference,
    )  # fmt: skip
    oracle = config.training.select == "oracle"
    check_dataset(categories, need_test=oracle, test_files=True)
    place = torch_device(device, devices)
    say(*summarize(categories), *describe_empty_masks(categories))

    from realnet.cli.bar import Bar
    from realnet.cli.status import status_line
    from realnet.training.launch import Launch
    from realnet.training.products import train_products
    from realnet.training.run import ODD_FILE

    launch = Launch(place, devices, precision, strategy, budget, resume)
    good_images = [sample for one in categories for sample in one.train]
    if wanted:
        from realnet.limits.choosing import choose
        from realnet.limits.reaching import reach

        with status_line("Choosing") as watcher:
            config = choose(good_images, config, wanted, watcher, place)
    bar = Bar(oracle, budget)
    with bar.display:
        progress = train_products(categories, config, output, launch, bar)
    judged = (
        "of the TEST IMAGES (oracle)"
        if oracle
        else "of good images and synthetic defects not trained on, no test image"
    )
    if config.training.select == "last":
        kept = "the last one"
    else:
        kept = f"the best that was judged ({progress.best_value:.3f}, {judged})"
    if config.training.steps == 0:
        said = f"Solved in {progress.seconds:.0f} s: with training.steps=0 no step is trained."
    else:
        said = (
            f"Trained {plural(progress.step, 'step')} in {progress.seconds:.0f} s. Kept: the state after step "
            f"{progress.best_step}, {kept}."
        )
    run = Run(output)
    if run.members:
        said = f"{len(run.members)} inspectors, one a product, are joined: {progress.seconds:.0f} s."
    say(said)
    if run.calibration is not None:
        say(*run.calibration.sentences())
        if (odd := run.calibration.odd()) and not run.members:
            say(f"{', '.join(odd)} {'is' if len(odd) == 1 else 'are'} shown in {output / ODD_FILE}.")
    if wanted:
        with status_line("Drawing defects") as watcher:
            reached = reach(output, good_images, wanted, false_alarms, watcher)
        say(*reached)
    say_what_next(run)


def say_what_next(run: "Run") -> None:
    """What to do with a trained run: inspect, or train better where it is not to be relied on."""
    from realnet.training.doubts import find_doubts

    doubts = find_doubts(run.record)
    for sentence in doubts:
        warn(f"Warning: {sentence}")
    if doubts:
        say(f"The inspector is {run.folder}; do not rely on it before that is mended.")
    else:
        say(f"The inspector is {run.folder}. Next: realnet inspect {run.folder} IMAGES --output DIR")
