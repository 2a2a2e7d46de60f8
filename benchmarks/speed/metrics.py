"""Exact pixel figures of many maps: seconds, memory, growth, and the loop over 1,000 thresholds beside it.

python -m benchmarks.speed.metrics [--maps 1000] [--looped 20]

The loop's time is measured on fewer maps and fewer thresholds, and multiplied: it grows with both.
"""

import argparse
import time

import numpy as np
from benchmarks.metrics import example, looped_pro
from benchmarks.speed.timing import Line, emit, peak_gigabytes

from realnet.evaluation.metrics import pixel_figures

SECONDS, GIGABYTES, RATIO = 15.0, 2.0, 100.0


def timed(maps: np.ndarray, masks: np.ndarray) -> float:
    start = time.perf_counter()
    pixel_figures(maps, masks)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=1000)
    parser.add_argument("--looped", type=int, default=20)
    parser.add_argument("--thresholds", type=int, default=50)
    given = parser.parse_args()
    maps, masks = example(given.maps, 256, np.random.default_rng(0))
    before = peak_gigabytes()
    half, whole = timed(maps[: given.maps // 2], masks[: given.maps // 2]), timed(maps, masks)
    memory = peak_gigabytes() - before
    some, theirs = maps[: given.looped], masks[: given.looped]
    start = time.perf_counter()
    looped_pro(some, theirs, given.thresholds)
    loop = (time.perf_counter() - start) * (given.maps / given.looped) * (1000 / given.thresholds)
    emit(
        [
            Line(
                f"pixel AUROC, PRO, AP, F1 of {given.maps} maps", f"< {SECONDS:g} s", f"{whole:.1f} s", None,
                whole < SECONDS, f"half of them {half:.1f} s",
            ),
            Line(
                "their memory", f"< {GIGABYTES:g} GiB", f"{memory:.2f} GiB", None, memory < GIGABYTES,
                "what the peak rose by, the maps themselves not counted",
            ),
            Line(
                "PRO by a loop of 1,000 thresholds", f">= {RATIO:g}x slower", f"{loop:.0f} s", loop / whole,
                loop / whole >= RATIO, f"from {given.looped} maps and {given.thresholds} thresholds",
            ),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
