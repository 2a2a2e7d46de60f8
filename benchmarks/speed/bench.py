"""Every benchmark of speed, one process after the other, as one table: what was aimed at, measured, and the ratio.

python -m benchmarks.speed.bench --data ROOT --run RUN [--category transistor] [--output FILE.md] [--only|--skip WORD]

ROOT is a data set in MVTec's layout, RUN a trained `lite` run. `make bench DATA=ROOT RUN=RUN` does the same.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.speed.timing import Line


def calls(data: Path, category: str, run: Path, export: Path) -> dict[str, list[str]]:
    """What is run, by a word for ``--only``: module and arguments."""
    images = str(data / category / "test")
    return {
        "inference-lite": ["speed.inference", "lite", "--run", str(run), "--int8"],
        "inference-paper-half": ["speed.inference", "paper-half", "--rounds", "5", "--batch", "4"],
        "inference-paper": ["speed.inference", "paper", "--rounds", "3", "--batch", "2"],
        "end-to-end": ["speed.end_to_end", str(run), images],
        "end-to-end-export": ["speed.end_to_end", str(export), images],
        "peers": ["speed.peers", str(data), str(run), "--category", category],
        "memory-paper": ["speed.memory", "paper"],
        "training-step": ["speed.training_step", str(data), category],
        "training": ["speed.training", str(data), "--category", category],
        "pages": ["speed.pages", str(data), "--category", category],
        "selection": ["speed.selection", str(data), category],
        "metrics": ["speed.metrics"],
        "gpu": ["gpu", "--json"],
        "scale": ["scale", str(run), images, "--rounds", "1", "--json"],
    }


def make_export(run: Path, images: Path, export: Path) -> None:
    """The run as OpenVINO, by a process of its own."""
    command = [sys.executable, "-m", "realnet", "export", str(run), "--images", str(images)]
    subprocess.run([*command, "--format", "openvino", "--output", str(export)], check=True, stdout=sys.stderr)


def measure(arguments: list[str]) -> list[Line]:
    """Run one benchmark; a failure is a line, too."""
    command = [sys.executable, "-m", f"benchmarks.{arguments[0]}", *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [Line(" ".join(arguments[:2]), "", "failed", met=False, note=reason[:200])]
    return [Line(**line) for line in json.loads(done.stdout.strip().splitlines()[-1])]


def table(lines: list[Line]) -> str:
    """The lines in Markdown."""
    rows = ["| what | target | measured | ratio | met | remarks |", "|---|---|---|---|---|---|"]
    for line in lines:
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}x"
        met = {True: "yes", False: "no", None: ""}[line.met]
        rows.append(f"| {line.what} | {line.target} | {line.measured} | {ratio} | {met} | {line.note} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--category", default="transistor")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only", action="append", help="repeatable: a word of a benchmark's name")
    parser.add_argument("--skip", action="append", default=[], help="repeatable, likewise")
    given = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / "openvino"
        for name, arguments in calls(given.data, given.category, given.run, export).items():
            if (given.only and not any(word in name for word in given.only)) or any(
                word in name for word in given.skip
            ):
                continue
            print(f"{name} ...", file=sys.stderr, flush=True)
            if str(export) in arguments:
                make_export(given.run, given.data / given.category / "test", export)
            lines += measure(arguments)
            if given.output:
                given.output.write_text(table(lines) + "\n", encoding="utf-8")
    print(table(lines))


if __name__ == "__main__":
    main()
