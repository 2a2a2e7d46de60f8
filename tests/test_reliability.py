"""Small measurements of `benchmarks/reliability`, so that what they found stays away; large ones are run by hand."""

import argparse
import contextlib
import json
import signal
from pathlib import Path

import numpy as np
import pytest
from benchmarks.reliability import bodies
from benchmarks.reliability.client import Answer, Client, as_json, multipart
from benchmarks.reliability.encoding import seed_images
from benchmarks.reliability.folders import EXPORTS, RUNS
from benchmarks.reliability.hostile import prepare
from benchmarks.reliability.inputs import MAKERS, Sample, samples, sentinels, write_samples
from benchmarks.reliability.kills import Whole
from benchmarks.reliability.load import Load, memory_trend, together
from benchmarks.reliability.malformed import alone, answer_problem, row_problems
from benchmarks.reliability.outcome import Line, Outcome, write
from benchmarks.reliability.processes import Started
from benchmarks.reliability.receivers import Receiver
from benchmarks.reliability.week import Week, make_parts, rows_line, signal_lines
from benchmarks.reliability.week import measure as measure_week

from realnet import load
from realnet.data import decode_image, read_image
from realnet.errors import UserError
from realnet.history import open_history
from realnet.inspection.rows import Row
from tests.inspection.judged import inspect_files
from tests.serving.conftest import serving

COUNT = 60


@pytest.fixture(scope="module")
def made(product: Path) -> list[Sample]:
    return samples(COUNT, 3, seed_images(product))


@pytest.fixture(scope="module")
def scores(product: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return alone(trained, sentinels(seed_images(product)), tmp_path_factory.mktemp("alone") / "images")


def test_every_kind_is_made_and_the_same_again(made: list[Sample], product: Path) -> None:
    assert {sample.kind for sample in made} == {*MAKERS, "sentinel"}
    assert sum(sample.sentinel is not None for sample in made) == COUNT // 10
    assert samples(COUNT, 3, seed_images(product)) == made


def test_malformed_images_over_http(made: list[Sample], scores: list[float], trained: Path) -> None:
    from realnet.serving import open_models

    found = {}
    with serving(open_models([f"only={trained}"])) as address:
        port = int(address.rpartition(":")[2])
        with contextlib.closing(Client(port)) as client:
            for number, sample in enumerate(made):
                assert sample.data is not None
                body = (as_json if number % 3 == 0 else multipart)(sample.data, sample.name)
                found[sample.name] = answer_problem(client.post(body), sample, scores)
        image = next(sample.data for sample in made if sample.sentinel is not None and sample.data)
        for raw in bodies.requests(image, np.random.default_rng(0)):
            found[raw.kind] = bodies.problem(raw, bodies.send(raw, port, 20))
    assert {name: problem for name, problem in found.items() if problem} == {}


def test_malformed_images_in_a_folder(made: list[Sample], scores: list[float], trained: Path, tmp_path: Path) -> None:
    due = write_samples(made[:30], tmp_path / "images")
    inspect_files(load(trained), list(due), tmp_path / "out")
    rows = {row["image"]: row for row in json.loads((tmp_path / "out" / "results.json").read_text())}
    assert row_problems(rows, due, scores)[0] == {}
    for name in ("fifo.png", "loop-a.png", "dangling.png", "device.png"):
        with pytest.raises(UserError):
            read_image(tmp_path / "images" / name)


@pytest.mark.parametrize(
    "name",
    [
        "pickle as model.safetensors",
        "pickle as model.pth",
        "pickle as config.yaml",
        "YAML that calls a program",
        "YAML that calls a program, in a field",
        "billion laughs in a field",
        "a network of 10**12 channels",
        "a network of 10**9 blocks",
        "an image side of 10**9",
        "safetensors header of 2**60 bytes",
        "tensor beyond the file",
        "weights cut in the middle",
        "weights of NaN",
        "weights of infinity",
        "indices of 2**40",
        "calibration.json with NaN",
        "export: path out of the folder",
        "export: absolute path",
        "export: link out of the folder",
        "export: pickle as torch",
        "export: inspector.json that is deep",
    ],
)
def test_hostile_folders(name: str, trained: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    folder = prepare(trained, tmp_path / "place", canary, name, {**RUNS, **EXPORTS}[name])
    with pytest.raises(UserError) as refused:
        load(folder)
    assert "\n" not in str(refused.value)
    assert not canary.exists()


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    """The measurement itself: it must not call everything good."""
    good = Sample("a.png", "sentinel", b"", 0)
    assert answer_problem(Answer(200, '{"score": 0.5}'), good, [0.5]) == ""
    assert "alone 0.6" in answer_problem(Answer(200, '{"score": 0.5}'), good, [0.6])
    assert answer_problem(Answer(500, '{"error": "The server failed."}'), good, [0.5]).startswith("status 500")
    assert answer_problem(Answer(0, "dropped"), good, [0.5]).startswith("status 0")
    row = Row("a.png", "good", 0.4, 0.4, 0.5, 0.0).as_dict()
    assert "alone 0.5" in row_problems({"a.png": row}, {"a.png": good}, [0.5])[0]["a.png"]
    assert row_problems({}, {"a.png": good}, [0.5])[0] == {"a.png": "a.png: no row"}

    outcome = Outcome("disk", [Line("a | b", 2, ["no\nroom"], "x")])
    write(outcome, tmp_path, vars(argparse.Namespace(run=tmp_path)))
    text = (tmp_path / "summary.md").read_text()
    assert "| disk | a \\| b | 2 | 1 | x |" in text and "- disk, a | b: no room" in text


def test_kills_meet_what_goes_on_alive() -> None:
    """After a kill there is less to do, and no later moment may be drawn than is left."""
    whole = Whole({}, appears=4.0, done=10.0, seconds=30.0)
    assert whole.moments(behind=0.0) == (3.6, 10.0)
    assert whole.moments(behind=5.0) == (3.6, 5.0)
    assert whole.moments(behind=7.0) == (3.6, 4.0)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not say what a process computes")
def test_computing_is_told_from_waiting(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        busy = Started(["-n", "1000000000000", "pass"], tmp_path / "busy", "timeit")
        stack.callback(busy.kill)
        idle = Started(["-s", "import time; time.sleep(60)"], tmp_path / "idle", "timeit")
        stack.callback(idle.kill)
        while busy.running(60) and busy.computed() < 1:
            assert idle.running(60)
        assert busy.computed() >= 1 > idle.computed()
        assert not busy.running(0)
        assert busy.wait(1).status == -signal.SIGKILL


def test_figures_of_a_load() -> None:
    first, second = Load([0.1] * 99 + [1.0], lasted=10), Load([0.2] * 50, lasted=10)
    second.others.update({503: 2, 500: 1})
    whole = together([first, second])
    assert (whole.rate, whole.errors, whole.others[503]) == (7.5, 1, 2)
    assert first.latencies()["p50"] == 100.0
    trend = memory_trend([(10.0 * step, 100 + step) for step in range(60)])
    assert trend["mb_per_hour"] == pytest.approx(360)
    assert (trend["first_minute_mb"], trend["last_minute_mb"]) == (103, 156)


@pytest.mark.slow
def test_a_short_week(product: Path, trained: Path, tmp_path: Path) -> None:
    """Two cameras and HTTP; the receiver and the server die, the disk is full, the run is taught twice."""
    options = argparse.Namespace(run=trained, data=product / "widget" / "test", count=40, corrections=4, seed=0)
    outcome = measure_week(options)
    rows, *others = outcome.lines
    assert rows.failures == [] and rows.count == 40
    assert [line.failures for line in others if line.what.startswith("signals")] == [[] for _ in others[:-1]]
    assert outcome.details["taught after shift 2"]["said"]


def test_what_goes_wrong_in_a_week_is_found(product: Path, trained: Path, tmp_path: Path) -> None:
    """The measurement itself: a missing result, one of another threshold, and signals that are lost or not marked."""
    parts = make_parts(product / "widget" / "test", 10, 0)
    assert {part.kind for part in parts} >= {"good", "lot"} and len({part.content for part in parts}) == 10
    assert make_parts(product / "widget" / "test", 10, 0) == parts
    receiver = Receiver(tmp_path)
    week = Week(trained, tmp_path, {"webhook": receiver}, tmp_path)
    inspector, store = load(trained), open_history(tmp_path / "line.sqlite")
    ids = []
    for part in parts[:-1]:
        found = inspector.inspect(decode_image(part.content, part.name), threshold=0.1 if part is parts[0] else None)
        ids.append(store.record(found, part.name, "part", "serve" if part.way == "http" else part.way))
    store.close()
    (line,) = rows_line(week, parts)
    assert [problem.partition(":")[0] for problem in line.failures] == [parts[-1].name, parts[0].name]
    taken = [(id, False) for id in ids[1:]] + [(ids[2], True), (ids[3], False), ("f" * 32, False)]
    receiver.log.write_text(
        "".join(json.dumps({"id": id, "kind": "result", "repeated": again}) + "\n" for id, again in taken)
    )
    (line,) = signal_lines(week)
    assert line.failures == [
        f"{ids[0]}: never arrived", f"{'f' * 32}: of no result", f"{ids[3]}: again, and not marked",
    ]  # fmt: skip
    assert line.remarks == "2 came more than once"
