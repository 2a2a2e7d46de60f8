"""A user's mistake: exit status 2, one sentence on stderr for each thing wrong, no traceback, nothing written."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.process import Finished
from tests.data.layouts import make_mvtec, save_mask
from tests.training.tiny import flags

Call = Callable[..., Finished]


def assert_refused(finished: Finished, *sentences: str) -> None:
    """One line for each of ``sentences``, which are parts of them, and no other."""
    assert finished.status == 2, finished.err
    # What was found in the data, and where the work would have been done, may have been said before.
    assert all(line.startswith(("Device: ", "widget: ", "Not used: ")) for line in finished.out.splitlines() if line), (
        finished.out
    )
    lines = finished.err.strip().splitlines()
    assert len(lines) == len(sentences), finished.err
    assert lines[0].startswith("Error: ")
    for line, sentence in zip(lines, sentences, strict=True):
        assert sentence in line
        assert line[-1] in ".?", line


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


# {data} is a good data set, {empty} an empty folder, {out} what does not exist before the call and not after it.
WRONG_CALLS: dict[str, tuple[str, str]] = {
    "wrong path": ("train {data}/nowhere --output {out}", "nowhere does not exist; check the path."),
    "a file as data": ("train {data}/widget/license.txt --output {out}", "is a file; give the folder"),
    "empty folder": ("train {empty} --output {out}", "holds no images"),
    "category": ("train {data} --category wodget --output {out}", "has no category wodget; it has widget. Did you"),
    "preset": ("train {data} --preset litte --output {out}", "no preset 'litte'; choose one of paper, "),
    "field": ("train {data} --set model.size=64 --output {out}", "no field model.size; model.level has: image_size"),
    "assignment": ("train {data} --set model.image_size --output {out}", "--set takes FIELD=VALUE"),
    "type": ("train {data} --set training.steps=many --output {out}", "training.steps: Input should be a valid int"),
    "range": ("train {data} --set model.rrs.retention=2 --output {out}", "model.rrs.retention: Input should be less"),
    "group": ("train {data} --set model=3 --output {out}", "model is a group of fields (image_size"),
    "select": ("train {data} --select best --output {out}", "training.select: Input should be 'validation', 'last' or"),
    "synthesis": ("train {data} --synthesis paint --output {out}", "synthesis.source: Input should be 'dtd', 'nsa'"),
    "no source": ("train {data} --preset lite --synthesis dtd --output {out}", "'dtd' needs a folder of textures"),
    "source": (
        "train {data} --synthesis dtd --source {data}/x --output {out}",
        "source folder {data}/x does not",
    ),
    "useless source": (
        "train {data} --synthesis nsa --source {data} --output {out}",
        "--source is for dtd, sia and",
    ),
    "empty source": ("preview {data} --synthesis dtd --source {empty} --output {out}.png", "{empty} holds no image"),
    "configuration": ("train {data} --config {data}/x.yaml --output {out}", "x.yaml cannot be read as a YAML"),
    "duration": (
        "train {data} --time-budget soon --output {out}",
        "'soon' is no duration: write it with its unit, such as 90s",
    ),
    "no duration": ("train {data} --time-budget 0m --output {out}", "'0m' is no duration"),
    "device of training": ("train {data} --preset lite --device abacus --output {out}", "no device 'abacus'"),
    "backbone": (
        "train {data} --preset lite --set model.backbone.name=resnet1 --output {out}",
        "model.backbone.name='resnet1' with taps",
    ),
    "weights": (
        "train {data} --preset lite --set model.backbone.weights=x.pth --output {out}",
        "no weight file x.pth: check model.backbone.weights.",
    ),
    "output is a file": ("train {data} --preset lite --output {data}/widget/license.txt", "is a file; give --output a"),
    "output below a file": ("train {data} --preset lite --output {data}/widget/license.txt/run", "Cannot write"),
    "output in use": ("train {data} --preset lite --output {data}", "is not empty (it holds widget)"),
    "sheet below a file": ("preview {data} --output {data}/widget/license.txt/sheet.png", "Cannot write"),
    "sheet's kind": ("preview {data} --output {out}.jpg", "written as PNG"),
    "preview's synthesis": (
        "preview {data} --synthesis sia --output {out}.png",
        "'sia' needs a folder of images generated for",
    ),
    "pairs below a file": ("synthesize {data} --count 1 --output {data}/widget/license.txt/pairs", "Cannot write"),
    "count": ("synthesize {data} --count 0 --output {out}", "Invalid value for '--count'"),
    "no run": ("evaluate {out} {data}", "is no trained run: it does not exist."),
    "a file as run": ("evaluate {data}/widget/license.txt {data}", "is no trained run: it is a file."),
    "a folder of runs": ("inspect {run}/.. {data} --output {out}", "no trained run, but a folder of such: name one in"),
    "another folder": ("inspect {empty} {data} --output {out}", "is no trained run: it has no config.yaml."),
    "protocol": ("evaluate {run} {data} --protocol hope", "no protocol 'hope': use exact, or realnet"),
    "device": ("inspect {run} {data} --device abacus --output {out}", "no device 'abacus' here: use auto, cpu"),
    "no such image": ("inspect {run} {data}/a.png --output {out}", "a.png does not exist; check the spelling"),
    "a run as images": ("inspect {run} {run} --output {out}", "holds a RealNet run, not photographs; choose a folder"),
    "a run as data": ("train {run} --output {out}", "holds a RealNet run, not photographs; choose a folder with the"),
    "no image": ("inspect {run} {empty} --output {out}", "holds no images"),
    "no tests": ("evaluate {run} {data}/widget/train/good", "has no good test images"),
    "option": ("train {data} --outptu {out}", "No such option: --outptu"),
    "no data": ("evaluate {run}", "Missing argument"),
    "seed": ("train {data} --seed one --output {out}", "Invalid value for '--seed'"),
    "command": ("trian {data}", "No such command 'trian'."),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_wrong_calls(realnet: Call, product: Path, trained: Path, empty: Path, tmp_path: Path, case: str) -> None:
    call, sentence = WRONG_CALLS[case]
    places = {"data": product, "empty": empty, "run": trained, "out": tmp_path / "out"}
    before = {path: path.stat().st_mtime_ns for folder in (product, trained) for path in folder.rglob("*")}
    finished = realnet(*(part.format(**places) for part in call.split()))
    expected = [sentence.format(**places)]
    if case == "no tests":
        expected.append("has no defective test images")
    assert_refused(finished, *expected)
    assert list(tmp_path.iterdir()) == []
    assert list(empty.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for folder in (product, trained) for path in folder.rglob("*")} == before


def test_several_categories_need_a_name(realnet: Call, tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", ("bolt", "nut"), train=2)
    for call in (("train", data), ("preview", data)):
        finished = realnet(*call, "--output", tmp_path / "out.png")
        assert_refused(finished, "has several categories: name one of bolt, nut with --category, or --category all")
    assert not (tmp_path / "out.png").exists()


def test_each_damaged_file_is_named(realnet: Call, tmp_path: Path) -> None:
    """Before anything is trained or measured."""
    data = make_mvtec(tmp_path / "set")
    good, truth = data / "widget" / "train" / "good", data / "widget" / "ground_truth"
    for name in ("000.png", "001.png"):
        (good / name).write_bytes((good / name).read_bytes()[:80])
    finished = realnet("train", data, "--output", tmp_path / "run", *flags())
    assert_refused(finished, "000.png", "001.png")
    assert not (tmp_path / "run").exists()

    save_mask(truth / "scratch" / "000_mask.png", np.ones((30, 64), bool))
    save_mask(truth / "stain" / "001_mask.png", np.zeros((64, 64), bool))
    finished = realnet("train", data, "--output", tmp_path / "run", "--select", "oracle", *flags())
    assert_refused(finished, "000.png", "001.png", "64 x 30 pixels")
    assert not (tmp_path / "run").exists()

    save_mask(truth / "stain" / "777_mask.png", np.ones((64, 64), bool))
    finished = realnet("preview", data, "--output", tmp_path / "sheet.png")
    assert_refused(finished, "000.png", "001.png")
    assert "777_mask.png (1: masks without an image of their name)" in finished.out
    assert not (tmp_path / "sheet.png").exists()


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def test_damaged_runs(realnet: Call, product: Path, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    image = product / "widget" / "test" / "stain" / "000.png"
    weights, marker = (run / "model.safetensors").read_bytes(), tmp_path / "executed"

    (run / "model.safetensors").write_bytes(weights[:-1000])
    for call in (("evaluate", run, product), ("inspect", run, image, "--output", tmp_path / "out")):
        assert_refused(realnet(*call), "model.safetensors is damaged or no safetensors file")
    (run / "model.safetensors").write_bytes(pickle.dumps(Bomb(marker)))
    assert_refused(realnet("inspect", run, image, "--output", tmp_path / "out"), "is damaged or no safetensors file")
    assert not marker.exists()
    (run / "model.safetensors").write_bytes(weights)
    calibration = (run / "calibration.json").read_text()
    (run / "calibration.json").write_text("{}")
    for call in (("evaluate", run, product), ("inspect", run, image, "--output", tmp_path / "out")):
        assert_refused(realnet(*call), "calibration.json is damaged")
    (run / "calibration.json").unlink()
    for call in (("evaluate", run, product), ("inspect", run, image, "--output", tmp_path / "out")):
        assert_refused(realnet(*call), "has no calibration.json")
    (run / "calibration.json").write_text(calibration)
    seen = (run / "images.json").read_text()
    (run / "images.json").write_text("{")
    assert realnet("inspect", run, image, "--output", tmp_path / "judged").status == 0, "no verdict needs that"
    (run / "images.json").write_text(seen)
    (run / "metrics.json").write_text("{}")
    finished = realnet("evaluate", run, product)
    assert finished.status == 2 and "metrics.json does not say how the run was trained" in finished.err
    (run / "config.yaml").write_text("model: [1, 2")
    assert_refused(realnet("evaluate", run, product), "config.yaml is no valid configuration")
    assert not (tmp_path / "out").exists()
    assert not (run / "report.html").exists()

    (run / "checkpoint.safetensors").write_bytes(b"half")
    again = realnet("train", product, "--output", run, "--resume", *flags())
    assert_refused(again, "checkpoint.safetensors is damaged")


def test_an_unreadable_image_stops_no_other(realnet: Call, product: Path, trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(product / "widget" / "test" / "stain", folder)
    (folder / "000a.png").write_text("no picture")
    finished = realnet("inspect", trained, folder, "--output", tmp_path / "out")
    assert finished.status == 2
    first, last = finished.err.strip().splitlines()
    assert "000a.png" in first
    assert last == "Error: 1 of 3 images could not be read; the others are judged."
    assert "2 images judged" in finished.out
    overlays = sorted((tmp_path / "out" / "overlays").iterdir())
    assert [path.name for path in overlays] == ["000.png", "001.png"]
    for path in overlays:
        with Image.open(path) as overlay:
            overlay.load()
