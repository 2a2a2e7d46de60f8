"""Part 4: hostile folders as RUN or export, through ``inspect``, ``serve`` and ``evaluate``."""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.reliability.folders import EITHER, EXPORTS, RUNS, Spoil, copy_run
from benchmarks.reliability.outcome import Line, Outcome
from benchmarks.reliability.processes import Finished, NotServing, Started, await_port, call
from benchmarks.reliability.product import make_product

COMMANDS = ("inspect", "serve", "evaluate")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, help="folders to try (default: all)")
    parser.add_argument("--only", default="", help="folders with this in their name")
    parser.add_argument("--seconds", type=float, default=300, help="limit of one call (default: 300)")


def measure(options: argparse.Namespace) -> Outcome:
    outcome = Outcome("hostile", details={"sentences": {}})
    lines = {command: Line(f"hostile folders through `realnet {command}`", 0) for command in COMMANDS}
    cases = [(name, spoil) for name, spoil in {**RUNS, **EXPORTS, **EITHER}.items() if options.only in name]
    with tempfile.TemporaryDirectory() as temporary:
        product = make_product(options.data, Path(temporary) / "set")
        for number, (name, spoil) in enumerate(cases[: options.count]):
            place = Path(temporary) / str(number)
            canary = place / "canary"
            folder = prepare(options.run, place, canary, name, spoil)
            said = {}
            for command in COMMANDS:
                finished = _try(command, folder, product, place, options.seconds)
                line = lines[command]
                line.count += 1
                problems = _problems(finished, name, canary)
                if command == "inspect" and finished.status == 0:
                    problems += _verdict_problems(place / "out" / "results.json")
                line.failures += [f"{name}: {problem}" for problem in problems]
                said[command] = "served or done" if finished.status == 0 else finished.last_words()
            outcome.details["sentences"][name] = said
            shutil.rmtree(place)
    outcome.lines = list(lines.values())
    return outcome


def prepare(run: Path, place: Path, canary: Path, name: str, spoil: Spoil) -> Path:
    """The hostile folder of that name in ``place``."""
    folder = place / "run"
    if name in EXPORTS:
        folder.mkdir(parents=True)
    else:
        copy_run(run, folder)
    spoil(folder, canary)
    return folder


def _try(command: str, folder: Path, product: Path, place: Path, seconds: float) -> Finished:
    log = place / command
    if command == "inspect":
        image = next((product / "widget" / "test").rglob("*.png"))
        return call(["inspect", folder, image, "--output", place / "out"], log, seconds)
    if command == "evaluate":
        return call(["evaluate", folder, product], log, seconds)
    started = Started(["serve", folder, "--port", "0"], log)
    try:
        await_port(started, seconds)
    except NotServing as error:
        return error.finished
    started.kill()
    return Finished(0, started.files[0].read_text(), started.files[1].read_text(), 0)


def _problems(finished: Finished, name: str, canary: Path) -> list[str]:
    """What is wrong: nothing of the folder may run, and what is refused is refused in a sentence."""
    found = finished.problems((0, 2)) if name in EITHER else []
    if not found and (name not in EITHER or finished.status != 0):
        found = finished.refusal_problems()
    if found:
        found[-1] += f" ({finished.last_words()})"
    if canary.exists():
        found.append("code in the folder was run")
        canary.unlink()
    return found


def _verdict_problems(results: Path) -> list[str]:
    """A verdict that rests on no number is worse than none."""
    rows = json.loads(results.read_text())
    return [
        f"verdict {row['verdict']} of score {row['score']} at threshold {row['threshold']}"
        for row in rows
        if row["score"] is not None and not (0 <= row["score"] <= 1 and 0 <= row["threshold"] <= 1)
    ]
