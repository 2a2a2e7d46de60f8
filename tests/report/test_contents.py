"""Which images are shown, and which channels."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.data import Sample
from realnet.inspection.inspection import Inspection
from realnet.report.contents import GalleryItem, afs_layer
from realnet.report.run_report import worst_first


def item(score: float, label: bool) -> GalleryItem:
    found = Inspection(score, 0.5, 0.4, np.array([[0.1, 0.6]], np.float32), np.zeros((1, 2, 3), np.uint8))
    return GalleryItem(Sample(Path("x.png"), "plate", "test", "dent" if label else "good"), found, None)


@pytest.mark.parametrize(
    ("score", "label", "verdict"),
    [(0.6, True, "found"), (0.5, True, "missed"), (0.6, False, "false alarm"), (0.5, False, "passed")],
)
def test_verdicts(score: float, label: bool, verdict: str) -> None:
    judged = item(score, label)
    assert judged.verdict == verdict
    assert judged.found.mask.tolist() == [[False, score > 0.5]]


def test_wrong_ones_come_first_the_worst_at_the_top() -> None:
    scores = [0.9, 0.1, 0.55, 0.45, 0.6, 0.05]
    labels = [False, False, False, True, True, True]
    # Wrong: 5 (a miss, as far below as can be), 0 (likewise above), 2 and 3 narrowly. Right: 4, then 1.
    order = worst_first(scores, labels, 0.5)
    assert set(order[:2]) == {0, 5} and set(order[2:4]) == {2, 3} and order[4:] == [4, 1]


def test_misses_below_a_low_threshold_are_not_pushed_out_by_false_alarms() -> None:
    scores = np.concatenate([np.linspace(0.3, 0.9, 30), [0.001, 0.01]])
    labels = [False] * 30 + [True] * 2
    assert worst_first(scores, labels, 0.02, limit=8)[:3] == [29, 30, 28]


def test_right_ones_keep_a_quarter_of_the_room() -> None:
    scores = [0.9] * 50 + [0.8] * 50
    labels = [False] * 50 + [True] * 50
    order = worst_first(scores, labels, 0.5, limit=40)
    assert [index < 50 for index in order] == [True] * 30 + [False] * 10
    assert len(worst_first([0.9] * 50, [False] * 50, 0.5, limit=40)) == 40


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-10, 10), st.booleans()), max_size=60),
    st.floats(-10, 10),
    st.integers(1, 50),
)
def test_each_image_once_and_never_more_than_the_limit(
    judged: list[tuple[float, bool]], threshold: float, limit: int
) -> None:
    scores, labels = [score for score, _ in judged], [label for _, label in judged]
    order = worst_first(scores, labels, threshold, limit)
    assert len(order) == len(set(order)) == min(limit, len(judged))
    wrong = [(scores[index] > threshold) != labels[index] for index in order]
    assert wrong == sorted(wrong, reverse=True)


def test_afs_row_runs_from_the_best_channel_to_the_worst() -> None:
    rng = np.random.default_rng(0)
    good, anomalous = rng.random((20, 4, 4)), rng.random((20, 4, 4))
    losses = rng.permutation(20) / 20
    layer = afs_layer("one", good, anomalous, losses, selected=np.argsort(losses)[:5], columns=6)
    assert list(layer.losses) == sorted(layer.losses) and len(layer.channels) == 6
    assert (layer.losses[0], layer.losses[-1]) == (losses.min(), losses.max())
    assert layer.kept == tuple(loss < 5 / 20 for loss in layer.losses)
    assert (layer.total, layer.selected) == (20, 5)
    difference = (anomalous[layer.channels[2]] - good[layer.channels[2]]) ** 2
    expected = (difference - difference.min()) / (difference.max() - difference.min())
    np.testing.assert_allclose(layer.differences[2], expected, atol=1e-5)


def test_a_channel_that_does_not_react_is_dark() -> None:
    same = np.ones((2, 3, 3))
    assert not afs_layer("one", same, same, np.array([0.1, 0.2]), [0]).differences.any()
