"""A view holds in training, calibration, inspection, evaluation and server alike (and in exports: tests/export)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import requests

from realnet import load
from realnet.data import open_dataset, read_image
from realnet.errors import UserError
from realnet.evaluation.evaluate import evaluate_run
from realnet.inspection.calibrating import calibrate_by, judge_good
from realnet.inspection.journal import read_rows
from realnet.run_folder import Run
from realnet.serving import open_models
from realnet.tested import Trial
from realnet.training.prepare import good_images, make_synthesizer
from realnet.view import view_of
from tests.data.layouts import picture, save
from tests.inspection.judged import inspect_files
from tests.serving.conftest import as_png, serving
from tests.training.tiny import run, tiny


def _outside_changed(image: np.ndarray, run_folder: Path) -> np.ndarray:
    """The same image with a defect where nobody looks."""
    changed = image.copy()
    changed[:9, :30] = (255, 0, 0)
    inside = load(run_folder).look(image).inside
    assert inside is not None and not inside[:9, :30].any()
    return changed


def test_the_run_keeps_its_view_and_needs_nothing_else(looking: Path, product: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(looking, tmp_path / "elsewhere")
    config = Run(moved).config.model.view
    assert config.reference == moved / "reference.png" and config.align == "shift" and len(config.polygons[0]) == 5
    image = picture(np.random.default_rng(3))[0]
    assert load(moved).inspect(image).score == load(looking).inspect(image).score


def test_a_defect_outside_changes_nothing_and_one_inside_is_seen(looking: Path) -> None:
    inspector = load(looking)
    good, bad = (picture(np.random.default_rng(4), defect=defect)[0] for defect in (False, True))
    first = inspector.inspect(good)
    second = inspector.inspect(_outside_changed(good, looking))
    # The alignment may follow the intruder by a hair.
    assert second.score == pytest.approx(first.score, abs=0.01)
    assert second.inside is not None and not second.anomaly_map[~second.inside].any()
    assert inspector.inspect(bad).score > first.score + 0.05


def test_the_server_and_inspect_say_what_python_says(looking: Path, tmp_path: Path) -> None:
    image = picture(np.random.default_rng(5), defect=True)[0]
    expected = load(looking).inspect(image)
    assert expected.alignment is not None
    inspect_files(load(looking), [save(tmp_path / "a.png", image)], tmp_path / "out")
    (row,) = read_rows(tmp_path / "out")
    assert (row.score, row.moved_x, row.match) == (
        pytest.approx(expected.score), expected.alignment.dx, expected.alignment.match
    )  # fmt: skip
    with serving(open_models([f"one={looking}"])) as address:
        answer = requests.post(f"{address}/v1/inspect", files={"image": as_png(image)}, timeout=60).json()
        (model,) = requests.get(f"{address}/v1/models", timeout=60).json()
        refused = requests.post(f"{address}/v1/inspect", files={"image": as_png(np.full_like(image, 90))}, timeout=60)
    assert answer["score"] == pytest.approx(expected.score, abs=1e-6)
    assert answer["alignment"] == vars(expected.alignment)
    assert [region["box"] for region in answer["regions"]] == [list(region.box) for region in expected.regions]
    assert model["aligned"] and len(model["view"][0]) == 5
    assert refused.status_code == 422 and "cannot be aligned" in refused.json()["error"]


def test_an_image_that_cannot_be_aligned_gets_a_row_that_says_so_and_stops_nothing(
    looking: Path, tmp_path: Path
) -> None:
    files = [
        save(tmp_path / "a.png", picture(np.random.default_rng(1))[0]),
        save(tmp_path / "b.png", np.full((64, 64, 3), 90, np.uint8)),
        save(tmp_path / "c.png", picture(np.random.default_rng(2))[0]),
    ]
    summary = inspect_files(load(looking), files, tmp_path / "out")
    rows = list(read_rows(tmp_path / "out"))
    assert (summary.images, summary.unreadable) == (3, 1)
    assert [row.verdict == "unreadable" for row in rows] == [False, True, False]
    assert rows[1].error.startswith(str(files[1])) and "cannot be aligned" in rows[1].error
    assert "moved_x" in (tmp_path / "out" / "results.csv").read_text().splitlines()[0]


def test_training_and_calibration_look_where_inspection_looks(looking: Path, product: Path, tmp_path: Path) -> None:
    config = Run(looking).config
    samples = [sample for category in open_dataset(product) for sample in category.train]
    images = good_images(samples, config)
    inspector = load(looking)
    seen = inspector.look(samples[2].image).seen
    assert images[2].shape == (64, 64, 3) and seen.shape[0] < 64
    made = calibrate_by(judge_good(inspector, [sample.image for sample in samples]), 0.1)
    changed = [
        save(tmp_path / f"{i}.png", _outside_changed(read_image(s.image), looking)) for i, s in enumerate(samples)
    ]
    again = calibrate_by(judge_good(inspector, changed), 0.1)
    np.testing.assert_allclose(again.good_scores, made.good_scores, atol=0.01)


def test_defects_are_made_where_somebody_looks(looking: Path, product: Path) -> None:
    config = Run(looking).config
    samples = [sample for category in open_dataset(product) for sample in category.train]
    images = good_images(samples, config)
    view = view_of(config.model.view)
    assert view is not None
    allowed = view.inside_seen(64)
    assert allowed is not None and 0.5 < allowed.mean() < 1
    synthesizer = make_synthesizer(samples, images, config, 0)
    for index in range(40):
        made = synthesizer(index, index % len(images))
        assert made.mask.any() and not made.mask[~allowed].any()
        np.testing.assert_array_equal(made.image[~made.mask], images[index % len(images)][~made.mask])


def test_evaluation_judges_what_inspection_judges(looking: Path, product: Path) -> None:
    evaluation = evaluate_run(Trial(Run(looking), "set", open_dataset(product)))
    inspector = load(looking)
    expected = [found.score for found in inspector.inspect_many([sample.image for sample in evaluation.samples])]
    np.testing.assert_allclose(evaluation.scores, expected, atol=1e-5)
    assert evaluation.maps.shape == (len(expected), 64, 64)


def test_good_images_that_cannot_be_aligned_are_named_before_anything_is_written(product: Path, tmp_path: Path) -> None:
    data = shutil.copytree(product, tmp_path / "data")
    good = data / "widget" / "train" / "good"
    save(good / "odd.png", np.full((64, 64, 3), 90, np.uint8))
    config = tiny("model.view.align=shift", f"model.view.reference={good / '000.png'}")
    with pytest.raises(UserError, match=r"odd\.png cannot be aligned"):
        run(data, tmp_path / "run", config)


def test_a_view_goes_with_tiles(product: Path, tmp_path: Path) -> None:
    view = "model.view.polygons=[[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]]"
    output = tmp_path / "run"
    run(product, output, tiny(view, "model.tile=40", "training.steps=2"))
    image = picture(np.random.default_rng(4))[0]
    first = load(output).inspect(image)
    changed = image.copy()
    changed[:5] = 255
    assert load(output).inspect(changed).score == pytest.approx(first.score, abs=1e-6)
    assert json.loads((output / "metrics.json").read_text())["training"]["good_images"] == 6
