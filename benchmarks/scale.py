"""From one machine of a cluster to two: images a second of `realnet inspect --ray`, against what the first predicts.

python -m benchmarks.scale RUN IMAGES [--count 256] [--part 16] [--cpus 1] [--rounds 3]

The machines are processes of this one (Ray's own test cluster), each with so many cores: what is shared by real ones
(network, object storage) is not measured, and what real ones do not share (memory, caches, clock) is.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.speed.bench import table
from benchmarks.speed.timing import Line, emit, hardware

from realnet import load
from realnet.cluster import remote_inspecting as inspecting
from realnet.cluster.connection import Cluster, Share, connected
from realnet.cluster.urls import find_images
from realnet.inspection.journal import Settings

TARGET = 0.9


@contextmanager
def machines(count: int, cpus: float) -> Iterator[Cluster]:
    """This process, connected to a cluster of ``count`` machines beside the head, which does no work."""
    os.environ.setdefault("RAY_worker_niceness", "0")
    from ray.cluster_utils import Cluster as Inside

    inside = Inside(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(count):
            inside.add_node(num_cpus=cpus)
        inside.wait_for_nodes()
        with connected(inside.address, Share(cpus)) as cluster:
            yield cluster
    finally:
        inside.shutdown()


def rate(cluster: Cluster, run: Path, files: list[str]) -> float:
    """Images a second from the moment when every machine is at work."""
    judge = load(run)
    settings = Settings("", judge.threshold, judge.pixel_threshold, 0, False, False)
    with tempfile.TemporaryDirectory() as folder:
        times: list[tuple[float, int]] = []

        def told(done: int, total: int) -> None:
            times.append((time.perf_counter(), done))

        inspecting.inspect_on(cluster, run, judge, lambda: files, folder, settings, False, told)
    # The first results of all machines are left out: they hold the loading of the model.
    began = times[2 * cluster.room]
    return (times[-1][1] - began[1]) / (times[-1][0] - began[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--part", type=int, default=16, help="images of a part (default: 16)")
    parser.add_argument("--cpus", type=float, default=1, help="cores of a machine (default: 1)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--json", action="store_true", help="the line as JSON, for benchmarks.speed.bench")
    given = parser.parse_args()
    inspecting._PART = given.part
    found = find_images([str(given.images)])
    files = [found[number % len(found)] for number in range(given.count)]
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(given.rounds):
        for count in (1, 2) if turn % 2 == 0 else (2, 1):
            with machines(count, given.cpus) as cluster:
                rates[count].append(rate(cluster, given.run, files))
    one, two = (statistics.median(rates[count]) for count in (1, 2))
    share = two / (2 * one)
    line = Line(
        "inspect --ray, 1 to 2 machines", f">= {TARGET:.0%} of twice", f"{two:.1f} images/s", two / one,
        share >= TARGET,
        f"one machine of {given.cpus:g} cores {one:.1f} images/s, so {share:.0%} of what it predicts; {given.count} "
        f"images, medians of {given.rounds}; {hardware()}",
    )  # fmt: skip
    text = table([line])
    if given.json:
        emit([line])
    else:
        print(text)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
