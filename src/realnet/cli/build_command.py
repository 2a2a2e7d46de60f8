"""``realnet sdas build``: the SIA data set of one's own data sets."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from realnet.choices import seconds
from realnet.cli import options
from realnet.cli.console import say
from realnet.cli.sdas_commands import BatchSize, Steps, diffusion_configuration, strengths, usual_strength
from realnet.errors import UserError


def build(
    data: Annotated[
        list[str],
        typer.Argument(metavar="ROOT...", help="Data sets, or a folder of them (MVTec AD, MPDD, BTAD, VisA)."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the models and the images.")],
    count: Annotated[int, typer.Option(help="Images a category (the paper's SIA: 10000).", min=1)] = 10_000,
    preset: options.DiffusionPresetOption = None,
    init: options.InitOption = None,
    strength: Annotated[
        str | None, typer.Option(help="s, or low:high to draw it for each image (default: the preset's).")
    ] = None,
    steps: Steps = None,
    batch_size: BatchSize = 16,
    time_budget: Annotated[str | None, typer.Option(help="For the training of each model, such as 2h.")] = None,
    seed: options.SeedOption = None,
    assignments: options.SetOption = None,
    config_file: options.ConfigOption = None,
    device: options.DeviceOption = "auto",
    devices: options.DevicesOption = 1,
    precision: options.PrecisionOption = "32-true",
    ray: options.RayOption = None,
    ray_cpus: options.RayCpus = None,
    ray_gpus: options.RayGpus = None,
) -> None:
    """Make the SIA data set of all categories under ROOT; the same call continues after a stop."""
    config = diffusion_configuration(preset, seed, assignments, config_file)
    budget = seconds(time_budget)
    if init is not None and not init.is_file():
        raise UserError(f"There is no file {init}; check --init.")
    ends = usual_strength(config, "iddpm") if strength is None else strengths(strength, ":")

    from realnet.cli.bar import Bar
    from realnet.cluster.remote_generating import maker_on
    from realnet.diffusion.generating import Request
    from realnet.diffusion.sia_set import build as build_sets
    from realnet.diffusion.sia_set import plan_parts
    from realnet.training.launch import Launch

    parts = plan_parts(data, config)
    categories = sum(len(part.categories) for part in parts)
    place = options.torch_device(device, devices)
    say(
        f"{categories} categories of {len(dict.fromkeys(part.dataset for part in parts))} data sets, {len(parts)} "
        f"models of preset {config.preset}: {categories * count:,} images in {output}."
    )
    request = Request(ends[0], ends[-1], steps or config.training.sampling_steps, config.seed, batch=batch_size)
    launch = Launch(place, devices, precision, time_budget=budget, resume=True)
    with options.ray_cluster(ray, ray_cpus, ray_gpus) as cluster, (watcher := Bar(counts=True)).display:
        made = build_sets(
            parts, config, request, count, output, launch, init, place, watcher,
            None if cluster is None else partial(maker_on, cluster),
        )  # fmt: skip
    say(f"{made:,} images, s from {request.low:g} to {request.high:g}, in {output}.")
    say(f"Next: realnet train DATA --synthesis sia --source {output / parts[0].dataset}")
