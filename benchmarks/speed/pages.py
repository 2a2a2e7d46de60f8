"""Training with memory in huge pages, as the command line asks for it, and without, in turns.

python -m benchmarks.speed.pages ROOT [--category transistor] [--steps 24] [--rounds 2]

Says something only where Linux grants huge pages on request (``/sys/kernel/mm/transparent_hugepage/enabled``).
"""

import argparse
import json
import os
import resource
import tempfile
from pathlib import Path

from benchmarks.speed.timing import Line, emit, hardware
from benchmarks.speed.training import run


def train(data: str, category: str, steps: int, huge: str) -> tuple[float, int]:
    """Seconds of a training and page faults of its process; ``huge`` is 1 for huge pages, 0 for none."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    with tempfile.TemporaryDirectory() as folder:
        run(
            "train", data, "--category", category, "--preset", "lite", "--set", f"training.steps={steps}",
            "--output", f"{folder}/run", environment={**os.environ, "THP_MEM_ALLOC_ENABLE": huge},
        )  # fmt: skip
        metrics = json.loads(Path(folder, "run", "metrics.json").read_text())
    return metrics["training"]["seconds"], resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--category", default="transistor")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    measured: dict[str, list[tuple[float, int]]] = {"0": [], "1": []}
    for _ in range(given.rounds):
        for huge, rounds in measured.items():
            rounds.append(train(given.data, given.category, given.steps, huge))
    (without, faults_without), (used, faults) = min(measured["0"]), min(measured["1"])
    emit(
        [
            Line(
                f"training of `lite`, {given.steps} steps, huge pages", "faster than without", f"{used:.0f} s",
                without / used, used < without,
                f"without {without:.0f} s; page faults {faults:,} against {faults_without:,}, the better of "
                f"{given.rounds} rounds in turns; {hardware()}",
            )
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
