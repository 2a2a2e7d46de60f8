"""``realnet inspect`` as a process: killed, fed line by line, watching, interrupted."""

import csv
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from realnet.calibration import calibrate
from realnet.cli.inspect_command import _DriftWarning
from tests.cli import process
from tests.cli.process import Finished, Started
from tests.data.layouts import picture, save
from tests.traces import untraced

Call = Callable[..., Finished]
LARGE = re.compile(r"\d+ images have other sizes than the images that the run was trained on: .*\n")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 images in two folders, each name twice, one of them no image; large, so that there is time to interrupt."""
    folder, rng = tmp_path_factory.mktemp("many"), np.random.default_rng(0)
    for place in ("a", "b"):
        for number in range(20):
            save(folder / place / f"{number:03}.png", picture(rng, 320, defect=number % 4 == 0)[0])
    (folder / "a" / "005.png").write_text("no picture")
    return folder


@pytest.fixture
def begin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Started]]:
    """Starts ``realnet``; what still runs at the end is killed."""
    begun: list[Started] = []

    def start(*arguments: str | Path) -> Started:
        begun.append(Started(arguments, tmp_path_factory.mktemp("output")))
        return begun[-1]

    yield start
    for started in begun:
        started.process.kill()


def lines(output: Path) -> list[str]:
    journal = output / "results.jsonl"
    return journal.read_text().split("\n")[:-1] if journal.exists() else []


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def undisturbed(many: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed")
    finished = Started(["inspect", trained, many, "--output", output], tmp_path_factory.mktemp("output")).wait()
    assert finished.status == 2
    assert finished.err.splitlines()[-1] == "Error: 1 of 40 images could not be read; the others are judged."
    rows = [row for row in json.loads((output / "results.json").read_text()) if row["verdict"] == "anomalous"]
    worst = max(rows, key=lambda row: row["score"])["image"]
    assert worst in re.sub(r"[│\s]+", "", finished.out), "a long path is folded, not cut off"
    return output


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_what_was_stopped_is_resumed_to_the_same_bytes(
    begin: Callable[..., Started],
    undisturbed: Path,
    many: Path,
    trained: Path,
    tmp_path: Path,
    number: int,
    status: int,
) -> None:
    call: list[str | Path] = ["inspect", trained, many, "--output", tmp_path]
    started = begin(*call)
    wait_for(lambda: len(lines(tmp_path)) >= 11)
    os.kill(started.pid, number)
    assert started.wait().status == status
    before = lines(tmp_path)
    assert 11 <= len(before) < 40 and not (tmp_path / "results.csv").exists()
    finished = begin(*call, "--resume").wait()
    assert finished.status == 2
    assert f"39 images judged, {len(before)} of them before" in finished.out
    for name in ("results.csv", "results.json"):
        assert untraced((tmp_path / name).read_bytes()) == untraced((undisturbed / name).read_bytes())
    assert lines(tmp_path)[: len(before)] == before
    assert sorted(path.name for path in (tmp_path / "overlays").iterdir()) == sorted(
        path.name for path in (undisturbed / "overlays").iterdir()
    )
    assert len(list((tmp_path / "overlays").iterdir())) == 39

    if number == signal.SIGKILL:
        other = begin(*call, "--resume", "--minimum-area", "5").wait()
        assert (other.status, "another minimum area 0, not 5" in other.err) == (2, True)


def test_watching(begin: Callable[..., Started], many: Path, trained: Path, tmp_path: Path) -> None:
    """A file that is there, one that appears, one that is copied slowly, one that is replaced; then Ctrl-C."""
    folder, out = tmp_path / "in", tmp_path / "in" / "out"
    pictures = [(many / "b" / f"{number:03}.png").read_bytes() for number in range(4)]
    folder.mkdir()
    (folder / "a.png").write_bytes(pictures[0])
    started = begin("inspect", trained, folder, "--watch", "--output", out)
    wait_for(lambda: len(lines(out)) == 1)
    (folder / "new").mkdir()
    (folder / "new" / "a.png").write_bytes(pictures[1])
    with (folder / "slow.png").open("wb", buffering=0) as slow:
        # What stands still for a second is taken: even a machine that is busy writes more often than that.
        length = 1 + len(pictures[2]) // 25
        for part in range(0, len(pictures[2]), length):
            slow.write(pictures[2][part : part + length])
            time.sleep(0.1)
    wait_for(lambda: len(lines(out)) == 3)
    (folder / "a.png").write_bytes(pictures[3])
    wait_for(lambda: len(lines(out)) == 4)
    assert not (out / "results.csv").exists()
    os.kill(started.pid, signal.SIGINT)
    finished = started.wait()
    assert finished.status == 0 and LARGE.fullmatch(finished.err)
    assert "3 images judged, " in finished.out
    with (out / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [Path(row["image"]).relative_to(folder).as_posix() for row in rows] == ["a.png", "new/a.png", "slow.png"]
    assert [row["overlay"] for row in rows] == ["overlays/a.png", "overlays/new-a.png", "overlays/slow.png"]
    assert [json.loads(line)["verdict"] for line in lines(out)].count("unreadable") == 0, "none was read half"
    assert json.loads(lines(out)[3])["score"] == float(rows[0]["score"]), "the last version counts"


def _fed(pipe: Path, arguments: list[str], out: Path, err: Path) -> None:
    sys.stdin = pipe.open()
    process._call(arguments, out, err)


def test_paths_from_standard_input_are_judged_as_they_come(many: Path, trained: Path, tmp_path: Path) -> None:
    pipe, out = tmp_path / "pipe", tmp_path / "out"
    os.mkfifo(pipe)
    arguments = ["inspect", str(trained), "-", "--output", str(out)]
    call = process._CONTEXT.Process(target=_fed, args=(pipe, arguments, tmp_path / "o.txt", tmp_path / "e.txt"))
    call.start()
    with pipe.open("w", buffering=1) as feed:
        for number in range(3):
            feed.write(f"{many}/b/{number:03}.png\n\n")
            wait_for(lambda count=number + 1: len(lines(out)) == count)
        feed.write(f"{many}/b/nowhere.png\n{many}/b/000.png")
    call.join(180)
    assert call.exitcode == 2
    assert "nowhere.png does not exist" in (tmp_path / "e.txt").read_text()
    assert [row["verdict"] for row in json.loads((out / "results.json").read_text())][3:] == ["unreadable"]


def test_patterns_films_masks_and_formats(realnet: Call, many: Path, trained: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    film = tmp_path / "line.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 64))
    for number in range(20):
        writer.write(picture(np.random.default_rng(number))[0])
    writer.release()
    out = tmp_path / "out"
    call: list[str | Path] = ["inspect", trained, f"{many}/**/00[01].png", f"camera:{film}", "--every", "0.5"]
    call += ["--limit", "7", "--masks", "--no-overlays", "--format", "csv", "--format", "parquet", "--output", out]
    finished = realnet(*call)
    assert finished.status == 0 and LARGE.fullmatch(finished.err)
    images = [f"{many}/{name}.png" for name in ("a/000", "a/001", "b/000", "b/001")]
    images += [f"{film}@{seconds}s" for seconds in ("0.000", "0.500", "1.000")]
    rows = parquet.read_table(out / "results.parquet").to_pylist()
    assert [row["image"] for row in rows] == images
    with (out / "results.csv").open(newline="") as stream:
        assert [row["image"] for row in csv.DictReader(stream)] == images
    for row in rows:
        with Image.open(out / row["mask"]) as mask:
            assert (mask.mode, mask.size) == ("L", (64, 64) if "line.avi" in row["image"] else (320, 320))
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {
        "inspect.json", "masks", "results.csv", "results.html", "results.jsonl", "results.parquet",
    }  # fmt: skip
    before = [path.read_bytes() for path in (out / "results.csv", out / "results.jsonl")]
    again = realnet(*call, "--resume")
    assert "7 images judged, 7 of them before" in again.out
    assert [path.read_bytes() for path in (out / "results.csv", out / "results.jsonl")] == before
    wrong = realnet("inspect", trained, many, "--format", "xls", "--output", tmp_path / "no")
    assert (wrong.status, wrong.err) == (2, "Error: There is no format 'xls': choose csv, json or parquet.\n")


def test_a_camera_that_is_not_there_is_waited_for(begin: Callable[..., Started], trained: Path, tmp_path: Path) -> None:
    started = begin("inspect", trained, "camera:987", "--output", tmp_path / "out")
    told = started.files[1]
    wait_for(lambda: told.exists() and "camera-987 gives no picture" in told.read_text())
    time.sleep(1.5)
    os.kill(started.pid, signal.SIGINT)
    finished = started.wait()
    assert (finished.status, len(finished.err.splitlines())) == (0, 1), "said once"
    assert "0 images judged" in finished.out
    assert (tmp_path / "out" / "results.json").read_text() == "[]"


def test_drift_is_said_when_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    good = rng.uniform(0, 0.1, 200).tolist()
    warning = _DriftWarning(calibrate(good, 0.3, 0.01, "good images", "2026-01-01"))
    said = []
    for scores in (good[:100], [0.5] * 100, [0.6] * 100, good[:100], [0.7] * 100):
        warning.check(scores)
        said.append(capsys.readouterr().err.count("light, camera or product"))
    assert said == [0, 1, 0, 0, 1]
    _DriftWarning(None).check([0.5])
    assert capsys.readouterr().err == ""
