"""``realnet benchmark``: the paper's tables, measured on one's own data."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realnet.choices import seconds
from realnet.cli.completion import complete_plan, complete_preset
from realnet.cli.console import complain, console, say
from realnet.cli.options import DeviceOption, RayCpus, RayGpus, RayOption, SetOption, ray_cluster, torch_device
from realnet.errors import UserError

if TYPE_CHECKING:
    from realnet.benchmark.plan import Plan
    from realnet.benchmark.products import DataFolder


def benchmark(
    plan: Annotated[
        str,
        typer.Argument(
            help="table1, table2, ..., tableS6, figure5, peers, or a YAML file; 'list' names them.",
            autocompletion=complete_plan,
        ),
    ],
    data: Annotated[
        list[str] | None, typer.Option(help="A data set, a folder of data sets, or elpv; repeatable.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the jobs and the tables.")] = Path("tables"),
    only: Annotated[list[str] | None, typer.Option(help="Rows of the plan or categories, by name; repeatable.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Categories; repeatable.")] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, such as 0,1,2.")] = "0",
    preset: Annotated[
        str, typer.Option(help="RealNet's preset where a row names none.", autocompletion=complete_preset)
    ] = "lite",
    synthesis: Annotated[
        str | None, typer.Option(help="How defects are made in rows that do not say: dtd, nsa, cutpaste, sia or mix.")
    ] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="For each training, RealNet's and the peers' alike, such as 5m.")
    ] = None,
    assignments: SetOption = None,
    sia: Annotated[
        Path | None, typer.Option(help="Generated images, a folder a category (default: DATA/SIA, or made here).")
    ] = None,
    textures: Annotated[Path | None, typer.Option(help="Textures for dtd (default: DATA/dtd).")] = None,
    diffusion: Annotated[
        list[Path] | None, typer.Option(help="Trained diffusion models to generate with; repeatable.")
    ] = None,
    diffusion_preset: Annotated[
        str | None,
        typer.Option(help="How diffusion models are trained here (default: lite with --preset lite, otherwise none)."),
    ] = None,
    diffusion_budget: Annotated[str | None, typer.Option(help="For the training of each, such as 10m.")] = None,
    init: Annotated[
        Path | None, typer.Option(help="What it begins with: a checkpoint in guided diffusion's layout (paper).")
    ] = None,
    generated: Annotated[int, typer.Option(help="Images to generate a category (the paper: 10000).", min=1)] = 300,
    quality_images: Annotated[int, typer.Option(help="Images a synthesis in tableS6.", min=2)] = 1000,
    inception: Annotated[Path | None, typer.Option(help="Inception weights, for FID and KID in tableS6.")] = None,
    alexnet: Annotated[Path | None, typer.Option(help="AlexNet weights, for LPIPS in tableS6.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch these weights where they are missing.")] = False,
    scored: Annotated[
        list[Path] | None, typer.Option(help="What `realnet score --json` wrote, as a row of the table; repeatable.")
    ] = None,
    at_once: Annotated[
        int, typer.Option("--jobs", help="Jobs side by side, each with its share of the cores (not with --ray).", min=1)
    ] = 1,
    device: DeviceOption = "auto",
    ray: RayOption = None,
    ray_cpus: RayCpus = None,
    ray_gpus: RayGpus = None,
    show: Annotated[bool, typer.Option("--show", help="Only show what is done so far; run nothing.")] = False,
) -> None:
    """Measure a table of the paper on DATA; the same call continues an interrupted one."""
    from realnet.benchmark.plan import plan_names, read_plan

    if plan == "list":
        say(*(f"{name}: {read_plan(name).title}" for name in plan_names()))
        return

    if not data:
        raise UserError("Give the images with --data: a data set, a folder of data sets, or elpv.")
    numbers = _seeds(seeds)
    budget, diffusion_seconds = seconds(time_budget), seconds(diffusion_budget)
    for folder, option in ((sia, "--sia"), (textures, "--textures")):
        if folder is not None and not folder.is_dir():
            raise UserError(f"The folder {folder} does not exist; check {option}.")
    if ray is not None and device != "auto":
        raise UserError("--device is not for a cluster: --ray works on devices as --ray-gpus says.")
    if init is not None and not init.is_file():
        raise UserError(f"There is no file {init}; check --init.")

    from realnet.benchmark.products import find_products

    data_folder = find_products(data)
    chosen = read_plan(plan)
    data_folder = replace(
        data_folder,
        textures=textures.resolve() if textures else data_folder.textures,
        generated=sia.resolve() if sia else data_folder.generated,
    )
    chosen, data_folder = _subset(chosen, data_folder, category or [], only or [])

    from realnet.benchmark.benchmark_tables import make_table
    from realnet.benchmark.expand import Settings, expand
    from realnet.benchmark.outputs import to_terminal, write_outputs
    from realnet.benchmark.runner import Runner, failed
    from realnet.benchmark.scored import add_scored
    from realnet.cli.benchmark_bar import BenchmarkBar

    chosen, foreign = add_scored(chosen, data_folder, scored or [])
    weights = _weights(chosen, inception, alexnet, download)
    settings = Settings(
        preset, tuple(assignments or ()), numbers, synthesis, budget, diffusion_preset, diffusion_seconds, generated,
        quality_images, tuple(diffusion or ()), None if init is None else init.resolve(), *weights,
    )  # fmt: skip
    jobs = output.resolve() / "jobs"
    if not show and ray is None:
        device = torch_device(device)
    with console.status("Reading the data"):
        entries = list(expand(chosen, data_folder, settings, jobs))
    bar = BenchmarkBar()
    if show:
        settled = [Runner(jobs).found(entry) for entry in entries]
    else:
        with ray_cluster(ray, ray_cpus, ray_gpus) as cluster, bar.display:
            if cluster is None:
                runner = Runner(jobs, bar, at_once, device)
            else:
                from realnet.cluster.remote_jobs import worker_on

                runner = Runner(jobs, bar, cluster.room, worker=worker_on(cluster))
            settled = runner.run(entries)
    table = make_table(chosen, [*settled, *foreign], settings.remarks())
    written = write_outputs(table, output)
    for drawn in to_terminal(table):
        console.print(drawn)
    for fact in table.facts:
        console.print(fact, style="dim", highlight=False, soft_wrap=True)
    for finished in failed(settled):
        entry = finished.entry
        complain(f"{entry.row.name}, {entry.product}, seed {entry.seed}: {finished.failure}")
    say(f"Tables: {', '.join(str(path) for path in written)}")
    if failed(settled) and not any(finished.outcome for finished in settled):
        raise typer.Exit(1)


def _weights(
    plan: "Plan", inception: Path | None, alexnet: Path | None, download: bool
) -> tuple[Path | None, Path | None]:
    """The published weights that the quality of images is measured with, as far as they are at hand."""
    from realnet.benchmark.plan import QUALITY

    if not any(row.method == QUALITY for row in plan.rows):
        if inception or alexnet or download:
            raise UserError(f"{plan.name} measures no images: --inception, --alexnet and --download are for tableS6.")
        return None, None
    from realnet.diffusion.quality.networks import alexnet_weights, inception_weights

    found = inception_weights(inception, download), alexnet_weights(alexnet, download)
    return tuple(None if path is None else path.resolve() for path in found)  # type: ignore[return-value]


def _seeds(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 0:
        raise UserError(f"{text!r} are no seeds: write whole numbers from 0 on, such as 0,1,2.")
    return numbers


def _subset(
    plan: "Plan", data_folder: "DataFolder", categories: Sequence[str], only: Sequence[str]
) -> "tuple[Plan, DataFolder]":
    """What ``--category`` and ``--only`` leave; the latter names rows and categories alike."""
    from realnet.benchmark.products import choose

    rows = {row.name.lower(): row for row in plan.rows}
    products = {product.name.lower() for product in data_folder.products}
    unknown = [name for name in only if name.lower() not in rows and name.lower() not in products]
    if unknown:
        raise UserError(
            f"--only {unknown[0]}: that is no row of {plan.name} ({', '.join(row.name for row in plan.rows)}) and no "
            f"category of the data ({', '.join(sorted(products))})."
        )
    named = [name for name in only if name.lower() in products]
    data_folder = choose(data_folder, [*categories, *named])
    kept = [rows[name.lower()] for name in only if name.lower() in rows]
    if kept:
        plan = plan.model_copy(update={"rows": tuple(row for row in plan.rows if row in kept)})
    return plan, data_folder
