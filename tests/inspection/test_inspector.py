"""One image in, score, verdict and map out."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from realnet import load
from realnet.data import resize_image
from realnet.errors import UserError
from realnet.inspection.inspector import Inspector, measure
from realnet.model.network import RealNet
from tests.data.layouts import picture
from tests.training.tiny import TRAINED, tiny


@pytest.fixture(scope="module")
def inspector(trained: Path) -> Inspector:
    return load(trained)


@pytest.fixture(scope="module")
def defective() -> np.ndarray:
    """64 x 64 pixels, with a defect."""
    return picture(np.random.default_rng(8), defect=True)[0]


def pictures(sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in sizes]


def test_an_image_of_any_size_gets_a_map_of_its_own_size(inspector: Inspector) -> None:
    for image in pictures([(64, 64), (50, 130), (1, 1), (3, 200), (300, 20)]):
        result = inspector.inspect(image)
        assert result.anomaly_map.shape == image.shape[:2]
        assert result.anomaly_map.dtype == np.float32
        assert 0 <= result.anomaly_map.min() <= result.anomaly_map.max() <= 1
        assert result.mask.shape == image.shape[:2]
        assert result.mask.dtype == bool
        assert np.array_equal(result.image, image)


def test_score_and_map_are_the_models(inspector: Inspector, defective: np.ndarray) -> None:
    big = np.asarray(Image.fromarray(defective).resize((150, 90)))
    expected, scores = measure(inspector.model, [resize_image(big, 64)])
    result = inspector.inspect(big)
    assert result.score == pytest.approx(scores[0], abs=1e-6)
    # Bilinear: where the map was enlarged, its corner pixels and its mean stay.
    assert result.anomaly_map[0, 0] == pytest.approx(float(expected[0, 0, 0]), abs=1e-5)
    assert result.anomaly_map[-1, -1] == pytest.approx(float(expected[0, -1, -1]), abs=1e-5)
    assert result.anomaly_map.mean() == pytest.approx(expected.mean(), abs=0.01)
    same_size = inspector.inspect(defective)
    np.testing.assert_allclose(same_size.anomaly_map, measure(inspector.model, [defective])[0][0], atol=1e-6)


@pytest.mark.parametrize("kind", ["max", "pooled16"])
def test_the_score_is_of_the_kind_configured(defective: np.ndarray, kind: str) -> None:
    config = tiny(*TRAINED, f"model.image_score={kind}")
    judge = Inspector(RealNet(config), config, 0.5, 0.5)
    maps = torch.from_numpy(measure(judge.model, [defective])[0])[:, None]
    expected = maps.max() if kind == "max" else torch.nn.functional.avg_pool2d(maps, 16, 1).max()
    assert judge.inspect(defective).score == pytest.approx(float(expected), abs=1e-6)


def as_16_bit(image: np.ndarray) -> np.ndarray:
    return image.astype(np.uint16) * 257


# The same picture in another form gets the same verdict; the defective picture is a coloured one.
FORMS: dict[str, Any] = {
    "array": lambda image, folder: image,
    "PIL": lambda image, folder: Image.fromarray(image),
    "RGBA": lambda image, folder: Image.fromarray(image).convert("RGBA"),
    "RGBA array": lambda image, folder: np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]),
    "16 bits": lambda image, folder: as_16_bit(image),
    "float": lambda image, folder: image.astype(np.float32) / 255,
    "path": lambda image, folder: write(image, folder / "colour.png"),
    "name": lambda image, folder: str(write(image, folder / "named.png")),
    "BMP": lambda image, folder: write(image, folder / "colour.bmp"),
    "not contiguous": lambda image, folder: np.asfortranarray(image),
}
GREY_FORMS: dict[str, Any] = {
    "array": lambda grey, folder: grey,
    "one channel": lambda grey, folder: grey[..., None],
    "PIL": lambda grey, folder: Image.fromarray(grey),
    "16-bit file": lambda grey, folder: write(as_16_bit(grey), folder / "sixteen.png"),
    "16-bit TIFF": lambda grey, folder: write(as_16_bit(grey), folder / "sixteen.tiff"),
    "path": lambda grey, folder: write(grey, folder / "grey.png"),
}


def write(pixels: np.ndarray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_an_image(inspector: Inspector, defective: np.ndarray, tmp_path: Path, form: str) -> None:
    result = inspector.inspect(FORMS[form](defective, tmp_path))
    expected = inspector.inspect(defective)
    np.testing.assert_allclose(result.anomaly_map, expected.anomaly_map, atol=1e-5)
    assert result.score == pytest.approx(expected.score, abs=1e-5)


@pytest.mark.parametrize("form", GREY_FORMS)
def test_any_form_of_a_grey_image(inspector: Inspector, defective: np.ndarray, tmp_path: Path, form: str) -> None:
    grey = defective[..., 2]
    result = inspector.inspect(GREY_FORMS[form](grey, tmp_path))
    expected = inspector.inspect(np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_allclose(result.anomaly_map, expected.anomaly_map, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_many_give_what_each_gives(inspector: Inspector, batch_size: int) -> None:
    images = pictures([(64, 64), (40, 90), (90, 40), (64, 64), (10, 10)])
    results = list(inspector.inspect_many(iter(images), batch_size))
    assert len(results) == len(images)
    for image, result in zip(images, results, strict=True):
        alone = inspector.inspect(image)
        assert np.array_equal(result.image, image)
        assert result.score == pytest.approx(alone.score, abs=1e-5)
        np.testing.assert_allclose(result.anomaly_map, alone.anomaly_map, atol=1e-5)


def test_none_are_none(inspector: Inspector) -> None:
    assert list(inspector.inspect_many([])) == []


def test_images_are_read_a_batch_at_a_time(inspector: Inspector, defective: np.ndarray) -> None:
    read: list[int] = []

    def endless() -> Any:
        for number in range(10**9):
            read.append(number)
            yield defective

    results = inspector.inspect_many(endless(), batch_size=2)
    next(results)
    assert len(read) == 2


def test_the_verdict_is_score_against_threshold(inspector: Inspector, trained: Path) -> None:
    kept = json.loads((trained / "calibration.json").read_text())
    assert (inspector.threshold, inspector.pixel_threshold) == (kept["score"], kept["pixel"])
    defective = picture(np.random.default_rng(1), defect=True)[0]  # not so odd that it is of another product
    score = inspector.inspect(defective).score
    for threshold, anomalous in ((score - 1e-6, True), (score + 1e-6, False), (1.0, False)):
        judge = Inspector(inspector.model, inspector.config, threshold, 0.0)
        result = judge.inspect(defective)
        assert result.is_anomalous is anomalous
        assert bool(result.mask.any()) is anomalous, "what passes has nothing outlined"
    low, high = (Inspector(inspector.model, inspector.config, 0.0, pixel) for pixel in (0.0, 1.0))
    assert low.inspect(defective).mask.sum() > high.inspect(defective).mask.sum() == 0


def test_the_inspector_is_deterministic_and_changes_nothing(inspector: Inspector, defective: np.ndarray) -> None:
    before = {name: tensor.clone() for name, tensor in inspector.model.state_dict().items()}
    first, second = inspector.inspect(defective), inspector.inspect(defective)
    assert np.array_equal(first.anomaly_map, second.anomaly_map)
    assert all(torch.equal(before[name], tensor) for name, tensor in inspector.model.state_dict().items())


def test_what_is_no_image_is_refused(inspector: Inspector, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    for wrong, message in (
        (tmp_path / "notes.png", "notes.png"),
        (tmp_path / "missing.png", "missing.png"),
        (np.zeros((2, 3, 4, 5), np.uint8), r"not of shape \[2, 3, 4, 5\]"),
        (np.full((4, 4), np.nan), "not finite"),
    ):
        with pytest.raises(UserError, match=message):
            inspector.inspect(wrong)


def copy(run: Path, folder: Path) -> Path:
    for name in ("config.yaml", "model.safetensors", "metrics.json", "calibration.json"):
        (folder / name).write_bytes((run / name).read_bytes())
    return folder


def test_a_copied_run_stands_on_its_own(trained: Path, tmp_path: Path, defective: np.ndarray) -> None:
    moved = load(str(copy(trained, tmp_path)))
    assert moved.inspect(defective).score == load(trained).inspect(defective).score


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def test_no_damage_goes_unnoticed_and_nothing_is_unpickled(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run .*give the --output folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"is no trained run: it has no config.yaml"):
        load(tmp_path)
    run = copy(trained, tmp_path)
    weights = (run / "model.safetensors").read_bytes()
    marker = tmp_path / "executed"
    for damaged in (weights[: len(weights) // 2], b"", pickle.dumps(Bomb(marker)), b"\xff" * 100):
        (run / "model.safetensors").write_bytes(damaged)
        with pytest.raises(UserError, match=r"model.safetensors is damaged or no safetensors file"):
            load(run)
    assert not marker.exists()
    (run / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no model.safetensors: its training has not finished"):
        load(run)
    (run / "model.safetensors").write_bytes(weights)
    calibration = json.loads((run / "calibration.json").read_text())
    for changes in ({"score": "high"}, {"score": 1.5}, {"pixel": -1}, {"score": None}):
        (run / "calibration.json").write_text(json.dumps({**calibration, **changes}))
        with pytest.raises(UserError, match=r"calibration.json is damaged"):
            load(run)
    (run / "calibration.json").unlink()
    with pytest.raises(UserError, match=r"has no calibration.json, which holds its thresholds"):
        load(run)
    for text in ("{", "[" * 100_000, "[1]", '{"training": [1]}', '{"imported": {}}'):
        (run / "metrics.json").write_text(text)
        with pytest.raises(UserError, match=r"metrics.json is missing or damaged"):
            load(run)
    if hasattr(os, "mkfifo"):
        (run / "metrics.json").unlink()
        os.mkfifo(run / "metrics.json")
        with pytest.raises(UserError, match=r"metrics.json is missing or damaged"):
            load(run)


def test_a_model_that_gives_no_numbers_is_refused_rather_than_believed(trained: Path, defective: np.ndarray) -> None:
    inspector = load(trained)
    with torch.no_grad():
        for parameter in inspector.model.discriminator.parameters():
            parameter.fill_(3e38)
    with pytest.raises(UserError, match=r"gives values that are not finite"):
        inspector.inspect(defective)
