"""Interleaved timing, the machine's matrix product peak, and figures as lines of one table."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from realnet.benchmark.footprint import peak_memory


@dataclass(frozen=True)
class Line:
    """One line of the table: what was aimed at, what came out, and the ratio of reference to ours (or none)."""

    what: str
    target: str
    measured: str
    ratio: float | None = None
    met: bool | None = None
    note: str = ""


def interleaved(functions: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 2) -> dict[str, float]:
    """Median seconds of each, called in turn: what disturbs the machine disturbs all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(warm_up + rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def gemm_peak(size: int = 1536, rounds: int = 9) -> float:
    """Floating point operations a second of a float32 matrix product, the best of ``rounds``, on torch's threads."""
    import torch  # here alone: what runs without it is not to be measured with its memory

    a, b = torch.rand(size, size), torch.rand(size, size)
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def peak_gigabytes() -> float:
    """The most memory that this process has held."""
    return (peak_memory() or 0) / 2**30


def hardware() -> str:
    """Processor and threads, for the record; torch's where it is at work."""
    name = "unknown processor"
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as stream:
            name = next(line.split(":", 1)[1].strip() for line in stream if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    torch = sys.modules.get("torch")
    threads = "no torch" if torch is None else f"{torch.get_num_threads()} torch threads"
    return f"{name}, {os.cpu_count()} cores, {threads}"


def emit(lines: list[Line]) -> None:
    """Print the lines as JSON, the last line of the output: `bench.py` reads it."""
    print(json.dumps([asdict(line) for line in lines]))
