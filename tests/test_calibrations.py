"""Versions of a calibration."""

import json
from pathlib import Path

import pytest

from realnet.calibration import calibrate, read_calibration, save_calibration, with_threshold
from realnet.calibrations import install, list_versions, undo
from realnet.errors import UserError

SCORES = [i / 100 for i in range(1, 51)]
FIRST = calibrate(SCORES, 0.3, 0.1, "good images", "2026-01-01", [0.1, 0.48, 0.9])


def test_every_version_is_kept_and_the_one_before_comes_back(tmp_path: Path) -> None:
    save_calibration(tmp_path, FIRST)
    second = install(tmp_path, with_threshold(FIRST, 0.2, "Moved.", "2026-01-02"))
    assert (second.version, second.before) == (2, 1)
    was, now = undo(tmp_path)
    assert (was, now) == (second, FIRST)
    third = install(tmp_path, with_threshold(FIRST, 0.3, "Moved.", "2026-01-03"))
    assert (third.version, third.before) == (3, 1)
    assert [one.version for one in list_versions(tmp_path)] == [1, 2, 3]
    assert read_calibration(tmp_path) == third
    assert undo(tmp_path)[1] == FIRST
    with pytest.raises(UserError, match="no earlier"):
        undo(tmp_path)
    assert read_calibration(tmp_path) == FIRST


def test_a_lost_version_is_not_undone_to(tmp_path: Path) -> None:
    save_calibration(tmp_path, FIRST)
    second = install(tmp_path, FIRST)
    (tmp_path / "calibrations" / "0001.json").unlink()
    with pytest.raises(UserError, match=r"0001.json.*missing"):
        undo(tmp_path)
    assert read_calibration(tmp_path) == second


def test_a_run_without_any_begins_with_the_first(tmp_path: Path) -> None:
    made = install(tmp_path, FIRST)
    assert (made.version, made.before) == (1, None)
    assert json.loads((tmp_path / "calibration.json").read_text())["score"] == FIRST.score


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.305, 0.5, 1.0])
def test_a_chosen_threshold_promises_what_its_good_images_say(threshold: float) -> None:
    moved = with_threshold(FIRST, threshold, "Moved by hand by Ann.", "2026-01-02")
    above = sum(score > threshold for score in SCORES)
    assert moved.promised == pytest.approx((above + 1) / 51)
    assert moved.promised <= moved.confident <= 1
    assert moved.defects_found == pytest.approx(sum(score > threshold for score in (0.1, 0.48, 0.9)) / 3)
    assert "Moved by hand by Ann." in moved.sentences()
