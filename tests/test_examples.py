"""The examples of README and docs are run, page by page and in their order, on a product that takes seconds.

``tests/test_readme.py`` parses every command line; what this file does not run is said in ``NOT_RUN``.
"""

import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
import yaml

import realnet
from realnet import limits
from realnet.cli.app import main
from realnet.history import open_history
from realnet.serving import open_models
from realnet.synthesis import write_image
from tests.data.layouts import picture
from tests.serving.conftest import serving
from tests.test_readme import MEASURED, PAGES, fenced, shell_lines
from tests.training.tiny import TRAINED, flags, tiny

# Why a line is not run: words that it holds, and the reason. A line that no row fits is run.
NOT_RUN = {
    "realnet serve": "does not end; tests/cli/test_serve.py",
    "realnet watch": "does not end; tests/cli/test_watch.py",
    "teach runs/part --feedback": "needs originals that somebody confirmed; tests/cli/test_teach.py",
    "--watch": "does not end; tests/cli/test_inspect.py",
    "camera:0": "needs a camera",
    "--ray": "needs a cluster; tests/cluster",
    "realnet benchmark": "hours; tests/benchmark",
    "realnet sdas": "minutes; tests/cli/test_sdas.py",
    "import-official": "needs a checkpoint; tests/integrations/test_official.py",
    "runs/official": "the same",
    "realnet score": "needs maps; tests/cli/test_score.py",
    "realnet export": "tests/cli/test_export.py",
    "realnet demo": "minutes; make demo",
    "elpv": "needs the extra demo",
    "--category all": "needs several products; tests/training/test_many_products.py",
    "runs/line": "the same",
    "--find": "minutes; tests/limits",
    "--preset paper": "needs a large GPU",
    "--preset multiclass": "needs a large GPU",
    "SIA": "needs generated images; tests/synthesis/test_sia.py",
    "runs/bottle": "trained by a line that is not run",
    "--resume": "goes on with what was not interrupted; tests/training/test_resume.py",
    "8c41d2f0": "an id of somebody's results; tests/cli/test_history.py",
}


def calls() -> dict[Path, list[str]]:
    """The calls of ``realnet`` that are run, by page; what stands on several pages, once."""
    found: dict[Path, list[str]] = {}
    known: set[str] = set()
    for page in (page for page in PAGES if page not in MEASURED):
        for line in shell_lines(page):
            if re.search(r"(?:^| \| )realnet ", line) and not any(words in line for words in NOT_RUN):
                if line not in known:
                    found.setdefault(page, []).append(line)
                known.add(line)
    return found


CALLS = calls()


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages take for granted: photographs, a run, a results store."""
    place, rng = tmp_path_factory.mktemp("reader"), np.random.default_rng(3)
    counts = {"good": 12, "new": 3, "more-good": 3, "new-lot": 3}
    for name, count in counts.items():
        for number in range(count):
            write_image(place / "photos" / name / f"{number:04d}.png", picture(rng)[0])
    shutil.copytree(place / "photos/good", place / "parts/good")
    for file in ("parts/scratch/1.png", "photos/kept/scratch/1.png", "photos/one.png"):
        write_image(place / file, picture(rng, defect=True)[0])
    for file in ("photos/kept/good/1.png", "4711.png"):
        write_image(place / file, picture(rng)[0])
    for number in range(3):
        write_image(place / "data/dtd/images/dotted" / f"{number}.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    for kind, folder in (("good", "train/good"), ("good", "test/good"), ("crack", "test/crack")):
        for number in range(6):
            image = picture(rng, defect=kind != "good")[0]
            write_image(place / "data/mvtec_ad/bottle" / folder / f"{number:03d}.png", image)
    inside = np.zeros((64, 64, 3), np.uint8)
    inside[8:56, 8:56] = 255
    write_image(place / "view.png", inside)
    corners = [[8, 8], [56, 8], [56, 56], [8, 56]]
    (place / "view.json").write_text(json.dumps({"width": 64, "height": 64, "polygons": [corners]}))
    film = cv2.VideoWriter(str(place / "line.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 4, (64, 64))
    for number in range(4):
        film.write(cv2.imread(str(place / "photos/good" / f"{number:04d}.png")))
    film.release()
    inspector = realnet.train(place / "photos/good", place / "runs/part", progress=False, **settings())
    remember(inspector, place)
    shutil.copytree(place / "runs/part", place / "part-openvino")  # an export is loaded as a run is
    return place


def remember(inspector: Any, place: Path) -> None:
    """Fill the results store: three good images, and a person's word on each."""
    with contextlib.closing(open_history(place / "line3.sqlite")) as store:
        for number in range(3):
            result = inspector.inspect(place / "photos/new" / f"{number:04d}.png")
            store.record(result, f"part {number}", "part")
            store.add_feedback(result.trace.id, "good", "Ann")


def settings() -> dict[str, Any]:
    """The fields of a tiny training, for Python."""
    pairs = [field.partition("=") for field in flags()[3::2]]
    return {"preset": "lite", "device": "cpu", **{name: yaml.safe_load(value) for name, _, value in pairs}}


@pytest.fixture
def reader(pattern: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, in which the test is."""
    place = Path(shutil.copytree(pattern, tmp_path / "reader"))
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "200")
    return place


def call(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run ``realnet`` with what makes it tiny."""
    name = words[1]
    if name == "train":
        output = Path(words[words.index("--output") + 1])
        shutil.rmtree(output, ignore_errors=True)  # examples of one page have one name
        words = [*words, *(part for part in flags() if part not in ("--preset", "lite"))]
    if name in ("preview", "synthesize"):
        words = [*words, "--count", "2"]
    if name == "limits":
        words = [*words, "--each", "1", "--sizes", "4"]
    for photos in (Path(word) for word in words if word in ("photos/line", "photos/good-today")):
        rng = np.random.default_rng(4)
        for number in () if photos.exists() else range(99):
            write_image(photos / f"{number:04d}.png", picture(rng)[0])
    if "--feedback" in words:  # what an earlier run judged does not count
        remember(realnet.load("runs/part"), Path())
    if name == "inspect" and "--overwrite" not in words:
        words = [*words, "--overwrite"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0, f"{' '.join(words)} ended with {end.value.code}"


@pytest.mark.parametrize("page", CALLS, ids=lambda page: page.name)
def test_command_lines_run(page: Path, reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in CALLS[page]:
        piped, _, last = line.rpartition(" | ")
        if piped:
            assert piped == "find photos -newer results/inspect.json"
            Path("listed").write_text("\n".join(map(str, sorted(Path("photos").rglob("*.png")))), encoding="utf-8")
        with (Path("listed") if piped else Path(os.devnull)).open(encoding="utf-8") as listed:
            monkeypatch.setattr("sys.stdin", listed)
            call(shlex.split(last, comments=True), monkeypatch)


def test_every_reason_is_needed() -> None:
    lines = [line for page in PAGES for line in shell_lines(page)]
    assert [words for words in NOT_RUN if not any(words in line for line in lines)] == []


PYTHON_PAGES = [page for page in PAGES if fenced(page, "python")]


def train_tiny(*arguments: Any, **named: Any) -> Any:
    """In the place of ``realnet.train``: what it is given, made tiny."""
    shutil.rmtree(arguments[1], ignore_errors=True)
    small = {**named, **settings()}
    if "model" in named:  # groups of fields take the place of single ones
        del small["model.image_size"]
        small["model"] = {"image_size": 64} if "image_size" in named["model"] else named["model"]
    return _TRAIN(*arguments, **small)


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_python_examples_run(page: Path, reader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realnet, "train", train_tiny)
    monkeypatch.setattr(limits, "measure_limits", functools.partial(limits.measure_limits, sizes=[4], each=1))
    # What is named after the paper's network is made of the same parts, and small.
    monkeypatch.setattr(realnet, "presets", {**realnet.presets, "paper": tiny(*TRAINED)})
    names: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        for block in fenced(page, "python"):
            if "import requests" in block:
                pytest.importorskip("fastapi")
                address = stack.enter_context(serving(open_models(["part=runs/part"])))
                block = block.replace("http://127.0.0.1:8000", address)
            if "import anomalib" in block or "from anomalib" in block:
                engine = pytest.importorskip("anomalib.engine").Engine
                monkeypatch.setattr(engine, "fit", mock.create_autospec(engine.fit))
            exec(compile(block, str(page), "exec"), names)


_TRAIN = realnet.train
