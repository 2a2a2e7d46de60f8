"""What judging a million images costs: processor time an image of what `realnet inspect --ray` gives to workers.

    python -m benchmarks.judging_cost RUN IMAGES [--count 1000] [--price 0.05]

The same functions as in a worker, in this process: fetch and decode, judge in batches of 8, regions and rows, a Parquet
file for each part of 256. Processor time and not the clock's, so that other work of the machine counts less; the images
are gone through again where there are fewer.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from benchmarks.speed.timing import hardware

from realnet import load
from realnet.cluster import remote_inspecting as inspecting
from realnet.cluster.urls import find_images, write_whole
from realnet.inspection.judging import Judge
from realnet.inspection.tables import to_parquet

PART = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--price", type=float, default=0.05, help="of a core hour (default: 0.05)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    judge = load(options.run, "cpu")
    found = find_images([str(options.images)])
    files = [found[number % len(found)] for number in range(options.count)]
    spent = {"reading and decoding": 0.0, "network": 0.0}

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            start = time.thread_time()
            try:
                return work(*given)
            finally:
                spent[name] += time.thread_time() - start

        return call

    judge.inspect(found[0])
    inspecting._look = counted("reading and decoding", inspecting._look)
    kind: type[Judge] = type(judge)
    kind.measure = counted("network", kind.measure)  # type: ignore[method-assign]
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(0, len(files), PART):
            rows = list(inspecting._judged(judge, files[number : number + PART]))
            write_whole(f"{folder}/part-{number}.parquet", to_parquet(rows))
    total = time.process_time() - start
    spent["maps, regions, rows, Parquet"] = total - sum(spent.values())
    rate = len(files) / total
    print(f"{len(files)} images, {hardware()}\n\n| | ms of processor time an image |\n|---|---|")
    for name, seconds in spent.items():
        print(f"| {name} | {1000 * seconds / len(files):.1f} |")
    print(f"| all | {1000 * total / len(files):.1f} |\n\n{rate:.1f} images a second and core; a million take")
    hours = 1e6 / rate / 3600
    print(f"{hours:.1f} core hours, {hours * options.price:.2f} at {options.price:g} a core hour")


if __name__ == "__main__":
    main()
