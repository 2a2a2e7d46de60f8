"""``realnet train``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.console import console, errors, plural
from realnet.cli.options import (
    AlignOption,
    CategoryOption,
    ConfigOption,
    Data,
    DeviceOption,
    GoodOption,
    PresetOption,
    ReferenceOption,
    SeedOption,
    SetOption,
    SourceOption,
    SynthesisOption,
    ViewOption,
    choose_one,
    configuration,
    default_run,
    default_synthesis,
    say_empty_masks,
    say_summary,
    seconds,
    tolerance,
    torch_device,
    where_to_look,
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
    preset: PresetOption = None,
    synthesis: SynthesisOption = None,
    source: SourceOption = None,
    time_budget: Annotated[
        str | None, typer.Option("--time-budget", help="Train what fits in this time, such as 10m.")
    ] = None,
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
    view: ViewOption = None,
    align: AlignOption = None,
    reference: ReferenceOption = None,
    device: DeviceOption = "auto",
    devices: Annotated[int, typer.Option(help="How many of them (DDP where more than one).", min=1)] = 1,
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = "32-true",
    strategy: Annotated[str, typer.Option(help="Fabric's strategy, such as ddp.")] = "auto",
) -> None:
    """Train an inspector on the good images of DATA."""
    from realnet.calibration import rate, read_calibration
    from realnet.data import check_dataset, with_further

    # What is quickly found wrong is said before torch is loaded.
    budget = seconds(time_budget)
    categories = choose_one(data, category, good)
    if add:
        categories = with_further(categories, add)
    if output is None:
        output = default_run(Path(data), categories, resume, devices)
    chosen = [] if select is None else [f"training.select={select}"]
    if false_alarms is not None:
        chosen.append(f"training.false_alarms={rate(false_alarms)}")
    chosen += tolerance(tolerate)
    place = torch_device(device, devices)
    say_summary(categories)
    chosen += where_to_look(view, align, reference, categories)
    synthesis, source = default_synthesis(Path(data), categories, synthesis, source, assignments, config_file)
    config = configuration(preset, [*(assignments or []), *chosen], config_file, synthesis, source, seed)
    oracle = config.training.select == "oracle"
    check_dataset(categories, need_test=oracle, test_files=True)
    say_empty_masks(categories)

    from realnet.cli.bar import Bar
    from realnet.training.run import ODD_FILE, Launch
    from realnet.training.run import train as train_run

    launch = Launch(place, devices, precision, strategy, budget, resume)
    bar = Bar(oracle, budget)
    with bar.display:
        progress = train_run(categories, config, output, launch, bar)
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
    console.print(said, soft_wrap=True)
    calibration = read_calibration(output)
    if calibration is not None:
        console.print("\n".join(calibration.sentences()), soft_wrap=True, highlight=False)
        if odd := calibration.odd():
            verb = "is" if len(odd) == 1 else "are"
            console.print(f"{', '.join(odd)} {verb} shown in {output / ODD_FILE}.", soft_wrap=True, highlight=False)
    say_what_next(output)


def say_what_next(run: Path) -> None:
    """What to do with a trained run: inspect, or train better where it is not to be relied on."""
    from realnet.model.saving import read_metrics
    from realnet.training.doubts import find_doubts

    doubts = find_doubts(read_metrics(run))
    for sentence in doubts:
        errors.print(f"Warning: {sentence}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if doubts:
        sentence = f"The inspector is {run}; do not rely on it before that is mended."
    else:
        sentence = f"The inspector is {run}. Next: realnet inspect {run} IMAGES --output DIR"
    console.print(sentence, soft_wrap=True, markup=False, highlight=False)
