"""``realnet train``."""

from pathlib import Path
from typing import Annotated

import typer

from realnet.cli.app import app, console, errors
from realnet.cli.options import (
    CategoryOption,
    ConfigOption,
    Data,
    PresetOption,
    SeedOption,
    SetOption,
    SourceOption,
    SynthesisOption,
    configuration,
    one_category,
    seconds,
)


@app.command()
def train(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    category: CategoryOption = None,
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
        str,
        typer.Option(
            help="validation (default), or oracle: keep the state that is best on the TEST images, for comparison "
            "with published tables only; every figure of such a run is marked."
        ),
    ] = "validation",
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu or mps.")] = "auto",
    devices: Annotated[int, typer.Option(help="Devices (DDP where more than one).", min=1)] = 1,
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = "32-true",
    strategy: Annotated[str, typer.Option(help="Fabric's strategy, such as ddp.")] = "auto",
) -> None:
    """Train an inspector on the good images of DATA."""
    config = configuration(
        preset, [*(assignments or []), f"training.select={select}"], config_file, synthesis, source, seed
    )
    budget = seconds(time_budget)
    from realnet.cli.bar import Bar
    from realnet.data import check_dataset, open_dataset
    from realnet.training.run import Launch
    from realnet.training.run import train as train_run

    categories = open_dataset(Path(data), one_category(data, category))
    check_dataset(categories, need_test=select == "oracle")
    launch = Launch(accelerator, devices, precision, strategy, budget, resume)
    bar = Bar()
    try:
        with bar.display:
            progress = train_run(categories, config, output, launch, bar)
    except KeyboardInterrupt:
        errors.print(f"Interrupted. What is finished is kept in {output}: continue with the same call and --resume.")
        raise typer.Exit(130) from None
    console.print(
        f"Trained {progress.step} steps in {progress.seconds:.0f} s; the best validation figure, "
        f"{progress.best_value:.3f}, came at step {progress.best_step} (held-out good images and synthetic "
        f"defects{', CHOSEN BY TEST IMAGES (oracle)' if select == 'oracle' else '; no test image was used'}).",
        soft_wrap=True,
    )
    console.print(f"The inspector is {output}. Next: realnet inspect {output} IMAGES --output DIR", soft_wrap=True)
