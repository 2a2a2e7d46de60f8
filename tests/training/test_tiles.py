"""Training, evaluation, inspection, serving and export of an inspector that works tile by tile."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import requests
from pydantic import ValidationError

from realnet import load
from realnet.calibration import read_calibration
from realnet.config import Config
from realnet.data import open_dataset
from realnet.data.tiling import cut, tile_boxes
from realnet.errors import UserError
from realnet.evaluation.evaluate import evaluate_run
from realnet.export.export_folder import export_run
from realnet.export.request import request_export
from realnet.run_folder import Run
from realnet.serving import open_models
from realnet.tested import Trial
from tests.data.layouts import picture
from tests.serving.conftest import as_png, serving
from tests.training.tiny import run, tiny


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory, product: Path) -> Path:
    output = tmp_path_factory.mktemp("runs") / "tiled"
    run(product, output, tiny("model.tile=40"))
    return output


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    return picture(np.random.default_rng(4), size=120, defect=True)[0]


def test_an_image_is_judged_tile_by_tile(tiled: Path, large: np.ndarray) -> None:
    inspector = load(tiled)
    found = inspector.inspect(large)
    assert found.anomaly_map.shape == (120, 120)
    tiles = [cut(large, box, 64) for box in tile_boxes(120, 120, 40)]
    _, scores = inspector.measure(tiles)
    assert found.score == pytest.approx(max(scores), abs=1e-5)


def test_the_threshold_rests_on_whole_images(tiled: Path, product: Path) -> None:
    calibration = read_calibration(tiled)
    assert calibration is not None
    (category,) = open_dataset(product)
    assert sorted(calibration.good_names) == sorted(sample.image.name for sample in category.train), "one a file"
    inspector = load(tiled)
    for sample in category.train:
        own = calibration.good_scores[calibration.good_names.index(sample.image.name)]
        assert inspector.inspect(sample.image).score <= own + 1e-4, "its tiles were judged by what had not seen them"


def test_evaluation_sees_what_inspection_sees(tiled: Path, product: Path) -> None:
    categories = open_dataset(product)
    evaluation = evaluate_run(Trial(Run(tiled), "set", categories))
    inspector = load(tiled)
    for sample, score in zip(evaluation.samples, evaluation.scores, strict=True):
        assert inspector.inspect(sample.image).score == pytest.approx(float(score), abs=1e-5)
    assert evaluation.maps.shape[1:] == (64, 64)


def test_served_and_inspected_are_the_same(tiled: Path, large: np.ndarray) -> None:
    expected = load(tiled).inspect(large, threshold=0)
    with serving(open_models([str(tiled)])) as address:
        answer = requests.post(f"{address}/v1/inspect", files={"image": as_png(large)}, data={"threshold": "0"}).json()
    assert answer["score"] == pytest.approx(expected.score, abs=1e-5)
    assert answer["anomalous_area"] == pytest.approx(float(expected.mask.mean()), abs=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs onnxruntime")
def test_an_export_cuts_the_same_tiles(tiled: Path, product: Path, large: np.ndarray, tmp_path: Path) -> None:
    request = request_export(Run(tiled), tmp_path / "export", "onnx", product / "widget" / "train")
    manifest = export_run(Run(tiled), tmp_path / "export", request)
    assert manifest.tile == 40
    expected, found = load(tiled).inspect(large), load(tmp_path / "export").inspect(large)
    assert found.score == pytest.approx(expected.score, abs=1e-4)
    np.testing.assert_allclose(found.anomaly_map, expected.anomaly_map, atol=1e-3)


def test_what_does_not_go_with_tiles() -> None:
    with pytest.raises(UserError, match="generated images show whole products"):
        tiny("model.tile=40", "synthesis.source=sia")
    with pytest.raises(UserError, match="which know no model"):
        tiny("model.tile=40", "training.select=oracle")
    with pytest.raises(ValidationError, match=r"model\.tile"):
        Config.model_validate({"model": {"tile": 8}})
