"""Accuracy of a preset on real data over seeds: runs the command line as a user would and tabulates what it wrote.

    python benchmarks/accuracy.py DATA CATEGORY --seeds 0,1,2 --output runs/accuracy -- --preset lite --time-budget 15m

What follows `--` goes to `realnet train` as it is. Finished runs are not trained again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

FIGURES = ("image_auroc", "pixel_auroc", "pro", "image_average_precision", "pixel_average_precision")


def run(*arguments: str) -> None:
    print("$ realnet", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "realnet", *arguments], check=True)


def train_and_evaluate(data: str, category: str, seed: int, folder: Path, options: list[str]) -> dict:
    where = folder / f"{category}-seed{seed}"
    run("train", data, "--category", category, "--seed", str(seed), "--output", str(where), "--resume", *options)
    results = where / "results.json"
    run("evaluate", str(where), data, "--category", category, "--json", str(results))
    row = json.loads(results.read_text())["overall"]
    row["training"] = json.loads((where / "metrics.json").read_text())["training"]
    row["provenance"] = json.loads(results.read_text())["provenance"]
    return row


def cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("category")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--output", type=Path, required=True)
    options = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    arguments = parser.parse_args(sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else None)
    rows = []
    for seed in map(int, arguments.seeds.split(",")):
        rows.append(train_and_evaluate(arguments.data, arguments.category, seed, arguments.output, options))
    lines = ["| seed | " + " | ".join(FIGURES) + " | steps | seconds |", "|" + "---|" * (len(FIGURES) + 3)]
    for seed, row in zip(arguments.seeds.split(","), rows, strict=True):
        training = row["training"]
        cells = [seed, *(cell(row[name]) for name in FIGURES), str(training["steps"]), f"{training['seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    means = []
    for name in FIGURES:
        values = [row[name] for row in rows if row[name] is not None]
        means.append(f"{np.mean(values):.4f} ± {np.std(values):.4f}" if values else "-")
    lines.append("| mean | " + " | ".join(means) + " | | |")
    facts = rows[0]["provenance"]
    lines += ["", f"{facts['data']}, split {facts['split']}, preset {facts['preset']}, image score "
              f"{facts['image_score']}, selection {facts['selection']}, {facts['hardware']}"]  # fmt: skip
    table = "\n".join(lines) + "\n"
    (arguments.output / f"{arguments.category}.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()
