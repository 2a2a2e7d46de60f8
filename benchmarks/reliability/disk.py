"""Part 5: a full disk, a folder that cannot be written, two processes in one folder."""

import argparse
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.reliability.kills import Task, Whole, compare, tasks, undisturbed
from benchmarks.reliability.outcome import Line, Outcome
from benchmarks.reliability.processes import Finished, Started, call
from benchmarks.reliability.product import NAME, make_product

MEGABYTES = 400
# Of what a command writes, so much finds room.
SHARES = (0.0, 0.02, 0.1, 0.3, 0.6, 0.9)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=len(SHARES), help="full disks a command (default: all)")
    parser.add_argument("--only", choices=("train", "inspect", "export"), action="append", help="repeatable")
    parser.add_argument("--steps", type=int, default=20, help="of each training (default: 20)")
    parser.add_argument("--images", type=int, default=24, help="to be inspected (default: 24)")
    parser.add_argument("--seconds", type=float, default=900, help="limit of one call (default: 900)")


def measure(options: argparse.Namespace) -> Outcome:
    outcome = Outcome("disk")
    with tempfile.TemporaryDirectory() as temporary, small_disk(Path(temporary) / "disk") as disk:
        for name in options.only or ("train", "inspect", "export"):
            place = Path(temporary) / name
            task = _export(options, place) if name == "export" else tasks(options, place)[name]()
            try:
                whole = undisturbed(task, place, options.seconds)
            except RuntimeError as error:  # what the others gave is kept
                outcome.lines.append(Line(f"`realnet {name}`", 1, [str(error)]))
                continue
            length = sum(path.stat().st_size for path in (place / "whole").rglob("*") if path.is_file())
            if disk is None:
                outcome.details["mount"] = "no disk can be mounted here; full and read-only ones were not tried"
            else:
                outcome.lines.append(_full(name, task, whole, length, place, disk, options))
                outcome.lines.append(_read_only(name, task, place, disk, options.seconds))
            if name != "export":
                outcome.lines.append(_both(name, task, whole, place, options.seconds))
    return outcome


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path | None]:
    """A disk of some megabytes; None where none can be mounted."""
    place.mkdir()
    if not _mount("-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)):
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _export(options: argparse.Namespace, place: Path) -> Task:
    """Its files are not compared: exporters name what is in them anew each time."""
    good = make_product(options.data, place / "set") / NAME / "train"
    call_ = ["export", options.run, "--format", "onnx", "--images", good]
    return Task(lambda out: [*call_, "--output", out], (), lambda out: {})


def _full(
    name: str, task: Task, whole: Whole, length: int, place: Path, disk: Path, options: argparse.Namespace
) -> Line:
    line, fitted = Line(f"`realnet {name}` on a full disk, then with room", 0), 0
    for share in SHARES[: options.count]:
        out, ballast = disk / "out", disk / "ballast"
        fill(ballast, int(share * length))
        finished = call(task.arguments(out), place / "log", options.seconds)
        line.count += 1
        told = f"with room for {share:.0%}"
        if finished.status == 0:
            fitted += 1  # what is in the folder is more than what the command must have
        else:
            line.failures += [f"{told}: {problem}" for problem in _refusal(finished)]
        line.failures += [f"{told}: left over: {path.name}" for path in disk.rglob("*.part*")]
        ballast.unlink()
        again = call([*task.arguments(out), *(task.resume if out.exists() else ())], place / "log", options.seconds)
        found = again.problems((0,))
        if not found and (different := compare(whole.result, task.result(out))):
            found = [different]
        line.failures += [f"{told}, then freed: {problem} ({again.last_words()})" for problem in found]
        shutil.rmtree(out, ignore_errors=True)
    line.remarks = f"{length / 1e6:.1f} MB wanted, room for {', '.join(f'{s:.0%}' for s in SHARES[: options.count])}"
    line.remarks += f"; {fitted} ended well all the same" if fitted else ""
    return line


def fill(ballast: Path, left: int) -> None:
    """Leave so many bytes of the disk, or fewer where others write meanwhile."""
    found = os.statvfs(ballast.parent)
    rest = found.f_bavail * found.f_frsize - left
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while rest > 0:
            rest -= stream.write(bytes(min(rest, 1 << 20)))


def _refusal(finished: Finished) -> list[str]:
    """A full disk may be met after warnings and progress; the last line is the sentence."""
    found = finished.problems((2,))
    if not found and (finished.err.count("Error: ") != 1 or not finished.last_words().startswith("Error: ")):
        found = [f"not one sentence: {finished.err.strip()[-300:]}"]
    return [f"{problem} ({finished.last_words()})" for problem in found]


def _read_only(name: str, task: Task, place: Path, disk: Path, seconds: float) -> Line:
    line = Line(f"`realnet {name}` into a read-only folder", 1)
    if not _mount("-o", "remount,ro", str(disk)):
        return replace(line, count=0, remarks="it cannot be made read-only here")
    try:
        finished = call(task.arguments(disk / "out"), place / "log", seconds)
        line.failures += _refusal(finished)
        line.remarks = finished.last_words().replace(str(disk), "DISK")
    finally:
        _mount("-o", "remount,rw", str(disk))
    return line


def _both(name: str, task: Task, whole: Whole, place: Path, seconds: float) -> Line:
    """Two at once: each ends well or with a sentence, one ends well, and the result is whole."""
    line, out = Line(f"two of `realnet {name}` in one folder", 2), place / "shared"
    pair = [Started(task.arguments(out), place / f"both{number}") for number in range(2)]
    ends = [started.wait(seconds) for started in pair]
    for finished in ends:
        line.failures += finished.problems((0, 2)) if finished.status != 2 else _refusal(finished)
    if not any(finished.status == 0 for finished in ends):
        line.failures.append("neither ended well")
    elif different := compare(whole.result, task.result(out)):
        line.failures.append(different)
    line.failures += [f"left over: {path.name}" for path in out.rglob("*.part*")]
    line.remarks = "; ".join(
        "done" if finished.status == 0 else finished.last_words().replace(str(out), "OUT") for finished in ends
    )
    return line
