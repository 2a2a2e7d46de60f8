"""A run on images of 12 bits: its levels are found, saved and applied by everything, as if the images were of 8."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import requests
from benchmarks.reliability.depths import deep_tiff, deep_variants
from PIL import Image

from realnet import load
from realnet.data import open_dataset, read_image
from realnet.errors import UserError
from realnet.evaluation.evaluate import evaluate_run
from realnet.inspection.calibrating import calibrate_by, judge_good
from realnet.inspection.inspector import Inspector
from realnet.progress import Watcher
from realnet.run_folder import Run
from realnet.tested import Trial
from tests.inspection.judged import inspect_files
from tests.training.tiny import run, tiny


class Listening(Watcher):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def as_grey(product: Path, folder: Path) -> Path:
    """The product in grey, 8 bits."""
    shutil.copytree(product, folder)
    for file in folder.rglob("*.png"):
        if "ground_truth" not in file.parts:
            Image.open(file).convert("L").save(file)
    return folder


def as_twelve_bits(product: Path, folder: Path) -> Path:
    """The grey product as 12 bits in TIFFs of 16, and nothing else."""
    make, suffix = deep_variants()["mono12 in 16"]
    shutil.copytree(product, folder)
    for file in [file for file in folder.rglob("*.png") if "ground_truth" not in file.parts]:
        file.with_suffix(suffix).write_bytes(make(np.asarray(Image.open(file))))
        file.unlink()
    return folder


@pytest.fixture(scope="module")
def pair(product: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Path, list[str]]:
    """The data of 8 and of 12 bits, and the runs trained on each."""
    folder = tmp_path_factory.mktemp("depths")
    eight = as_grey(product, folder / "set")
    twelve = as_twelve_bits(eight, folder / "twelve" / "set")
    listening = Listening()
    run(eight, folder / "run8", tiny())
    run(twelve, folder / "run12", tiny(), watcher=listening)
    return eight, twelve, folder / "run8", folder / "run12", listening.said


def test_the_levels_are_found_said_and_saved(pair: tuple[Path, Path, Path, Path, list[str]]) -> None:
    _, _, run8, run12, said = pair
    assert Run(run12).config.data.levels == "0:4095"
    assert Run(run8).config.data.levels is None
    assert len(said) == 1
    assert said[0].startswith("6 of 6 good images have more than 8 bits")
    assert "0:4095" in said[0]


def test_every_path_judges_both_depths_alike(pair: tuple[Path, Path, Path, Path, list[str]], tmp_path: Path) -> None:
    """Inspector, tables, calibration, evaluation and server against the run of 8 bits."""
    eight, twelve, run8, run12, _ = pair
    ours, theirs = load(run12), load(run8)
    assert isinstance(ours, Inspector)
    files = sorted((twelve / "widget" / "test").rglob("*.tif"))
    twins = [eight / file.relative_to(twelve).with_suffix(".png") for file in files]
    expected = [theirs.inspect(twin).score for twin in twins]
    assert len(set(expected)) > 3
    near = pytest.approx(expected, abs=1e-5)
    assert [ours.inspect(file).score for file in files] == near
    assert [ours.inspect(twin).score for twin in twins] == near
    assert [ours.inspect(Image.open(file)).score for file in files] == near
    assert [found.score for found in ours.inspect_many([np.asarray(Image.open(file)) for file in files])] == near

    inspect_files(ours, files, tmp_path / "out")
    rows = {row["image"]: row["score"] for row in json.loads((tmp_path / "out" / "results.json").read_text())}
    assert [rows[str(file)] for file in files] == near
    made = calibrate_by(judge_good(ours, files), 0.1)
    assert sorted(made.good_scores) == pytest.approx(sorted(expected), abs=1e-5)
    seen = sorted((twelve / "widget" / "train").rglob("*.tif"))
    assert judge_good(ours, [*files, *seen], Run(run12).trained_on).trained == tuple(seen)
    assert Run(run12).seen([*files, *seen]).trained == tuple(seen)
    evaluation = evaluate_run(Trial(Run(run12), "set", open_dataset(twelve)))
    found = {sample.image: score for sample, score in zip(evaluation.samples, evaluation.scores, strict=True)}
    assert [found[file] for file in files] == near

    from realnet.serving import open_models
    from tests.serving.conftest import serving

    with serving(open_models([f"only={run12}"])) as address:
        answers = [
            requests.post(f"{address}/v1/inspect", files={"image": (file.name, file.read_bytes())}, timeout=60)
            for file in files[:3]
        ]
    assert [answer.json()["score"] for answer in answers] == pytest.approx(expected[:3], abs=1e-5)


def test_what_was_trained_on_is_known_in_12_bits(
    pair: tuple[Path, Path, Path, Path, list[str]], tmp_path: Path
) -> None:
    _, twelve, _, run12, _ = pair
    good = next((twelve / "widget" / "train" / "good").iterdir())
    copy = tmp_path / "copy.png"
    Image.fromarray(np.asarray(Image.open(good))).save(copy)
    other = next((twelve / "widget" / "test" / "good").iterdir())
    assert Run(run12).seen([copy, other]).trained == (copy,)


def test_a_reference_image_of_12_bits_is_read_by_the_levels(
    pair: tuple[Path, Path, Path, Path, list[str]], tmp_path: Path
) -> None:
    eight, twelve, _, _, _ = pair
    kept = []
    for data in (eight, twelve):
        reference = min((data / "widget" / "train" / "good").iterdir())
        settings = tiny("model.view.align=shift", f"model.view.reference={reference}", "training.steps=0")
        run(data, tmp_path / data.parent.name, settings)
        kept.append(np.asarray(Image.open(tmp_path / data.parent.name / "reference.png")))
    assert np.array_equal(*kept)


def test_another_depth_is_refused_and_named(pair: tuple[Path, Path, Path, Path, list[str]], tmp_path: Path) -> None:
    _, _, run8, run12, _ = pair
    full = tmp_path / "full.tif"
    full.write_bytes(deep_tiff(np.random.default_rng(0).integers(0, 65536, (64, 64)).astype(np.uint16)))
    summary = inspect_files(load(run12), [full], tmp_path / "out")
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert summary.unreadable == 1
    assert "outside data.levels=0:4095" in row["error"]
    assert load(run8).inspect(full).score >= 0  # 16 bits have their own scale there
    dark = tmp_path / "dark.tif"
    dark.write_bytes(deep_tiff(np.full((64, 64), 4000, np.uint16)))
    with pytest.raises(UserError, match="nearly black"):
        load(run8).inspect(dark)


def test_levels_that_are_asked_for(pair: tuple[Path, Path, Path, Path, list[str]], tmp_path: Path) -> None:
    _, twelve, _, _, _ = pair
    listening = Listening()
    run(twelve, tmp_path / "run", tiny("data.levels=0:8190", "training.steps=0"), watcher=listening)
    assert "as asked" in listening.said[0]
    file = next((twelve / "widget" / "test").rglob("*.tif"))
    inspected = load(tmp_path / "run").inspect(file).image
    full = read_image(file, levels=(0, 4095)).astype(int)
    assert np.abs(inspected.astype(int) * 2 - full).max() <= 1
    with pytest.raises(UserError, match=r"outside data\.levels=0:100"):
        run(twelve, tmp_path / "other", tiny("data.levels=0:100"))
    assert not (tmp_path / "other" / "config.yaml").exists()
