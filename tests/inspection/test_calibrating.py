"""Good images that a threshold rests on: each once, none that a person has called defective, none trained on."""

from pathlib import Path

import pytest

from realnet.calibration import calibrate
from realnet.errors import UserError
from realnet.inspection.calibrating import Judged, calibrate_by, check_unseen, judged_before
from realnet.run_folder import Run

GIVEN = Judged((0.3, 0.1, 0.2), ("c", "a", "b"), ("cc", "aa", "bb"), 0.4, "good images")


def test_confirmed_images_count_once_and_defects_not_at_all() -> None:
    good, defects = [("again", "bb", 0.25), ("new", "dd", 0.5)], [("wrong", "cc", 0.31)]
    made = calibrate_by(GIVEN.with_confirmed(good, defects), 0.25)
    assert made.good_scores == (0.1, 0.2, 0.5)
    assert made.good_names == ("a", "b", "new")
    assert made.good_digests == ("aa", "bb", "dd")
    assert made.source == "good images and 1 that people confirmed"
    again = calibrate_by(judged_before(made).with_confirmed(good, defects), 0.25, made)
    assert (again.good_scores, again.good_digests) == (made.good_scores, made.good_digests)


def test_what_is_not_known_by_its_pixels_stays() -> None:
    made = calibrate((0.2, 0.1), 0.4, 0.4, "held-out good images", "2026-01-01", seen=2)
    further = judged_before(made).with_confirmed([("new", "dd", 0.5)], [("wrong", "cc", 0.3)])
    again = calibrate_by(further, 0.4, made)
    assert again.good_scores == (0.1, 0.2, 0.5) and again.good_digests == ("", "", "dd")
    assert (again.seen, again.promised) == (2, 1.0), "images that were trained on promise nothing"


def test_trained_images_are_refused_by_name() -> None:
    check_unseen(Run(Path("run")), GIVEN)
    known = Judged(GIVEN.scores, GIVEN.names, GIVEN.digests, 0.4, "good images", 1, (Path("b.png"),))
    with pytest.raises(UserError, match=r"1 of the 3 images were trained on: b.png\. .*force=True"):
        check_unseen(Run(Path("run")), known)
    assert calibrate_by(known, 0.4).promised == 1.0
