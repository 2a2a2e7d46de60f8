"""Accuracy and set-up time by the number of good images: RealNet's presets beside peers of anomalib.

    python -m benchmarks.few_images DATA CATEGORY --counts all,50,20,10,5,3,1 --draws 3 --output FILE.csv
    python -m benchmarks.few_images --chart FILE.csv [FILE.csv ...] --output CHART.png

A draw takes so many of the good training images at random, the same for every method; all test images are judged.
``evidence`` is ``instant`` without the general head. Set-up is timed in one process that has imported everything: CPU
seconds, which other work on the machine changes little, and those of the clock. A finished line is not measured again.
"""

import argparse
import csv
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from realnet.errors import UserError

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "lite": ("lite", {}),
    "instant": ("instant", {}),
    "evidence": ("instant", {"model.discriminator.general": 0.0}),
}
PEERS = ("patchcore", "padim", "dfm", "fre")
NAMES = {
    "instant": "instant", "lite": "lite", "evidence": "evidence alone", "patchcore": "PatchCore", "padim": "PaDiM",
    "dfm": "DFM", "fre": "FRE",
}  # fmt: skip
FIGURES = ("image_auroc", "pixel_auroc", "pro")
COLUMNS = ("data", "category", "count", "draw", "method", *FIGURES, "cpu_seconds", "seconds", "threads")


def subset(data: Path, category: str, count: int | None, draw: int, folder: Path) -> tuple[Path, int]:
    """Write DATA into ``folder`` as links, with ``count`` of its good training images (None: all); and their number."""
    source = data / category
    files = sorted(file for file in (source / "train" / "good").iterdir() if file.is_file())
    kept = files if count is None else [files[i] for i in np.random.default_rng(draw).permutation(len(files))[:count]]
    made = folder / data.name / category
    (made / "train" / "good").mkdir(parents=True)
    for file in kept:
        (made / "train" / "good" / file.name).symlink_to(file.resolve())
    for part in ("test", "ground_truth"):
        if (source / part).exists():
            (made / part).symlink_to((source / part).resolve())
    return folder / data.name, len(kept)


def processor_seconds() -> float:
    """CPU seconds of this process and the ended ones it started."""
    return sum(os.times()[:4])


def measure_run(method: str, data: Path, category: str, draw: int) -> dict[str, float | None]:
    """Train and evaluate one of RealNet's presets."""
    import realnet

    preset, fields = RUNS[method]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        clock, used = time.perf_counter(), processor_seconds()
        realnet.train(data, run, category=category, preset=preset, seed=draw, progress=False, **fields)
        seconds, used = time.perf_counter() - clock, processor_seconds() - used
        overall = realnet.evaluate(run, data, category=category, progress=False).overall
    return {name: getattr(overall, name) for name in FIGURES} | {"cpu_seconds": used, "seconds": seconds}


def measure_peer(method: str, data: Path, category: str, draw: int, budget: float) -> dict[str, float | None]:
    """Fit and judge a peer; one that is trained by steps ends after ``budget`` seconds."""
    from realnet.benchmark.peer_job import figures_of
    from realnet.benchmark.peers.fitting import PeerConfig, fit_peer, judge_images
    from realnet.data import open_dataset

    config = PeerConfig(name=method, seed=draw, time_budget=budget)
    chosen = open_dataset(data, category)[0]
    used = processor_seconds()
    fitted = fit_peer(chosen, config)
    used = processor_seconds() - used
    maps, scores, _ = judge_images(fitted, chosen, config.image_size)
    overall = figures_of(data.name, [chosen], config, maps, scores).overall
    return {name: getattr(overall, name) for name in FIGURES} | {"cpu_seconds": used, "seconds": fitted.seconds}


def read_lines(files: list[Path]) -> list[dict[str, str]]:
    lines: list[dict[str, str]] = []
    for file in files:
        with file.open(newline="") as stream:
            lines += csv.DictReader(stream)
    return lines


def measure(given: argparse.Namespace) -> None:
    output: Path = given.output
    done = {tuple(line[name] for name in COLUMNS[:5]) for line in read_lines([output])} if output.exists() else set()
    with output.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        if not stream.tell():
            writer.writeheader()
        for count in (None if text == "all" else int(text) for text in given.counts.split(",")):
            for draw in range(1 if count is None else given.draws):
                with tempfile.TemporaryDirectory() as folder:
                    data, kept = subset(given.data, given.category, count, draw, Path(folder))
                    for method in given.methods.split(","):
                        line = (given.data.name, given.category, str(kept), str(draw), method)
                        if line in done:
                            continue
                        try:
                            if method in RUNS:
                                found = measure_run(method, data, given.category, draw)
                            else:
                                found = measure_peer(method, data, given.category, draw, given.budget)
                        except UserError as error:  # such as one image for RealNet: a line without figures
                            print(f"{method} with {kept} good images: {error}")
                            found = {}
                        shown = {name: f"{found[name]:.5f}" for name in FIGURES if found.get(name) is not None}
                        shown |= {name: f"{found[name]:.1f}" for name in ("cpu_seconds", "seconds") if name in found}
                        threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
                        writer.writerow(dict(zip(COLUMNS, line, strict=False)) | shown | {"threads": threads})
                        stream.flush()


def chart(files: list[Path], output: Path) -> None:
    """Draw image AUROC over set-up time: a panel a category, a line a method, a point a number of good images."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    lines = [line for line in read_lines(files) if line["image_auroc"]]
    categories = list(dict.fromkeys(line["category"] for line in lines))
    methods = [method for method in NAMES if any(line["method"] == method for line in lines)]
    figure, panels = plt.subplots(1, len(categories), figsize=(4.6 * len(categories), 4.4), squeeze=False)
    for panel, category in zip(panels[0], categories, strict=True):
        for number, method in enumerate(methods):
            own = [line for line in lines if (line["category"], line["method"]) == (category, method)]
            points: list[tuple[int, float, float]] = []
            for count in sorted({int(line["count"]) for line in own}):
                draws = [line for line in own if int(line["count"]) == count]
                seconds, auroc = (
                    np.mean([float(line[name]) for line in draws]) for name in ("cpu_seconds", "image_auroc")
                )
                points.append((count, float(seconds), float(auroc)))
            x, y = [point[1] for point in points], [point[2] for point in points]
            panel.plot(x, y, "-o" if method in RUNS else "--s", color=f"C{number}", label=NAMES[method], markersize=4)
            for count, *place in points:
                panel.annotate(str(count), (place[0], place[1]), fontsize=7, xytext=(3, -8), textcoords="offset points")
        panel.set(title=category.replace("_", " "), xscale="log", xlabel="set-up, CPU seconds", ylabel="image AUROC")
        panel.xaxis.set_minor_formatter("")  # within a decade they would cover each other
        panel.grid(alpha=0.3)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=len(labels), fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(output, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("category", nargs="?")
    parser.add_argument("--counts", default="all,50,20,10,5,3,1")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--methods", default=",".join((*RUNS, *PEERS)))
    parser.add_argument("--budget", type=float, default=30.0, help="seconds for a peer that is trained by steps")
    parser.add_argument("--output", type=Path, required=True, help="a CSV file, or the chart")
    parser.add_argument("--chart", type=Path, nargs="+", help="draw these CSV files instead of measuring")
    given = parser.parse_args()
    if given.chart:
        chart(given.chart, given.output)
    else:
        measure(given)


if __name__ == "__main__":
    main()
