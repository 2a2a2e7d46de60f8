"""Many inspectors behind one server: what loading one costs when it is asked for, and what it takes of the memory.

    python -m benchmarks.many_runs copies RUN OUTPUT --count 100
    python -m benchmarks.many_runs measure OUTPUT IMAGES [--requests 60] [--memory 2] [--cold]

`copies` makes real copies of a run, each a folder of its own. `measure` asks for random ones of them: time of the
processor and of the clock until one that is not in memory is there, its first answer and its second, and how much the
process grows for each. With `--cold` the run's files are first dropped from the system's cache.
"""

import argparse
import os
import resource
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from realnet.data import list_images
from realnet.serving import open_shelf

NEEDED = ("config.yaml", "metrics.json", "calibration.json", "model.safetensors", "images.json")


def copies(run: Path, output: Path, count: int) -> None:
    """Copy what an inspector is loaded from."""
    for number in range(count):
        place = output / f"{run.name}-{number:04}"
        place.mkdir(parents=True)
        for name in NEEDED:
            if (run / name).is_file():
                shutil.copyfile(run / name, place / name)


def forget(folder: Path) -> None:
    """Drop the folder's files from the system's cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What ``work`` gives, and milliseconds of the process's processor time and of the clock."""
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    return found, 1000 * (time.process_time() - processor), 1000 * (time.perf_counter() - clock)


def memory() -> float:
    """MB that the process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def measure(place: Path, images: Path, requests: int, room: float, cold: bool) -> None:
    """Print a table."""
    torch.set_num_threads(1)
    shelf, _ = open_shelf(place, int(room * 2**30))
    shown = list_images([images])[:20]
    shelf[next(iter(shelf))].judge.inspect(shown[0])
    rng, before, rows = np.random.default_rng(0), memory(), []
    there = len(shelf.loaded())
    for number, name in enumerate(rng.permutation(list(shelf))[:requests]):
        if shelf.is_loaded(str(name)):
            continue
        if cold:
            forget(place / str(name))
        image = shown[number % len(shown)]
        model, *loading = timed(lambda name=name: shelf[str(name)])
        _, *first = timed(lambda judge=model.judge, image=image: judge.inspect(image))
        _, *second = timed(lambda judge=model.judge, image=image: judge.inspect(image))
        rows.append((*loading, *first, *second))
    held = len(shelf.loaded())
    state = "cold" if cold else "warm"
    print(f"{len(shelf)} runs, {len(rows)} loaded in turn, {held} in memory at the end, files {state}")
    print("| | processor, ms (median, 95%) | clock, ms (median, 95%) |\n|---|---|---|")
    for k, what in enumerate(("loading", "first answer of what is loaded", "second answer")):
        cells = []
        for column in (2 * k, 2 * k + 1):
            values = sorted(row[column] for row in rows)
            cells.append(f"{statistics.median(values):.0f}, {values[int(0.95 * (len(values) - 1))]:.0f}")
        print(f"| {what} | {cells[0]} | {cells[1]} |")
    own = next(iter(shelf.loaded().values())).judge.bytes_held / 1e6
    grown = f"the process grew by {memory() - before:.0f} MB for {held - there} more"
    print(f"an inspector's own tensors: {own:.0f} MB; {grown}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("copies")
    made.add_argument("run", type=Path)
    made.add_argument("output", type=Path)
    made.add_argument("--count", type=int, default=100)
    told = commands.add_parser("measure")
    told.add_argument("place", type=Path)
    told.add_argument("images", type=Path)
    told.add_argument("--requests", type=int, default=60)
    told.add_argument("--memory", type=float, default=2.0)
    told.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    if options.command == "copies":
        copies(options.run, options.output, options.count)
    else:
        measure(options.place, options.images, options.requests, options.memory, options.cold)


if __name__ == "__main__":
    main()
