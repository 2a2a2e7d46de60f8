"""Seconds for the exact metrics, and for PRO by a loop over 1,000 thresholds and region properties.

python benchmarks/metrics.py [--maps 160] [--size 256] [--loop-thresholds 1000]
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.integrate import trapezoid
from skimage.measure import label, regionprops

from realnet.evaluation import per_region_overlap, pixel_auroc
from realnet.evaluation.metrics import pixel_figures
from realnet.evaluation.protocol import realnet_protocol


def example(count: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Smooth noise, higher in one or two ellipses on three of four images: maps float32, masks bool."""
    maps = np.empty((count, size, size), np.float32)
    masks = np.zeros((count, size, size), bool)
    for anomaly_map, mask in zip(maps, masks, strict=True):
        noise = cv2.GaussianBlur(rng.normal(size=(size, size)).astype(np.float32), (0, 0), 2)
        drawn = np.zeros((size, size), np.uint8)
        for _ in range(rng.integers(1, 3) if rng.random() < 0.75 else 0):
            centre = rng.integers(0, size, 2).tolist()
            axes = rng.integers(max(2, size // 64), size // 8, 2).tolist()
            cv2.ellipse(drawn, centre, axes, float(rng.integers(180)), 0, 360, 1, -1)
        mask[:] = drawn > 0
        anomaly_map[:] = 1 / (1 + np.exp(-8 * noise - 3 * cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), 4)))
    return maps, masks


def looped_pro(maps: np.ndarray, masks: np.ndarray, thresholds: int, limit: float = 0.3) -> float:
    """The usual way: for each threshold, for each image, for each region."""
    fprs, overlaps = [], []
    normal = ~masks
    for threshold in np.linspace(maps.max(), maps.min(), thresholds):
        found = maps >= threshold
        overlap = [
            found[index][tuple(region.coords.T)].mean()
            for index in range(len(maps))
            for region in regionprops(label(masks[index], connectivity=2))
        ]
        fprs.append((found & normal).sum() / normal.sum())
        overlaps.append(np.mean(overlap))
    x = np.append(np.array(fprs)[np.array(fprs) < limit], limit)
    return float(trapezoid(np.interp(x, fprs, overlaps), x) / limit)


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """The result and the seconds it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maps", type=int, default=160)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--loop-thresholds", type=int, default=1000, help="0 leaves the loop out")
    parser.add_argument("--memory", action="store_true", help="also trace peak memory of all figures together")
    options = parser.parse_args()
    maps, masks = example(options.maps, options.size, np.random.default_rng(0))
    pro, pro_seconds = timed(per_region_overlap, maps, masks)
    rows = [("PRO, exact", f"{pro:.6f}", pro_seconds)]
    auroc, seconds = timed(pixel_auroc, maps, masks)
    rows.append(("pixel AUROC, exact", f"{auroc:.6f}", seconds))
    figures, seconds = timed(pixel_figures, maps, masks)
    rows.append(("AUROC, PRO, AP and F1-max together, exact", f"PRO {figures.pro:.6f}", seconds))
    protocol, seconds = timed(realnet_protocol, maps, masks)
    rows.append(("the authors' protocol (1,000 thresholds)", f"PRO {protocol.pro:.6f}", seconds))
    if options.loop_thresholds:
        value, seconds = timed(looped_pro, maps, masks, options.loop_thresholds)
        rows.append((f"PRO, loop over {options.loop_thresholds} thresholds", f"{value:.6f}", seconds))
    table = Table(title=f"{options.maps} maps of {options.size} x {options.size}")
    for name in ("what", "value", "seconds", "times exact PRO"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for what, value, seconds in rows:
        table.add_row(what, value, f"{seconds:.2f}", f"{seconds / pro_seconds:.1f}")
    console = Console()
    console.print(table)
    if options.memory:
        tracemalloc.start()
        pixel_figures(maps, masks)
        console.print(
            f"peak of extra memory, all figures together: {tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB"
        )


if __name__ == "__main__":
    main()
