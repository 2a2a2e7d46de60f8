"""A whole training of `lite` on this machine: its time, and what it finds on the test images.

python -m benchmarks.speed.training ROOT [--category transistor] [--minutes 10] [--target 0.99]

The test images are looked at when training is over, once; nothing is chosen by them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.speed.timing import Line, emit, hardware


def run(*arguments: str, environment: Mapping[str, str] | None = None) -> None:
    command = [sys.executable, "-m", "realnet", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--category", default="transistor")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--target", type=float, default=0.99, help="image AUROC (default: 0.99)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    which = (given.data, "--category", given.category)
    with tempfile.TemporaryDirectory() as folder:
        where, results = str(Path(folder) / "run"), Path(folder) / "results.json"
        start = time.perf_counter()
        run(
            "train", *which, "--preset", "lite", "--seed", str(given.seed),
            "--time-budget", f"{60 * given.minutes:.0f}s", "--output", where,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        run("evaluate", where, *which, "--json", str(results))
        found = json.loads(results.read_text())["overall"]
        steps = json.loads((Path(where) / "metrics.json").read_text())["training"]["steps"]
    reached = seconds <= 60 * given.minutes and found["image_auroc"] >= given.target
    emit(
        [
            Line(
                f"training of `lite` on {given.category}, from command to inspector",
                f"image AUROC {given.target:g} in {given.minutes:g} min",
                f"{found['image_auroc']:.4f} in {seconds:.0f} s",
                met=reached,
                note=f"pixel AUROC {found['pixel_auroc']:.4f}, PRO {found['pro']:.4f}, {steps} steps, "
                f"seed {given.seed}; {hardware()}",
            )
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
