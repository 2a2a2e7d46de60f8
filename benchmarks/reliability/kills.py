"""Part 3: ``kill -9`` at random moments; the same call, resumed, has to end with what an undisturbed one makes."""

import argparse
import contextlib
import csv
import hashlib
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.reliability.outcome import Line, Outcome
from benchmarks.reliability.processes import Finished, Started, call, descendants
from benchmarks.reliability.product import make_pictures, make_product

COMMANDS = ("train", "inspect", "benchmark", "sample")
# A miniature inspector and a miniature diffusion model: seconds of work each.
INSPECTOR = (
    "model.image_size=64", "model.image_score=max", "model.backbone.taps=[1,2,3,4]", "model.afs.dimensions=[8,8,8,8]",
    "model.afs.batches=1", "model.afs.batch_size=4", "training.defects=12", "training.batch_size=4",
    "training.fresh_anomalies=2", "training.anomaly_window=8",
)  # fmt: skip
DIFFUSION = (
    "output_size=64", "denoiser.image_size=32", "denoiser.patch=4", "denoiser.width=16", "denoiser.multipliers=[1,2]",
    "denoiser.components=4", "process.steps=20", "process.start=0.4", "training.steps=6", "training.batch_size=2",
    "training.report_every=3", "training.report_images=4", "training.sampling_steps=2",
)  # fmt: skip
PLAN = (
    "title: Kills\nquestion: Does it go on?\nrows:\n  - {name: A, synthesis: nsa}\n  - {name: B, synthesis: cutpaste}\n"
)
# Figures of the machine, which no two runs share.
_COSTS = ("seconds", "memory", "per_second")
_MOST_KILLS = 3  # of one run


@dataclass(frozen=True)
class Task:
    """A command that can be resumed.

    Attributes:
        arguments: of a call that writes into the folder it is given.
        resume: options that go on; none where the same call does.
        result: what of that folder has to be equal, by name.
    """

    arguments: Callable[[Path], list[str | Path]]
    resume: tuple[str, ...]
    result: Callable[[Path], dict[str, str]]


@dataclass
class Whole:
    """The undisturbed run.

    Attributes:
        result: what came out.
        appears: seconds of computing after which its folder appeared.
        done: those until its end.
        seconds: that it took.
    """

    result: dict[str, str]
    appears: float
    done: float
    seconds: float

    def moments(self, behind: float) -> tuple[float, float]:
        """First and last for a kill, in seconds of computing, where ``behind`` of those after `appears` are done."""
        return 0.9 * self.appears, max(self.appears, self.done - behind)


@dataclass
class Tally:
    """Of one command."""

    kills: int = 0
    trials: int = 0
    equal: int = 0
    done_before: int = 0
    failures: list[str] = field(default_factory=list)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=50, help="kills, over all commands (default: 50)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COMMANDS, action="append", help="repeatable")
    parser.add_argument("--steps", type=int, default=60, help="of each training (default: 60)")
    parser.add_argument("--images", type=int, default=60, help="to be inspected (default: 60)")
    parser.add_argument("--seconds", type=float, default=1800, help="limit of one call (default: 1800)")


def measure(options: argparse.Namespace) -> Outcome:
    outcome = Outcome("kills")
    names = [name for name in COMMANDS if name in (options.only or COMMANDS)]
    with tempfile.TemporaryDirectory() as temporary:
        for number, name in enumerate(names):
            place = Path(temporary) / name
            task, said = tasks(options, place)[name](), f"`realnet {'sdas ' if name == 'sample' else ''}{name}`"
            wanted = options.count // len(names) + (number < options.count % len(names))
            rng = np.random.default_rng((options.seed, COMMANDS.index(name)))
            try:
                whole = undisturbed(task, place, options.seconds)
            except RuntimeError as error:  # what the others gave is kept
                outcome.lines.append(Line(said, 1, [str(error)]))
                continue
            tally = Tally()
            while tally.kills < wanted and tally.done_before < 5 + 2 * wanted:
                trial(task, whole, place / str(tally.trials), rng, wanted - tally.kills, tally, options.seconds)
            line = Line(f"kill -9 of {said}", tally.kills, tally.failures)
            line.remarks = f"{tally.trials} runs, {tally.equal} equal to the undisturbed one ({whole.seconds:.0f} s)"
            line.remarks += f"; {tally.done_before} times done before its kill"
            if tally.kills < wanted:
                line.failures.append(f"only {tally.kills} of {wanted} kills met it alive")
            outcome.lines.append(line)
            outcome.details[name] = {**vars(tally), "undisturbed": vars(whole)}
    return outcome


def tasks(options: argparse.Namespace, place: Path) -> dict[str, Callable[[], Task]]:
    """Each makes what its command works on, and says how that is called."""

    def training() -> Task:
        product = make_product(options.data, place / "set")
        fields = (*INSPECTOR, f"training.steps={options.steps}", "training.validation_every=10")
        call = ["train", product, "--device", "cpu", "--preset", "lite", "--seed", "0", *_set(fields)]
        return Task(lambda out: [*call, "--output", out], ("--resume",), lambda out: _files(out, "model.safetensors"))

    def inspection() -> Task:
        pictures = make_pictures(options.data, place / "pictures", options.images)
        names = ("results.csv", "results.json", "overlays/*.png")
        return Task(
            lambda out: ["inspect", options.run, pictures, "--output", out],
            ("--resume",),
            lambda out: _files(out, *names),
        )

    def benchmark() -> Task:
        product = make_product(options.data, place / "set")
        plan = place / "kills.yaml"
        plan.write_text(PLAN)
        fields = (*INSPECTOR, f"training.steps={options.steps}", "training.validation_every=10")
        call = ["benchmark", plan, "--data", product, *_set(fields)]
        return Task(lambda out: [*call, "--output", out], (), lambda out: _figures(out / "kills.csv"))

    def sampling() -> Task:
        product, model = make_product(options.data, place / "set"), place / "model"
        call_ = ["sdas", "train", product, "--output", model, "--device", "cpu", "--preset", "lite"]
        _done(call([*call_, "--seed", "0", *_set(DIFFUSION)], place / "log-train", options.seconds))
        made = ["sdas", "sample", model, "--count", str(4 * options.images), "--batch-size", "2"]
        return Task(lambda out: [*made, "--output", out], (), lambda out: _files(out, "**/*.png", "**/manifest.jsonl"))

    return {"train": training, "inspect": inspection, "benchmark": benchmark, "sample": sampling}


def _set(fields: tuple[str, ...]) -> list[str]:
    return [part for one in fields for part in ("--set", one)]


def _done(finished: Finished) -> Finished:
    if finished.status != 0:
        raise RuntimeError(f"status {finished.status} of an undisturbed call: {finished.err[-2000:]}")
    return finished


def undisturbed(task: Task, place: Path, seconds: float) -> Whole:
    """What comes out where nobody kills, and how long it takes."""
    out = place / "whole"
    started = Started(task.arguments(out), place / "log-whole")
    appears = done = 0.0
    while started.running(seconds):
        done = started.computed()
        appears = appears if out.exists() else done
    finished = _done(started.wait(1))
    return Whole(task.result(out), appears, done, finished.seconds)


def trial(
    task: Task, whole: Whole, place: Path, rng: np.random.Generator, most: int, tally: Tally, seconds: float
) -> None:
    """Kill one run up to three times, let it end, and compare.

    A moment is an amount of computing, so that it does not matter what else the machine does. A call that goes on has
    less to do: its moment lies in what the calls before it left. Where they lost work it takes longer, and is alive.
    """
    out, planned = place / "out", min(most, int(rng.integers(1, _MOST_KILLS + 1)))
    arguments, orphans, kills = task.arguments(out), list[int](), 0
    told, behind = f"run {tally.trials}", 0.0
    while True:
        started = Started(arguments, place / f"log{kills}")
        if kills == planned:
            break
        moment = float(rng.uniform(*whole.moments(behind)))
        while alive := started.running(seconds):
            if started.computed() >= moment:
                break
        if not alive:
            tally.done_before += 1
            break
        children = bool(rng.integers(2))
        orphans += [] if children else descendants(started.pid)
        started.kill(children)
        kills += 1
        behind += max(0.0, moment - whole.appears)
        told += f", killed after {moment:.2f} s{'' if children else ' (its children live on)'}"
        arguments = [*task.arguments(out), *(task.resume if out.exists() else ())]
    finished = started.wait(seconds)
    _wait_for(orphans, 60)
    found = finished.problems((0,))
    if found:
        found = [f"{problem} ({finished.last_words()})" for problem in found]
    elif different := compare(whole.result, task.result(out)):
        found = [different]
    found += [f"left over: {path.name}" for path in out.rglob("*.part*")]
    tally.failures += [f"{told}: {problem}" for problem in found]
    tally.kills += kills
    tally.trials += 1
    tally.equal += not found


def compare(expected: dict[str, str], found: dict[str, str]) -> str:
    """What differs, in words; empty for nothing."""
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    return f"{len(wrong)} of {len(expected)} differ: {', '.join(wrong[:3])}" if wrong else ""


def _files(folder: Path, *patterns: str) -> dict[str, str]:
    """SHA-256 of files by their path in ``folder``."""
    found = [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _figures(table: Path) -> dict[str, str]:
    """The figures of a table but for what they cost."""
    if not table.is_file():
        return {}
    with table.open(newline="") as stream:
        rows: list[dict[str, Any]] = list(csv.DictReader(stream))
    return {
        f"{row['row']}, {row['category']}, {row['metric']}": f"{row['mean']} {row['deviation']} {row['seeds']}"
        for row in rows
        if not any(cost in row["metric"] for cost in _COSTS)
    }


def _wait_for(orphans: list[int], seconds: float) -> None:
    """Children that outlived their parent end by themselves; what does not is ended."""
    deadline = time.monotonic() + seconds
    for pid in orphans:
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        with contextlib.suppress(ProcessLookupError):
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)
