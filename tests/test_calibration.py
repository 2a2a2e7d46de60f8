"""The threshold that good images promise something about: against simulation, closed forms and invariants."""

import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from realnet.calibration import (
    calibrate,
    confident_rate,
    drift,
    images_needed,
    level,
    pixel_threshold,
    rank_of_threshold,
    rate,
    read_calibration,
    save_calibration,
    score_threshold,
)
from realnet.errors import UserError


@pytest.mark.parametrize(
    ("count", "rate", "place", "promised"),
    [(9, 0.1, 9, 0.1), (24, 0.1, 23, 2 / 25), (99, 0.05, 95, 0.05), (5, 0.1, 5, 1 / 6), (1, 0.5, 1, 0.5)],
)
def test_it_is_the_order_statistic_of_split_conformal_prediction(
    count: int, rate: float, place: int, promised: float
) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1, count + 1) / count)
    threshold, expected = score_threshold(scores.tolist(), rate)
    assert threshold == pytest.approx(place / count)
    assert expected == pytest.approx(promised)


@settings(deadline=None, max_examples=20)
@given(st.integers(3, 40), st.sampled_from([0.05, 0.1, 0.3]))
def test_a_further_good_score_exceeds_it_no_more_often_than_promised(count: int, rate: float) -> None:
    rng = np.random.default_rng([count, int(100 * rate)])
    trials = 3000
    exceeded, promised = 0, 0.0
    for _ in range(trials):
        *scores, further = rng.random(count + 1).tolist()
        threshold, promised = score_threshold(scores, rate)
        exceeded += further > threshold
    assert exceeded / trials == pytest.approx(promised, abs=0.03)


@pytest.mark.parametrize(("count", "asked"), [(20, 0.1), (100, 0.05), (300, 0.01)])
def test_the_confident_rate_is_exceeded_as_rarely_as_it_says(count: int, asked: float) -> None:
    k = rank_of_threshold(count, asked)
    bound = confident_rate(count, k)
    rng = np.random.default_rng(count)
    # Of uniform scores the rate of false alarms at threshold t is 1 - t.
    rates = 1 - np.sort(rng.random((4000, count)), axis=1)[:, k - 1]
    assert np.mean(rates <= bound) == pytest.approx(0.95, abs=0.015)
    assert rates.mean() == pytest.approx((count + 1 - k) / (count + 1), abs=0.005)


@given(st.floats(0.0005, 0.4))
def test_as_many_images_as_needed_keep_the_promise_and_one_fewer_does_not(asked: float) -> None:
    n = images_needed(asked)
    assert score_threshold([i / n for i in range(n)], asked)[1] <= asked * (1 + 1e-6)
    if n > 1:
        assert score_threshold([i / n for i in range(n - 1)], asked)[1] > asked * (1 - 1e-6)
    sure = images_needed(asked, 0.95)
    assert confident_rate(sure, sure) <= asked * (1 + 1e-6)
    if sure > 1:
        assert confident_rate(sure - 1, sure - 1) > asked


def test_fifty_images_cannot_promise_a_tenth_of_a_percent() -> None:
    made = calibrate([i / 100 for i in range(50)], 0.3, 0.001, "held-out good images", "2026-01-01", [0.1, 0.9])
    said = " ".join(made.sentences())
    assert made.score == pytest.approx(0.49) and made.promised == pytest.approx(1 / 51)
    assert "cannot be promised with 50 images" in said and "it takes 999, and 2,995" in said
    assert made.defects_found == 0.5
    kept = calibrate([i / 1000 for i in range(999)], 0.3, 0.001, "good images", "2026-01-01")
    assert "cannot" not in " ".join(kept.sentences()) and kept.defects_found is None
    with pytest.raises(ValueError, match="at least one"):
        calibrate([], 0.3, 0.001, "good images", "2026-01-01")


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_level_keeps_the_order_and_puts_the_threshold_at_a_half(a: float, b: float, threshold: float) -> None:
    assert 0 <= level(a, threshold) <= 1
    assert level(threshold, threshold) == 0.5
    assert (level(a, threshold) <= level(b, threshold)) or a > b
    if a > threshold + 1e-6:
        assert level(a, threshold) > 0.5


def test_pixel_threshold_is_clipped() -> None:
    assert pixel_threshold(np.zeros((2, 8, 8))) == 0.2
    assert pixel_threshold(np.ones((2, 8, 8))) == 0.5
    assert pixel_threshold(np.full((2, 8, 8), 0.31)) == pytest.approx(0.31)


def test_drift_is_seen_and_not_imagined() -> None:
    rng = np.random.default_rng(0)
    calibrated = rng.beta(2, 8, 60).tolist()
    alarms = [drift(calibrated, rng.beta(2, 8, 50).tolist()).warns for _ in range(200)]
    assert sum(alarms) == 0
    moved = drift(calibrated, rng.beta(4, 6, 50).tolist())
    assert moved.warns and moved.higher and "higher" in moved.sentence()
    lower = drift(calibrated, (rng.beta(2, 8, 50) * 0.3).tolist())
    assert lower.warns and not lower.higher
    assert not drift(calibrated, [1.0] * 19).warns  # too few to say
    with pytest.raises(ValueError, match="both sides"):
        drift(calibrated, [])


@pytest.mark.parametrize(("text", "value"), [("0.1%", 0.001), ("2 %", 0.02), ("0.05", 0.05)])
def test_rates_as_people_write_them(text: str, value: float) -> None:
    assert rate(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "none", "0", "100%", "1.5", "-1%", "nan"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(UserError, match="no rate"):
        rate(text)


def test_a_calibration_is_saved_and_a_damaged_one_refused(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) is None
    made = calibrate([0.1, 0.2, 0.3], 0.3, 0.25, "good images", "2026-01-01")
    save_calibration(tmp_path, made)
    assert read_calibration(tmp_path) == made
    (tmp_path / "calibration.json").write_text('{"score": 2}')
    with pytest.raises(UserError, match="damaged"):
        read_calibration(tmp_path)


def test_good_images_far_above_the_others_are_named_highest_first() -> None:
    scores = [0.05 + 0.001 * i for i in range(20)] + [0.7, 0.9]
    names = [f"{i:03d}.png" for i in range(22)]
    made = calibrate(scores[::-1], 0.3, 0.1, "good images", "2026-01-01", names=names[::-1])
    assert made.good_names == tuple(names), "names follow their scores"
    assert made.odd() == ["021.png", "020.png"]
    assert "021.png, 020.png score far above the other good images" in " ".join(made.sentences())
    assert "--exclude NAME leaves it out" in made.describe_odd()
    given = made.model_copy(update={"good_digests": tuple(names)})
    assert "calibrate again without it" in given.describe_odd(), "what the run does not hold cannot be taken out of it"
    assert calibrate(scores[:20], 0.3, 0.1, "good images", "2026-01-01", names=names[:20]).odd() == []
    assert calibrate(scores, 0.3, 0.1, "good images", "2026-01-01").odd() == [], "without names none can be named"


@given(st.lists(st.integers(1, 999), min_size=8, max_size=60))
def test_far_above_is_three_and_a_half_robust_deviations(thousandths: list[int]) -> None:
    scores = sorted(one / 1000 for one in thousandths)
    names = [f"{i:03d}.png" for i in range(len(scores))]
    logits = [math.log(score / (1 - score)) for score in scores]
    middle = statistics.median(logits)
    spread = max(statistics.median(abs(logit - middle) for logit in logits), 1e-3) / 0.6745
    expected = [name for name, logit in zip(names, logits, strict=True) if (logit - middle) / spread > 3.5]
    near = any(abs((logit - middle) / spread - 3.5) < 1e-3 for logit in logits)
    assume(not near)
    odd = calibrate(scores, 0.3, 0.1, "good images", "2026-01-01", names=names).odd()
    assert odd == expected[::-1][:10]


def test_what_a_person_called_good_is_not_named_again(tmp_path: Path) -> None:
    scores, names = [*(0.05 + 0.001 * i for i in range(20)), 0.7, 0.9], [f"{i:03d}.png" for i in range(22)]
    made = calibrate(scores, 0.3, 0.1, "good images", "2026-01-01", names=names).with_confirmed(["021.png"])
    save_calibration(tmp_path, made)
    kept = read_calibration(tmp_path)
    assert kept is not None and kept.odd() == ["020.png"]
    assert "--keep 020.png" in " ".join(kept.sentences())
    assert kept.with_confirmed(["020.png"]).odd() == []
    assert kept.with_confirmed(["020.png"]).score == kept.score, "the promise rests on all of them"


def test_an_equal_score_is_good_after_rounding_too() -> None:
    made = calibrate([0.1, 0.123456789], 0.3, 0.1, "good images", "2026-01-01")
    assert 0.123456789 < made.score <= 0.12347
    assert calibrate([0.9999991], 0.3, 0.1, "good images", "2026-01-01").score == 0.9999991, "room for defects is left"


def test_outlines_of_smooth_maps_begin_higher() -> None:
    assert pixel_threshold(np.zeros((2, 8, 8))) == 0.2
    assert pixel_threshold(np.zeros((2, 8, 8)), "evidence") == 0.4
    assert pixel_threshold(np.ones((2, 8, 8)), "evidence") == 0.5
