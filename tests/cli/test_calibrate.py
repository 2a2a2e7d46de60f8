"""``realnet calibrate``, and what depends on it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.process import Finished
from tests.data.layouts import make_good, picture, save

Call = Callable[..., Finished]


def test_the_threshold_follows_the_line_s_own_camera(realnet: Call, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    before = json.loads((run / "calibration.json").read_text())
    make_good(tmp_path / "good", 24, np.random.default_rng(7))
    finished = realnet("calibrate", run, tmp_path / "good", "--false-alarms", "10%")
    assert finished.status == 0, finished.err
    made = json.loads((run / "calibration.json").read_text())
    assert len(made["good_scores"]) == 24
    assert made["score"] == pytest.approx(sorted(made["good_scores"])[22], abs=1.1e-5)
    assert f"The threshold was {before['score']:.4f}." in finished.out
    assert "at most 8.00% are rejected on average" in finished.out

    judged = realnet("inspect", run, tmp_path / "good", "--output", tmp_path / "out")
    assert judged.status == 0 and "1 anomalous" in judged.out
    assert "may have changed" not in judged.err

    kept = (run / "calibration.json").read_bytes()
    refused = realnet("calibrate", run, tmp_path / "good", "--false-alarms", "0.1%")
    assert refused.status == 2 and "24 good images cannot promise" in refused.err and "takes 999" in refused.err
    assert (run / "calibration.json").read_bytes() == kept
    assert realnet("calibrate", run, tmp_path / "good", "--false-alarms", "0.04").status == 0, "what it names suffices"
    assert json.loads((run / "calibration.json").read_text())["version"] == 3


def test_images_that_no_threshold_may_rest_on(realnet: Call, trained: Path, product: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    kept = (run / "calibration.json").read_bytes()
    seen = sorted((product / "widget" / "train" / "good").iterdir())
    make_good(tmp_path / "good", 24, np.random.default_rng(7))
    for number in range(3):
        # The same pixels in another file format.
        with Image.open(seen[number]) as image:
            image.save(tmp_path / "good" / f"copy-{number}.bmp")
    finished = realnet("calibrate", run, tmp_path / "good", "--false-alarms", "10%")
    assert finished.status == 2 and "3 of the 27 images were trained on: " in finished.err
    assert "copy-0.bmp" in finished.err and "--force" in finished.err
    for number in range(24):
        save(
            tmp_path / "other" / f"{number}.png", np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
        )
    finished = realnet("calibrate", run, tmp_path / "other", "--false-alarms", "10%")
    assert finished.status == 2 and "another product" in finished.err
    assert (run / "calibration.json").read_bytes() == kept
    assert realnet("calibrate", run, tmp_path / "other", "--false-alarms", "10%", "--force").status == 0


def test_drift_is_said(realnet: Call, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    rng = np.random.default_rng(3)
    make_good(tmp_path / "good", 24, rng)
    assert realnet("calibrate", run, tmp_path / "good", "--false-alarms", "4%").status == 0
    for number in range(24):
        dark = (picture(rng)[0] * 0.3).astype(np.uint8)
        save(tmp_path / "dark" / f"{number}.png", dark)
    judged = realnet("inspect", run, tmp_path / "dark", "--output", tmp_path / "out")
    assert judged.status == 0 and "light, camera or product may have changed" in judged.err


def test_mistakes(realnet: Call, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    kept = (run / "calibration.json").read_bytes()
    make_good(tmp_path / "one", 1, np.random.default_rng(0))
    for arguments, words in (
        ([run, tmp_path / "one", "--false-alarms", "often"], "no rate of false alarms"),
        ([run, tmp_path / "one"], "One good image is no calibration"),
        ([run, tmp_path / "nowhere"], "nowhere"),
        ([tmp_path / "norun", tmp_path / "one"], "no trained run"),
    ):
        finished = realnet("calibrate", *arguments)
        assert finished.status == 2 and words in finished.err, finished.err
    (tmp_path / "one" / "broken.png").write_bytes(b"no image")
    finished = realnet("calibrate", run, tmp_path / "one", "--false-alarms", "40%")
    assert finished.status == 2 and "broken.png" in finished.err
    assert (run / "calibration.json").read_bytes() == kept
