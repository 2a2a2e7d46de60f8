"""``realnet sdas``: train a diffusion model of good images and make anomaly images (SIA) with it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from realnet.choices import seconds
from realnet.cli import options
from realnet.cli.bar import Bar
from realnet.cli.console import say
from realnet.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from realnet.diffusion.config import DiffusionConfig
    from realnet.diffusion.generating import Request
    from realnet.diffusion.model_folder import DiffusionModel

Model = Annotated[Path, typer.Argument(help="Folder of a trained diffusion model.")]
Steps = Annotated[int | None, typer.Option(help="Sampling steps (default: the model's).", min=1)]
Strengths = Annotated[
    str | None, typer.Option("--strengths", help="Columns, such as 0,0.1,0.2 (default: around the model's).")
]
Sampling = Annotated[str, typer.Option(help="iddpm (Algorithm 1) or ddim (Algorithm S1).")]
Perturbing = Annotated[str, typer.Option(help="The variance that ddim scales: beta, posterior or learned.")]
Guidance = Annotated[float, typer.Option(help="Scale of the classifier's guidance; 0: none.", min=0)]
BatchSize = Annotated[int, typer.Option(help="Images made together; part of what the set is.", min=1)]


def train(
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model.")],
    category: options.CategoryOption = None,
    good: options.GoodOption = None,
    preset: options.DiffusionPresetOption = None,
    init: options.InitOption = None,
    time_budget: options.TimeBudgetOption = None,
    seed: options.SeedOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    assignments: options.SetOption = None,
    config_file: options.ConfigOption = None,
    device: options.DeviceOption = "auto",
    devices: options.DevicesOption = 1,
    precision: options.PrecisionOption = "32-true",
    strategy: options.StrategyOption = "auto",
) -> None:
    """Train a diffusion model on the good images of DATA; of all categories together where none is named."""
    from realnet.data import check_dataset, open_dataset

    budget = seconds(time_budget)
    categories = open_dataset(Path(data), category, good or ())
    place = options.torch_device(device, devices)
    options.say_summary(categories)
    check_dataset(categories, need_test=False)
    config = diffusion_configuration(preset, seed, assignments, config_file)

    from realnet.diffusion.training_run import train_diffusion
    from realnet.training.launch import Launch

    with (watcher := Bar(counts=True)).display:
        progress = train_diffusion(
            categories, config, output, Launch(place, devices, precision, strategy, budget, resume), init, watcher
        )
    if not progress.log:
        return  # the first process of several keeps the log, and talks
    last = progress.log[-1]
    say(
        f"Trained {progress.step} steps in {progress.seconds:.0f} s; readiness {last['readiness']:.2f} "
        f"({last['verdict']}). Samples of good images: {output / 'samples'}"
    )
    say(
        f"Next: realnet sdas grid {output} --output grid.png, "
        f"then realnet sdas sample {output} --count 1000 --output SIA"
    )


def sample(
    model: Model,
    count: Annotated[int, typer.Option(help="How many images a category.", min=1)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the images, one folder a category in it.")],
    category: Annotated[str | None, typer.Option(help="One category, or 'all' the model was trained on.")] = None,
    strength: Annotated[
        str | None,
        typer.Option(help="s, or low:high to draw it for each image; 0 makes good images (default: the model's)."),
    ] = None,
    steps: Steps = None,
    seed: options.SeedOption = 0,
    sampler: Sampling = "iddpm",
    perturbation: Perturbing = "learned",
    guidance: Guidance = 0.0,
    batch_size: BatchSize = 8,
    device: options.DeviceOption = "auto",
    ray: options.RayOption = None,
    ray_cpus: options.RayCpus = None,
    ray_gpus: options.RayGpus = None,
) -> None:
    """Make anomaly images with a manifest of their origin; the same call continues after a stop."""
    wanted = None if strength is None else strengths(strength, ":")
    loaded, request = ready(model, wanted, steps, seed, sampler, perturbation, guidance, batch_size, device)

    from realnet.cluster.remote_generating import maker_on
    from realnet.diffusion.generating import sample_set

    names = loaded.categories if category == "all" else (loaded.categories[loaded.category_number(category)],)
    with options.ray_cluster(ray, ray_cpus, ray_gpus) as cluster, (watcher := Bar(counts=True)).display:
        maker = None if cluster is None else maker_on(cluster, loaded, request)
        for name in names:
            told = partial(watcher.stage, name, total=count)
            manifest = sample_set(loaded, name, request, count, output, told, maker)
            say(
                f"{count} images of {name}, s from {request.low:g} to {request.high:g}; {manifest} names the origin of "
                "each."
            )
    say(f"Next: realnet train DATA --synthesis sia --source {output}")


def grid(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="The sheet, a .png file.")],
    category: Annotated[str | None, typer.Option(help="The category to draw.")] = None,
    values: Strengths = None,
    rows: Annotated[int, typer.Option(help="Images, one a row.", min=1, max=64)] = 6,
    local: Annotated[
        Path | None,
        typer.Option(help="A data set: blend them into its good images, as local anomalies, one mask a row (Fig. S6)."),
    ] = None,
    steps: Steps = None,
    seed: options.SeedOption = 0,
    sampler: Sampling = "iddpm",
    perturbation: Perturbing = "learned",
    guidance: Guidance = 0.0,
    device: options.DeviceOption = "auto",
) -> None:
    """Draw images of the same noise at growing strengths, side by side (Figs. 3a, S1, S4, S6)."""
    wanted = None if values is None else strengths(values, ",")
    options.check_png(output)
    loaded, request = ready(model, [0.0], steps, seed, sampler, perturbation, guidance, min(rows, 8), device)
    low, high = usual_strength(loaded.config, sampler)
    columns = wanted or [0.0, low, (low + high) / 2, high, 2 * high]

    from realnet.diffusion.grid import local_columns
    from realnet.synthesis import grid_image, write_figure

    name = loaded.categories[loaded.category_number(category)]
    goods = None if local is None else _good_images(local, name, loaded.config.size, rows)
    drawn, titles = draw_columns(loaded, name, columns, rows, request)
    if goods is not None:
        made = len(columns)
        drawn = [goods, *local_columns(drawn[-made:], goods, seed or 0)]
        titles = ["good image", *titles[-made:]]
    write_figure(output, grid_image(drawn, titles))
    say(f"{rows} images of {name} at s = {', '.join(f'{s:g}' for s in columns)}: {output}")


def draw_columns(
    model: "DiffusionModel", category: str, strengths: Sequence[float], rows: int, request: "Request"
) -> "tuple[list[list[np.ndarray]], list[str]]":
    """As :func:`realnet.diffusion.grid.strength_columns`, with a bar."""
    from realnet.diffusion.grid import strength_columns

    with (watcher := Bar(counts=True)).display:
        told = partial(watcher.stage, category, total=len(strengths) + (model.config.process.start < 1))
        return strength_columns(model, category, strengths, rows, request, told)


def _good_images(data: Path, category: str, size: int, count: int) -> "list[np.ndarray]":
    """The first good images of ``category``, or of the only one there is; the same again where there are too few."""
    from realnet.data import check_dataset, open_dataset, read_image, survey

    categories = open_dataset(data)
    if len(categories) > 1:
        categories = open_dataset(data, category)
    check_dataset(categories, need_test=False)
    paths = [sample.image for sample in categories[0].train]
    levels = survey(paths).levels
    return [read_image(paths[number % len(paths)], size, levels) for number in range(count)]


def diffusion_configuration(
    preset: str | None, seed: int | None, assignments: list[str] | None, file: Path | None
) -> "DiffusionConfig":
    """The configuration by preset, then YAML file, then ``--set`` and ``--seed``; UserError where one is unknown."""
    from realnet.diffusion.diffusion_presets import diffusion_presets
    from realnet.overriding import override

    if preset is None:
        import torch

        preset = "gpu" if torch.cuda.is_available() else "lite"
    if preset not in diffusion_presets:
        raise UserError(f"There is no preset {preset!r} of sdas; choose one of {', '.join(diffusion_presets)}.")
    named = [] if seed is None else [f"seed={seed}"]
    return override(diffusion_presets[preset], (assignments or []) + named, file)


def strengths(text: str, separator: str) -> list[float]:
    """Strengths as written: ``0.1:0.2`` or ``0,0.1,0.2``; UserError for anything else, and below 0."""
    example = "0.1, or 0.1:0.2" if separator == ":" else "0,0.1,0.2"
    try:
        values = [float(part) for part in text.split(separator)]
    except ValueError:
        values = []
    fitting = bool(values) and all(0 <= value < 1e3 for value in values)
    if not fitting or (separator == ":" and (len(values) > 2 or values[0] > values[-1])):
        raise UserError(f"{text!r} is no strength: write {example}, with numbers from 0 on, the lower first.")
    return values


def ready(
    model: Path,
    strength: list[float] | None,
    steps: int | None,
    seed: int | None,
    sampler: Any,
    perturbation: Any,
    guidance: float,
    batch: int,
    device: str,
) -> "tuple[DiffusionModel, Request]":
    """The loaded model and what is asked of it, once everything about the call is known to be right.

    ``strength`` is one value, or the ends of a range; None: the model's own.
    """
    if sampler not in ("iddpm", "ddim"):
        raise UserError(f"There is no sampler {sampler!r}: use iddpm or ddim.")
    if perturbation not in ("beta", "posterior", "learned"):
        raise UserError(f"There is no perturbation {perturbation!r}: use beta, posterior or learned.")
    if not model.is_dir():
        raise UserError(f"{model} does not exist. Give the --output folder of `realnet sdas train`.")

    from realnet.diffusion.generating import Request
    from realnet.diffusion.model_folder import load_diffusion, load_diffusion_config

    config = load_diffusion_config(model)
    ends = strength or usual_strength(config, sampler)
    request = Request(
        ends[0], ends[-1], steps or config.training.sampling_steps, seed or 0, sampler, perturbation, guidance, batch
    )
    return load_diffusion(model, options.torch_device(device), guided=guidance > 0), request


def usual_strength(config: "DiffusionConfig", sampler: str) -> tuple[float, float]:
    """The range of s that a model is sampled with where none is asked for.

    DDIM adds no noise but the perturbation and needs less: the paper has 0.01 to 0.03 where Algorithm 1 has 0.1 to 0.2.
    """
    low, high = config.process.strength
    return (low, high) if sampler == "iddpm" else (low * 0.1, high * 0.15)
