"""How reliable RealNet is, measured: one JSON file a part in ``--output``, and ``summary.md``.

    python -m benchmarks.reliability malformed|load|kills|hostile|disk|week --run RUN --data FOLDER --output DIR

RUN is a trained run, FOLDER one of images (good ones and others, in any order and depth; of
the week, a folder `good` and others of defects). Every part has small counts
for trying; the exit status is 1 where anything failed.
"""

import argparse
import signal
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.reliability.outcome import PARTS, write


def main() -> int:
    """Run one part; the status to exit with."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reliability",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="part", required=True)
    parts = {}
    for part in PARTS:
        parts[part] = import_module(f"benchmarks.reliability.{part}")
        command = commands.add_parser(part, help=parts[part].__doc__.strip().splitlines()[0])
        command.add_argument("--run", type=Path, required=True, help="a trained run")
        command.add_argument("--data", type=Path, required=True, help="folder of images")
        command.add_argument("--output", type=Path, required=True, help="folder for results")
        parts[part].add_options(command)
    options = parser.parse_args()
    for name in ("run", "data", "output"):
        setattr(options, name, getattr(options, name).resolve())
    # What was started is ended, whoever ends this.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    outcome = parts[options.part].measure(options)
    write(outcome, options.output, vars(options))
    print((options.output / "summary.md").read_text(encoding="utf-8"))
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
