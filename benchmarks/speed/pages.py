"""Training with memory in huge pages, as the command line asks for it, and without, in turns.

python -m benchmarks.speed.pages ROOT [--category transistor] [--steps 24] [--rounds 2]

Says something only where Linux grants huge pages on request (``/sys/kernel/mm/transparent_hugepage/enabled``).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.speed.timing import Line, emit, hardware, interleaved


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--category", default="transistor")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    training: dict[str, list[float]] = {"0": [], "1": []}
    faults: dict[str, list[int]] = {"0": [], "1": []}

    def train(huge: str) -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "realnet", "train", given.data, "--category", given.category]
            command += ["--preset", "lite", "--set", f"training.steps={given.steps}", "--output", f"{folder}/run"]
            environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": huge}
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            metrics = json.loads(Path(folder, "run", "metrics.json").read_text())
        training[huge].append(metrics["training"]["seconds"])
        faults[huge].append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before)

    interleaved({"without": lambda: train("0"), "with": lambda: train("1")}, given.rounds, warm_up=0)
    without, used = min(training["0"]), min(training["1"])
    emit(
        [
            Line(
                f"training of `lite`, {given.steps} steps, huge pages", "faster than without", f"{used:.0f} s",
                without / used, used < without,
                f"without {without:.0f} s; page faults {min(faults['1']):,} against {min(faults['0']):,}, the better "
                f"of {given.rounds} rounds in turns; {hardware()}",
            )
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
