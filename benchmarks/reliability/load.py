"""Part 2: a server under as many requests as it can answer, for minutes; alone, or in turns with LitServe."""

import argparse
import contextlib
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.reliability.client import Body, Client, multipart
from benchmarks.reliability.encoding import SUFFIXES
from benchmarks.reliability.outcome import Line, Outcome
from benchmarks.reliability.processes import Server, serving

EVERY_SECONDS = 10.0
IMAGES = 24


@dataclass
class Load:
    """What clients saw: seconds of each good answer and when it came, and every other answer's status."""

    seconds: list[float] = field(default_factory=list)
    others: Counter[int] = field(default_factory=Counter)
    words: list[str] = field(default_factory=list)
    lasted: float = 0.0

    @property
    def rate(self) -> float:
        """Images a second."""
        return len(self.seconds) / self.lasted if self.lasted else 0.0

    @property
    def errors(self) -> int:
        """Answers that are neither good nor 503."""
        return sum(count for status, count in self.others.items() if status != 503)

    def latencies(self) -> dict[str, float]:
        """Percentiles in ms."""
        if not self.seconds:
            return {}
        return {f"p{p}": round(1e3 * float(np.percentile(self.seconds, p)), 1) for p in (50, 90, 99)}

    def figures(self) -> dict[str, Any]:
        """For the JSON file."""
        return {"images": len(self.seconds), "images_per_second": round(self.rate, 3), "latency_ms": self.latencies(),
                "errors": self.errors, "status_503": self.others[503], "seconds": round(self.lasted, 1)}  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--threads", type=int, default=16, help="clients (default: 16)")
    parser.add_argument("--against", choices=["litserve"], help="in turns with the same inspector behind LitServe")
    parser.add_argument("--slice", type=float, default=20, help="seconds of each turn (default: 20)")


def measure(options: argparse.Namespace) -> Outcome:
    bodies = prepared(options.data)
    if options.against:
        return _compare(options, bodies)
    outcome = Outcome("load")
    with serving(options.run, options.output / "load") as server, watching(server) as memory:
        warm(server, bodies)
        memory.clear()
        found = saturate(server, bodies, options.threads, 60 * options.minutes)
        alive = server.alive
    line = Line(f"requests of {options.threads} clients in {options.minutes:g} minutes", len(found.seconds))
    line.failures += _failures(found, alive, "realnet serve")
    trend = memory_trend(memory)
    line.remarks = _remarks(found) + (
        f"; memory {trend['first_minute_mb']:.0f} MB in the first minute, {trend['last_minute_mb']:.0f} MB in the "
        f"last, {trend['mb_per_hour']:+.1f} MB/h by a line fit"
    )
    outcome.lines.append(line)
    outcome.details = {**found.figures(), "memory": trend, "memory_mb": [[round(t, 1), round(m, 1)] for t, m in memory]}
    return outcome


def prepared(data: Path) -> list[Body]:
    """Requests with the files of a folder, as they are."""
    found = sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    chosen = found[:: max(1, len(found) // IMAGES)][:IMAGES]
    return [multipart(path.read_bytes(), path.name) for path in chosen]


def warm(server: Server, bodies: Sequence[Body], count: int = 8) -> None:
    """What is made on the first requests is not measured."""
    saturate(server, bodies, min(count, 4), 5)


def saturate(server: Server, bodies: Sequence[Body], threads: int, seconds: float) -> Load:
    """Let clients send one request after the other; what is under way at the end is waited for, but not counted."""
    load, lock = Load(), threading.Lock()
    began = time.monotonic()
    end = began + seconds

    def work(first: int) -> None:
        number = first
        with contextlib.closing(Client(server.port)) as client:
            while (sent := time.monotonic()) < end:
                answer = client.post(bodies[number % len(bodies)])
                came = time.monotonic()
                number += threads
                with lock:
                    if answer.status == 200 and not answer.problem():
                        if came <= end:
                            load.seconds.append(came - sent)
                        continue
                    load.others[answer.status] += 1
                    load.words.append(answer.text[:200])
                time.sleep(0.05 if answer.status == 503 else 0.5)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    load.lasted = seconds
    return load


@contextlib.contextmanager
def watching(server: Server) -> Iterator[list[tuple[float, float]]]:
    """Seconds and memory in MB of a server, every so often, while the block runs."""
    points: list[tuple[float, float]] = []
    done, began = threading.Event(), time.monotonic()

    def work() -> None:
        while not done.wait(EVERY_SECONDS):
            points.append((time.monotonic() - began, server.started.memory()))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield points
    finally:
        done.set()
        thread.join()


def memory_trend(points: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Means of the first and last minute, and the slope of a line through all, in MB an hour."""
    if len(points) < 2:
        only = points[0][1] if points else 0.0
        return {"first_minute_mb": only, "last_minute_mb": only, "mb_per_hour": 0.0}
    times, memory = np.array(points).T
    first, last = memory[times <= times[0] + 60], memory[times >= times[-1] - 60]
    slope = float(np.polyfit(times, memory, 1)[0]) * 3600
    return {"first_minute_mb": float(first.mean()), "last_minute_mb": float(last.mean()), "mb_per_hour": slope}


def _failures(load: Load, alive: bool, name: str) -> list[str]:
    found = [f"{name}: {load.errors} errors: {load.words[:3]}"] if load.errors else []
    if not load.seconds:
        found.append(f"{name}: no answer at all")
    return found + ([] if alive else [f"{name}: the server is dead"])


def _remarks(load: Load) -> str:
    times = ", ".join(f"{name} {value:,.0f} ms" for name, value in load.latencies().items())
    return f"{load.rate:.2f} images/s; {times}; {load.errors} errors, {load.others[503]} times 503"


def _compare(options: argparse.Namespace, bodies: Sequence[Body]) -> Outcome:
    """Both servers stand there; the one that has no turn is halted, as LitServe's processes look for work when idle."""
    outcome = Outcome("load")
    own: list[Load] = []
    other: list[Load] = []
    with (
        serving(options.run, options.output / "load") as realnet,
        serving(options.run, options.output / "load-litserve", module="benchmarks.reliability.rival") as litserve,
    ):
        _await_answer(litserve, bodies)
        for server in (realnet, litserve):
            warm(server, bodies)
        pairs = max(1, round(60 * options.minutes / (2 * options.slice)))
        for turn in range(pairs):
            order = [(realnet, own), (litserve, other)]
            for server, loads in order if turn % 2 == 0 else order[::-1]:
                other_one = litserve if server is realnet else realnet
                with other_one.started.halted():
                    loads.append(saturate(server, bodies, options.threads, options.slice))
        alive = realnet.alive
    ours, theirs = together(own), together(other)
    ratios = [a.rate / b.rate for a, b in zip(own, other, strict=True) if b.rate]
    ratio = statistics.median(ratios) if ratios else 0.0
    for name, load, also in (("realnet serve", ours, alive), ("LitServe", theirs, True)):
        line = Line(f"{name}, in turns of {options.slice:g} s, {options.threads} clients", len(load.seconds))
        line.remarks = _remarks(load)
        line.failures += _failures(load, also, name)
        outcome.lines.append(line)
    shares = {name: ours.latencies()[name] / theirs.latencies()[name] for name in ours.latencies() if theirs.seconds}
    said = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    outcome.lines[0].remarks += f"; to LitServe's: {ratio:.2f} of the images/s (median of {len(ratios)} pairs), {said}"
    outcome.details = {"realnet": ours.figures(), "litserve": theirs.figures(), "ratios_of_rates": ratios,
                       "ratio_of_latencies": shares}  # fmt: skip
    return outcome


def together(loads: Sequence[Load]) -> Load:
    """Several turns as one."""
    whole = Load(lasted=sum(load.lasted for load in loads))
    for load in loads:
        whole.seconds += load.seconds
        whole.others += load.others
        whole.words += load.words
    return whole


def _await_answer(server: Server, bodies: Sequence[Body], seconds: float = 300) -> None:
    """LitServe says its address before it listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.closing(Client(server.port)) as client:
            if client.post(bodies[0]).status == 200:
                return
        time.sleep(1)
    raise RuntimeError(f"{server.started.files[1]}: the other server does not answer")
