"""Seconds and peak memory of a sampling step (Algorithm 1) beside those of the network alone: 10 % more is the target.

python benchmarks/sampling_step.py --preset lite [--preset gpu ...] [--batch 4] [--steps 10] [--rounds 9] [--device cpu]

Time is told twice. Taking turns: steps, and as many bare forward passes; how far the passes differ from themselves
says what such a comparison can tell on this machine. Within: a step beside the network's time in the same step, which
other load meets equally.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from realnet.benchmark.footprint import peak_memory
from realnet.diffusion.denoiser import Denoiser, parameter_count
from realnet.diffusion.sampling import Network, image_noise, synthesise
from realnet.diffusion.schedule import Schedule, make_schedule, respaced

# A step may take this much more than the network's forward pass in it.
TARGET = 1.1
KINDS = ("network", "step")
# A comparison in turns of the same with the same must be this close to one before it is believed.
RESOLUTION = 0.05


def prepared(preset: str, batch: int, steps: int, device: str) -> tuple[Denoiser, Schedule, Tensor]:
    """A network of random weights, the steps that are run, and images."""
    from realnet.diffusion.diffusion_presets import diffusion_presets

    config = diffusion_presets[preset]
    torch.manual_seed(0)
    whole = make_schedule(config.process)
    denoiser = Denoiser(config.denoiser, whole.alphas_bar).eval().to(device)
    size = config.denoiser.image_size
    return denoiser, respaced(whole, steps, config.process.highest), torch.randn(batch, 3, size, size, device=device)


def workloads(network: Network, schedule: Schedule, images: Tensor, categories: int) -> dict[str, Callable[[], object]]:
    """As many forward passes as there are steps, and the steps; both on the same batch."""
    batch, device = len(images), images.device
    strength = torch.full((batch,), 0.1, device=device)
    category = torch.zeros(batch, dtype=torch.long, device=device) if categories else None

    @torch.no_grad()
    def passes() -> None:
        for t in schedule.timesteps.flip(0).tolist():
            network(images, torch.full((batch,), t, device=device), category)

    def steps() -> Tensor:
        shape = (3, images.shape[2], images.shape[3])
        return synthesise(network, schedule, image_noise(0, range(batch), shape, device), strength, category)

    return {"network": passes, "step": steps}


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_turns(work: dict[str, Callable[[], object]], steps: int, rounds: int, device: torch.device) -> dict[str, float]:
    """Median seconds a step: of the step, of the network, and of the network once more (``again``)."""
    runs = {**work, "again": work["network"]}
    taken: dict[str, list[float]] = {kind: [] for kind in runs}
    order = list(runs)
    for round_ in range(rounds + 1):
        for kind in order:
            finish(device)
            start = time.perf_counter()
            runs[kind]()
            finish(device)
            if round_:  # the first warms up
                taken[kind].append((time.perf_counter() - start) / steps)
        order = [*order[1:], order[0]]
    return {kind: statistics.median(values) for kind, values in taken.items()}


def within(denoiser: Denoiser, schedule: Schedule, images: Tensor, rounds: int) -> dict[str, float]:
    """Median seconds a step, and of the network in it. On a GPU each pass is waited for, which flatters neither."""
    inside: list[float] = []

    def timed(x: Tensor, t: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor]:
        finish(images.device)
        start = time.perf_counter()
        result = denoiser(x, t, category)
        finish(images.device)
        inside.append(time.perf_counter() - start)
        return result

    step = workloads(timed, schedule, images, denoiser.config.categories)["step"]
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        inside.clear()
        start = time.perf_counter()
        step()
        finish(images.device)
        taken["step"].append((time.perf_counter() - start) / len(schedule))
        taken["network"].append(sum(inside) / len(schedule))
    middle = sorted(range(rounds), key=lambda k: taken["step"][k] / taken["network"][k])[rounds // 2]
    return {kind: values[middle] for kind, values in taken.items()}  # the pair of the median ratio


def peak(kind: str, preset: str, batch: int, steps: int, device: str, threads: int) -> int:
    """The most bytes held while ``kind`` runs, weights included, Python and its libraries not."""
    from diffusers import UNet2DModel  # noqa: F401  part of what is not counted

    torch.set_num_threads(threads)
    before = peak_memory() or 0
    denoiser, schedule, images = prepared(preset, batch, steps, device)
    work = workloads(denoiser, schedule, images, denoiser.config.categories)[kind]
    work()
    if images.device.type == "cuda":
        return torch.cuda.max_memory_allocated(images.device)
    return (peak_memory() or 0) - before


def peak_of_a_new_process(*arguments: Any) -> int:
    """`peak` where nothing has been held before; the high-water mark of a process never falls."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", action="append", help="may be repeated; default: lite")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--processes", type=int, default=5, help="for the peak memory, which differs from one to the next"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="also print the figures as JSON")
    options = parser.parse_args()
    device, threads = torch.device(options.device), torch.get_num_threads()
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {threads} thread(s)"
    table = Table(title=f"A step of {options.steps} at batch {options.batch}, {machine}, medians of {options.rounds}")
    for name in ("preset", "what", "network", "target", "measured", "ratio"):
        table.add_column(name, justify="left" if name in ("preset", "what") else "right")
    missed, untold, figures = [], [], []
    for preset in options.preset or ["lite"]:
        denoiser, schedule, images = prepared(preset, options.batch, options.steps, options.device)
        name = f"{preset}, {denoiser.config.image_size} px, {parameter_count(denoiser) / 1e6:.1f} M"
        work = workloads(denoiser, schedule, images, denoiser.config.categories)
        turns = in_turns(work, len(schedule), options.rounds, device)
        paired = within(denoiser, schedule, images, options.rounds)
        del denoiser, images, work
        arguments = (preset, options.batch, options.steps, options.device, threads)
        peaks = [{kind: peak_of_a_new_process(kind, *arguments) for kind in KINDS} for _ in range(options.processes)]
        held = {kind: statistics.median(found[kind] for found in peaks) for kind in KINDS}
        control = turns["again"] / turns["network"]
        told = abs(control - 1) <= RESOLUTION
        for what, network, step, unit, scale, counts in (
            ("time, in turns", turns["network"], turns["step"], "ms", 1e3, told),
            ("the network against itself", turns["network"], turns["again"], "ms", 1e3, False),
            ("time, within", paired["network"], paired["step"], "ms", 1e3, True),
            ("peak memory", held["network"], held["step"], "MiB", 2.0**-20, True),
        ):
            row = (scale * network, scale * TARGET * network, scale * step)
            table.add_row(name, what, *(f"{value:.1f} {unit}" for value in row), f"{step / network:.3f}")
            figures.append({"preset": preset, "what": what, "network": row[0], "step": row[2], "unit": unit})
            if counts and step / network > TARGET:
                missed.append(f"{what}, of {preset}: {100 * (step / network - 1):.0f} % over the network's")
        if not told:
            untold.append(f"{preset}: the network differs by {100 * abs(control - 1):.0f} % from itself")
    console = Console()
    console.print(table)
    if options.json:
        print(json.dumps(figures))
    for sentence in untold:
        console.print(f"In turns, the time cannot be told on this machine now; {sentence}.")
    for sentence in missed:
        console.print(f"The target of {100 * (TARGET - 1):.0f} % is missed: {sentence}.")
    if not missed:
        what = "What could be told" if untold else "Everything"
        console.print(f"{what} is within {100 * (TARGET - 1):.0f} % of the network alone.")


if __name__ == "__main__":
    main()
