"""The commands from end to end, on miniature data."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet.data import check_dataset, open_dataset
from tests.cli.process import Finished
from tests.data.layouts import make_folder, make_mvtec, save
from tests.training.tiny import flags

Call = Callable[..., Finished]


def succeed(finished: Finished) -> str:
    # Inspectors that are trained in seconds are rightly called doubtful.
    complaints = [line for line in finished.err.splitlines() if not line.startswith("Warning: ")]
    assert (finished.status, complaints) == (0, [])
    return finished.out


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("textures")
    rng = np.random.default_rng(0)
    for number in range(3):
        save(folder / f"{number}.png", rng.integers(0, 256, (80, 80, 3), dtype=np.uint8))
    return folder


@pytest.mark.parametrize("synthesis", ["dtd", "nsa", "cutpaste", "sia", "mix"])
def test_preview(realnet: Call, product: Path, textures: Path, tmp_path: Path, synthesis: str) -> None:
    sheets = []
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        call: list[str | Path] = ["preview", product, "--synthesis", synthesis, "--output", tmp_path / f"{name}.png"]
        call += ["--seed", seed, "--count", "3", "--set", "model.image_size=64"]
        call += ["--source", textures] if synthesis in ("dtd", "sia") else []
        assert f"3 defects, {synthesis}, seed {seed}" in succeed(realnet(*call))
        with Image.open(tmp_path / f"{name}.png") as sheet:
            assert sheet.height >= 3 * 64
            sheets.append(np.asarray(sheet))
    assert np.array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])


def test_synthesize_writes_a_data_set_that_can_be_opened(realnet: Call, tmp_path: Path) -> None:
    data = make_folder(tmp_path / "good")
    output = tmp_path / "pairs"
    call: list[str | Path] = ["synthesize", data, "--synthesis", "mix", "--count", "5", "--seed", "3"]
    call += ["--size", "64", "--output", output]
    out = succeed(realnet(*call))
    assert "5 pairs of image and mask" in out
    lines = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(5))
    assert {line["seed"] for line in lines} == {3}
    pictures = sorted(path for path in output.rglob("*.png") if "ground_truth" not in path.parts)
    masks = sorted(path for path in output.rglob("*_mask.png"))
    assert len(pictures) == len(masks) == 5
    for mask in masks:
        with Image.open(mask) as image:
            assert image.size == (64, 64)
            assert set(np.unique(np.asarray(image))) == {0, 255}
    before = {path: path.read_bytes() for path in output.rglob("*.png")}
    succeed(realnet(*call))
    assert {path: path.read_bytes() for path in output.rglob("*.png")} == before
    other = realnet(*call, "--set", "synthesis.foreground=none")
    assert other.status == 2, "pairs of two kinds are not mixed in one folder"


def test_train_evaluate_inspect(realnet: Call, tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", ("bolt", "nut"))
    run, out, maps = tmp_path / "run", tmp_path / "out", tmp_path / "maps"
    call: list[str | Path] = ["train", data, "--category", "nut", "--synthesis", "cutpaste", "--output", run]
    trained = succeed(realnet(*call, "--device", "cpu", "--time-budget", "5m", "--seed", "4", *flags()))
    assert "Trained 6 steps" in trained
    assert "no test image" in trained
    assert "step 3/6" in trained

    shown = succeed(realnet("evaluate", run, data, "--json", tmp_path / "figures.json", "--maps", maps))
    figures = json.loads((tmp_path / "figures.json").read_text())
    facts = figures["provenance"]
    assert (facts["seed"], facts["preset"], facts["selection"], facts["split"]) == (4, "lite", "validation", "test")
    assert [row["category"] for row in figures["categories"]] == ["nut"], "what the run was trained on, no more"
    assert {row["defect"] for row in figures["defects"]} == {"scratch", "stain"}
    for name in ("image_auroc", "pixel_auroc", "pro"):
        assert 0 <= figures["overall"][name] <= 1
    assert "nut" in shown
    assert "scratch" in shown
    kept = json.loads((run / "metrics.json").read_text())["test"]
    assert list(kept.values()) == [figures]

    (category,) = open_dataset(data, "nut")
    for sample in category.test:
        with Image.open(maps / "nut" / "test" / sample.defect / f"{sample.image.stem}.tiff") as tiff:
            assert tiff.mode == "F"
            assert np.asarray(tiff).shape == (64, 64)
    report = (run / "report.html").read_text(encoding="utf-8")
    assert report.lstrip().lower().startswith("<!doctype html")
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert "<script src" not in report

    defective = data / "nut" / "test" / "stain"
    judged = succeed(realnet("inspect", run, defective, data / "nut" / "test" / "good", "--output", out))
    with (out / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 5
    assert f"5 images judged, {sum(row['verdict'] == 'anomalous' for row in rows)} anomalous" in judged
    assert all((out / row["overlay"]).is_file() for row in rows)
    assert {row["verdict"] for row in rows} <= {"good", "anomalous"}
    everything = succeed(realnet("inspect", run, defective, "--output", out, "--threshold", "0", "--overwrite"))
    assert "2 images judged, 2 anomalous (score above 0.0000)" in everything

    again = succeed(realnet("evaluate", run, data, "--protocol", "realnet", "--report", tmp_path / "other.html"))
    assert "Protocol realnet" in again
    assert (tmp_path / "other.html").is_file()
    assert len(json.loads((run / "metrics.json").read_text())["test"]) == 2, "the exact figures stay beside"


@pytest.mark.parametrize("chosen", [("--select", "oracle"), ("--set", "training.select=oracle")])
def test_oracle_selection_from_the_command_line(
    realnet: Call, product: Path, tmp_path: Path, chosen: tuple[str, str]
) -> None:
    """By the option, or by the field it stands for; every figure shown is marked."""
    run = tmp_path / "run"
    call: list[str | Path] = ["train", product, "--output", run, "--device", "cpu", *flags("training.steps=2")]
    lines = [line for line in succeed(realnet(*call, *chosen)).splitlines() if "AUROC" in line or "best figure" in line]
    assert lines
    assert all("TEST IMAGES (oracle)" in line for line in lines)
    if chosen[0] == "--select":
        assert "(oracle)" in succeed(realnet("evaluate", run, product, "--json", run / "figures.json"))
        figures = json.loads((run / "figures.json").read_text())
        assert figures["provenance"]["selection"] == "oracle"
        assert "oracle" in (run / "report.html").read_text(encoding="utf-8")


def test_what_synthesize_writes_can_be_tested_on(realnet: Call, product: Path, trained: Path, tmp_path: Path) -> None:
    """Pairs of one's own make a test set, once some good images are put beside them."""
    pairs = tmp_path / "widget"
    succeed(realnet("synthesize", product, "--synthesis", "nsa", "--count", "3", "--size", "64", "--output", pairs))
    for part in ("train", "test"):
        (pairs / part).mkdir(exist_ok=True)
        (pairs / part / "good").symlink_to(product / "widget" / part / "good")
    check_dataset(open_dataset(pairs), need_test=True)
    own = Path(shutil.copytree(trained, tmp_path / "run"))  # the figures are filed under the run
    assert "nsa" in succeed(realnet("evaluate", own, pairs, "--report", tmp_path / "report.html"))
