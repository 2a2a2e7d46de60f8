"""Several products in one inspector: trained apart, joined, told no names."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from realnet import load
from realnet.calibration import calibrate, level, read_calibration, save_calibration
from realnet.data import open_dataset
from realnet.errors import UserError
from realnet.evaluation.evaluate import evaluate_run
from realnet.export.export_folder import export_run
from realnet.export.request import request_export
from realnet.progress import Watcher
from realnet.run_folder import PRODUCTS_FILE, Run
from realnet.tested import Trial
from realnet.training.checkpoint import Progress
from realnet.training.doubts import doubts_of
from realnet.training.launch import Launch
from realnet.training.many_products import joined_calibration, named_products, train_products
from realnet.training.run import ODD_FILE, describe_run
from realnet.training.teaching import check_teachable
from tests.data.layouts import save
from tests.training.tiny import tiny

TRAIN = 12


def stripes(rng: np.random.Generator) -> np.ndarray:
    image = np.full((64, 64, 3), 60.0)
    image[:, ::8] = image[:, 1::8] = 220
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def square(rng: np.random.Generator) -> np.ndarray:
    image = np.full((64, 64, 3), 200.0)
    image[20:44, 20:44] = (20, 40, 90)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stripes and squares."""
    root, rng = tmp_path_factory.mktemp("several"), np.random.default_rng(0)
    for name, make in (("stripes", stripes), ("square", square)):
        for number in range(TRAIN):
            save(root / name / "train" / "good" / f"{number:03}.png", make(rng))
        for number in range(3):
            save(root / name / "test" / "good" / f"{number:03}.png", make(rng))
            bad = make(rng)
            bad[24:34, 24:34] = (250, 0, 0)
            save(root / name / "test" / "spot" / f"{number:03}.png", bad)
    return root


@pytest.fixture(scope="module")
def joined(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "both"
    said: list[str] = []

    class Heard(Watcher):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    train_products(open_dataset(data), tiny("training.augmentation=none"), output, Launch("cpu"), Heard())
    assert any("2 products, each with an inspector in" in line for line in said)
    return output


def test_a_product_is_an_inspector_of_its_own_and_all_are_one(joined: Path, data: Path) -> None:
    run, judge = Run(joined), load(joined)
    assert [member.folder.name for member in run.members] == ["square", "stripes"]
    for member in run.members:
        alone = load(member.folder)
        for file in sorted((data / member.folder.name / "test").rglob("*.png")):
            ours, own = judge.inspect(file), alone.inspect(file)
            assert ours.verdict == own.verdict
            assert ours.score == pytest.approx(own.level, abs=1e-4)
        other = next(one for one in run.members if one is not member)
        strange = sorted((data / other.folder.name / "test" / "good").glob("*.png"))[0]
        assert alone.inspect(strange).verdict == "unknown", "the other product is none that it knows"


def test_what_is_said_of_it_is_of_all(joined: Path, data: Path) -> None:
    run = Run(joined)
    assert run.products == ("square", "stripes")
    assert len(run.trained_on) == 2 * TRAIN
    results = evaluate_run(Trial(run, "several", open_dataset(data))).results
    assert results.overall.image_auroc is not None
    before = run.digest
    changed = joined.parent / "changed"
    shutil.copytree(joined, changed)
    threshold = changed / "products" / "square" / "calibration.json"
    threshold.write_text(json.dumps({**json.loads(threshold.read_text()), "score": 0.123}))
    assert Run(changed).digest != before, "each product's threshold is part of what is computed"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_it_is_exported_whole(form: str, joined: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[form])
    run = Run(joined)
    export_run(run, tmp_path / form, request_export(run, tmp_path / form, form, data=data))
    exported, own = load(tmp_path / form), load(joined)
    for file in sorted(data.rglob("test/*/000.png")):
        assert exported.inspect(file).verdict == own.inspect(file).verdict
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert exported.inspect(noise).verdict == own.inspect(noise).verdict == "unknown"


def test_an_export_in_8_bits_is_of_one_product(joined: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    with pytest.raises(UserError, match="8 bits were never measured"):
        request_export(Run(joined), tmp_path / "int8", "openvino-int8", data=data)


def test_a_finished_one_is_not_trained_over_and_a_part_is_taught(joined: Path, data: Path) -> None:
    with pytest.raises(UserError, match="already holds a run"):
        train_products(open_dataset(data), tiny("training.augmentation=none"), joined, Launch("cpu"))
    with pytest.raises(UserError, match=r"several products: teach the one .*products/square"):
        check_teachable(joined)


def test_a_list_of_products_cannot_lead_elsewhere(joined: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(joined, copy)
    (copy / PRODUCTS_FILE).write_text('{"products": ["../../etc"]}')
    with pytest.raises(UserError, match="names no folders"):
        load(copy)


def test_products_are_folders_of_their_own(data: Path) -> None:
    first, second = open_dataset(data)
    named = named_products([replace(first, name="../a b"), replace(second, name="a b"), replace(first, name="lid")])
    assert [product.name for product in named] == ["a-b-1", "a-b-2", "lid"]
    assert [len(product.train) for product in named] == [TRAIN] * 3


def test_together_each_keeps_its_own_threshold() -> None:
    first = calibrate([0.1, 0.2, 0.3], 0.4, 0.25, "good images", "2026", [0.25, 0.9], names=("a", "b", "c"))
    second = calibrate([0.6, 0.7, 0.8], 0.4, 0.25, "good images", "2026", [0.9], names=("d", "e", "f"))
    both = joined_calibration([first, second])
    assert both.score == both.pixel == 0.5
    expected = sorted([*(level(s, first.score) for s in first.good_scores), *(level(s, 0.8) for s in (0.6, 0.7, 0.8))])
    assert both.good_scores == pytest.approx(expected, abs=1e-4)
    assert sum(score > 0.5 for score in both.good_scores) == 0
    assert both.defects_found == pytest.approx(2 / 3)
    assert both.odd() == [], "which images stand out, each product's own calibration says"
    assert both.promised == max(first.promised, second.promised)


def test_what_stands_out_and_what_is_doubtful_is_said_of_each_product(joined: Path, tmp_path: Path) -> None:
    both = Path(shutil.copytree(joined, tmp_path / "both"))
    member = both / "products" / "stripes"
    scores, names = [*(0.05 + 0.001 * i for i in range(20)), 0.9], [f"{i:03d}.png" for i in range(21)]
    save_calibration(member, calibrate(scores, 0.4, 0.1, "good images", "2026", names=names))
    said: list[str] = []

    class Heard(Watcher):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    describe_run(both, Progress(0, 1.0, 1.0), Heard())
    (odd,) = (line for line in said if "far above" in line)
    assert odd.startswith("stripes: 020.png scores") and f"`realnet teach` for {member}" in odd
    assert f"020.png is shown in {member / ODD_FILE}." in said
    doubts = doubts_of(Run(both))
    few = f"{TRAIN} good images are too few"
    assert any(line.startswith(f"square: {few}") for line in doubts)
    assert any(line.startswith(f"stripes: {few}") for line in doubts), "all together are no more of each"


def test_one_product_is_a_run_as_ever(data: Path, tmp_path: Path) -> None:
    config = tiny("training.augmentation=none", "training.steps=0")
    train_products(open_dataset(data, "square"), config, tmp_path / "run", Launch("cpu"))
    assert Run(tmp_path / "run").members == ()
    assert read_calibration(tmp_path / "run") is not None
