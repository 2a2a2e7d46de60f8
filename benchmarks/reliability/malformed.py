"""Part 1: malformed and unusual images through ``realnet inspect`` and through ``realnet serve``."""

import argparse
import contextlib
import json
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.reliability import bodies
from benchmarks.reliability.client import Answer, Client, as_json, multipart
from benchmarks.reliability.encoding import seed_images
from benchmarks.reliability.inputs import Sample, samples, sentinels, write_samples
from benchmarks.reliability.outcome import Line, Outcome
from benchmarks.reliability.processes import Server, call, serving

NEAR = 1e-5
THREADS = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=2000, help="inputs (default: 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("inspect", "serve"), help="what they go through (default: both)")
    parser.add_argument("--seconds", type=float, default=7200, help="limit of one inspection (default: 7200)")


def measure(options: argparse.Namespace) -> Outcome:
    shutil.rmtree(options.output / "malformed", ignore_errors=True)  # failures of an earlier call
    images = seed_images(options.data)
    made = samples(options.count, options.seed, images)
    outcome = Outcome("malformed")
    with tempfile.TemporaryDirectory() as temporary:
        scores = alone(options.run, sentinels(images), Path(temporary) / "alone")
        if options.only != "serve":
            outcome.lines.append(_inspected(options, made, scores, Path(temporary), outcome.details))
            outcome.lines.append(_named_one_by_one(options, Path(temporary)))
        if options.only == "inspect":
            return outcome
        with serving(options.run, options.output / "malformed" / "serve") as server:
            outcome.lines += _served(options, server, made, scores, outcome.details)
        log = (options.output / "malformed" / "serve" / "stderr.txt").read_text(errors="replace")
    if "Traceback" in log:
        outcome.lines[-1].failures.append("a traceback in the server's log")
    return outcome


def alone(run: Path, good: Sequence[bytes], folder: Path) -> list[float]:
    """The score of each good image where nothing else is judged with it."""
    from realnet import load

    inspector, scores = load(run), []
    folder.mkdir()
    for number, data in enumerate(good):
        path = folder / f"{number}.png"
        path.write_bytes(data)
        scores.append(inspector.inspect(path).score)
    return scores


def _inspected(
    options: argparse.Namespace,
    made: Sequence[Sample],
    scores: Sequence[float],
    temporary: Path,
    details: dict[str, Any],
) -> Line:
    """All of them by one ``realnet inspect``."""
    folder, out = temporary / "images", temporary / "out"
    due = write_samples(made, folder)
    finished = call(
        ["inspect", options.run, folder, "--output", out], options.output / "malformed" / "inspect", options.seconds
    )
    line = Line("images through `realnet inspect`", len(due))
    line.failures += [f"realnet inspect: {problem} ({finished.last_words()})" for problem in finished.problems((0, 2))]
    try:
        rows = {row["image"]: row for row in json.loads((out / "results.json").read_text())}
    except (OSError, ValueError) as error:
        line.failures.append(f"no results.json: {error}")
        return line
    bad, outcomes = row_problems(rows, due, scores)
    line.failures += list(bad.values())
    for path in bad:
        _keep(options.output / "malformed" / "failed-inspect", due[path])
    details["inspect"] = {"seconds": round(finished.seconds, 1), "by kind": _table(outcomes)}
    line.remarks = f"{_said(outcomes)}; {finished.seconds:.0f} s"
    return line


def row_problems(
    rows: dict[str, Any], due: dict[str, Sample], scores: Sequence[float]
) -> tuple[dict[str, str], Counter[tuple[str, str]]]:
    """What is wrong by path, and how often each kind had which verdict."""
    bad: dict[str, str] = {}
    outcomes: Counter[tuple[str, str]] = Counter()
    for path, sample in due.items():
        row = rows.get(path)
        verdict = "no row" if row is None else row["verdict"]
        outcomes[sample.kind, verdict] += 1
        if row is None:
            bad[path] = f"{sample.name}: no row"
        elif sample.sentinel is not None and not near(row["score"], scores[sample.sentinel]):
            bad[path] = f"{sample.name}: score {row['score']}, alone {scores[sample.sentinel]}"
        elif row["score"] is not None and not 0 <= row["score"] <= 1:
            bad[path] = f"{sample.name}: score {row['score']}"
        elif (row["score"] is None) != bool(row["error"]):
            bad[path] = f"{sample.name}: score {row['score']}, error {row['error']!r}"
    for path in rows.keys() - due.keys():
        outcomes["not due", rows[path]["verdict"]] += 1
    return bad, outcomes


def near(found: float | None, expected: float) -> bool:
    """Whether a score is the one that is known."""
    return found is not None and abs(found - expected) <= NEAR


def _named_one_by_one(options: argparse.Namespace, temporary: Path) -> Line:
    """What no folder gives, named on the command line: none may hang."""
    folder = temporary / "images"
    files = [folder / name for name in ("fifo.png", "loop-a.png", "dangling.png", "device.png")]
    line = Line("FIFO, device and links that lead nowhere, named", len(files))
    for number, path in enumerate(files):
        finished = call(["inspect", options.run, path, "--output", temporary / f"odd{number}"], temporary / "log", 300)
        line.failures += [f"{path.name}: {problem} ({finished.last_words()})" for problem in finished.problems((2,))]
    return line


def _served(
    options: argparse.Namespace,
    server: Server,
    made: Sequence[Sample],
    scores: Sequence[float],
    details: dict[str, Any],
) -> list[Line]:
    """The same bytes over HTTP, and requests that are malformed themselves."""
    before = server.started.memory()
    outcomes: Counter[tuple[str, str]] = Counter()
    line = Line("images through `realnet serve`", 0)
    lock = threading.Lock()

    def check(kind: str, answer: Answer, sample: Sample) -> None:
        found = answer_problem(answer, sample, scores)
        with lock:
            line.count += 1
            outcomes[sample.kind, str(answer.status)] += 1
            if found:
                line.failures.append(f"{sample.name} as {kind}: {found}")
                _keep(options.output / "malformed" / "failed-serve", sample)

    def work(mine: Sequence[tuple[int, Sample]]) -> None:
        with contextlib.closing(Client(server.port)) as client:
            for number, sample in mine:
                assert sample.data is not None
                check("multipart", client.post(multipart(sample.data, sample.name)), sample)
                if number % 3 == 0:
                    check("JSON", client.post(as_json(sample.data, sample.name)), sample)

    numbered = [(number, sample) for number, sample in enumerate(made) if sample.data is not None]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, [numbered[first::THREADS] for first in range(THREADS)]))
    after = server.started.memory()
    lines = [line, _bodies(options, server, made, scores, details)]
    for found in lines:
        if not server.alive:
            found.failures.append("the server is dead")
    details["serve"] = {"memory_mb": {"before": before, "after": after}, "by kind": _table(outcomes)}
    line.remarks = f"{_said(outcomes)}; server's memory {before:.0f} MB before, {after:.0f} MB after"
    return lines


def answer_problem(answer: Answer, sample: Sample, scores: Sequence[float]) -> str:
    """What is wrong with the answer to a sample; empty for nothing."""
    found = answer.problem()
    if not found and sample.sentinel is not None:
        score = answer.fields.get("score")
        if not near(score, scores[sample.sentinel]):
            return f"score {score}, alone {scores[sample.sentinel]}"
    return found


def _bodies(
    options: argparse.Namespace,
    server: Server,
    made: Sequence[Sample],
    scores: Sequence[float],
    details: dict[str, Any],
) -> Line:
    """Malformed requests, a good one after each round."""
    rng = np.random.default_rng(options.seed)
    first = next(sample for sample in made if sample.sentinel is not None)
    assert first.data is not None
    line, outcomes = Line("malformed requests", 0), Counter[tuple[str, str]]()
    for _ in range(max(1, options.count // 200)):
        for raw in bodies.requests(first.data, rng):
            answer = bodies.send(raw, server.port)
            line.count += 1
            outcomes[raw.kind, str(answer.status) if answer.status else "hung up"] += 1
            if found := bodies.problem(raw, answer):
                line.failures.append(f"{raw.kind}: {found}")
        with contextlib.closing(Client(server.port)) as client:
            if found := answer_problem(client.post(multipart(first.data, "good.png")), first, scores):
                line.failures.append(f"a good image thereafter: {found}")
    details["requests"] = _table(outcomes)
    line.remarks = _said(outcomes)
    return line


def _keep(folder: Path, sample: Sample) -> None:
    """So that a failure can be had again."""
    folder.mkdir(parents=True, exist_ok=True)
    if sample.data is not None:
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "_" for c in sample.name)[-100:]
        (folder / plain).write_bytes(sample.data)


def _table(outcomes: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (kind, what), count in sorted(outcomes.items()):
        table.setdefault(kind, {})[what] = count
    return table


def _said(outcomes: Counter[tuple[str, str]]) -> str:
    total: Counter[str] = Counter()
    for (_, what), count in outcomes.items():
        total[what] += count
    return ", ".join(f"{what}: {count:,}" for what, count in sorted(total.items()))
