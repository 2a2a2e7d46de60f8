"""The threshold that held-out good images promise something about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.training.validation import score_threshold


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
