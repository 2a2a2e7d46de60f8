"""The exact figures against scikit-learn, and against the definitions computed by brute force."""

import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from sklearn import metrics as oracle

from realnet.evaluation import image_auroc, per_region_overlap, pixel_auroc
from realnet.evaluation.metrics import average_precision, f1_max, pixel_figures, roc_curve

FEW = settings(max_examples=40, deadline=None)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, or with none, of any sign and size; both classes present."""
    count = draw(st.integers(2, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    scores = rng.integers(0, levels, count) * draw(st.sampled_from([1.0, 1e-6, -1e6, 0.1]))
    labels = rng.random(count) < draw(st.sampled_from([0.05, 0.5, 0.95]))
    labels[0], labels[1] = True, False
    return scores.astype(draw(st.sampled_from([np.float32, np.float64]))), labels


@FEW
@given(scored())
def test_image_figures_equal_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    assert image_auroc(scores, labels) == pytest.approx(oracle.roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(oracle.average_precision_score(labels, scores), abs=1e-12)
    best = f1_max(scores, labels)
    thresholds = np.unique(scores)
    f1 = [oracle.f1_score(labels, scores >= threshold) for threshold in thresholds]
    assert best.value == pytest.approx(max(f1), abs=1e-12)
    assert best.threshold == thresholds[np.flatnonzero(np.isclose(f1, max(f1)))[-1]]
    fpr, tpr, steps = oracle.roc_curve(labels, scores, drop_intermediate=False)
    curve = roc_curve(scores, labels)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.tpr, tpr, atol=1e-12)
    np.testing.assert_array_equal(curve.thresholds, steps)


@FEW
@given(scored())
def test_order_is_all_that_counts_and_nothing_is_flipped(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    value = image_auroc(scores, labels)
    ranks = np.unique(scores, return_inverse=True)[1].astype(np.float64)
    assert image_auroc(np.exp(ranks / 100) - 5, labels) == value
    assert average_precision(ranks**3, labels) == average_precision(scores, labels)
    assert image_auroc(-scores, labels) == pytest.approx(1 - value, abs=1e-12)


def test_a_reversed_ranking_scores_zero() -> None:
    assert image_auroc([0.9, 0.8, 0.1], [0, 0, 1]) == 0.0
    assert pixel_auroc(np.array([[[3.0, 1.0]]]), np.array([[[0, 1]]])) == 0.0


def brute_force_pro(maps: np.ndarray, masks: np.ndarray, limit: float) -> float:
    """Every distinct value a threshold; the curve as points; trapezoids up to the limit."""
    regions = []
    for index, mask in enumerate(masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [(index, labels == number) for number in range(1, count + 1)]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        found = maps >= threshold
        overlap = np.mean([found[index][region].mean() for index, region in regions])
        points.append((found[~masks].mean(), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x1 > limit:
            y1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
            x1 = limit
        area += (x1 - x0) * (y0 + y1) / 2
        if x1 == limit:
            break
    return area / limit


@st.composite
def mapped(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Small maps with few or many levels; masks empty, sparse (many regions, diagonal neighbours) or with holes."""
    count = draw(st.integers(1, 4))
    shape = (count, draw(st.integers(2, 7)), draw(st.integers(2, 7)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    masks = rng.random(shape) < rng.choice([0.0, 0.3, 0.85], count)[:, None, None]
    masks[0, 0, 0], masks[0, -1, -1] = True, False
    maps = rng.integers(0, draw(st.sampled_from([2, 4, 1000])), shape) - 0.5 + masks * draw(st.integers(0, 2))
    return maps.astype(draw(st.sampled_from([np.float32, np.float64]))), masks


@FEW
@given(mapped(), st.sampled_from([0.05, 0.3, 0.5, 1.0]))
def test_pro_equals_brute_force(case: tuple[np.ndarray, np.ndarray], limit: float) -> None:
    maps, masks = case
    expected = brute_force_pro(maps, masks, limit)
    assert per_region_overlap(maps, masks, limit) == pytest.approx(expected, abs=1e-12)
    together = pixel_figures(maps, masks, limit)
    assert together.pro == pytest.approx(expected, abs=1e-12)
    assert together.auroc == pixel_auroc(maps, masks)
    assert together.average_precision == average_precision(maps, masks)
    assert together.f1_max == f1_max(maps, masks)
    assert together.auroc == pytest.approx(oracle.roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)


def test_every_region_weighs_the_same() -> None:
    """The large region is found first and whole, the single pixel never within the limit: half."""
    mask = np.zeros((20, 20), bool)
    mask[:10] = True
    mask[15, 15] = True
    anomaly_map = np.where(mask, 2.0, 1.0)
    anomaly_map[15, 15] = 0.0
    assert per_region_overlap(anomaly_map, mask, 0.3) == pytest.approx(
        brute_force_pro(anomaly_map[None], mask[None], 0.3)
    )
    # Good pixels are all tied: along the diagonal from 1/2 at FPR 0 to 1/2 at FPR 1.
    assert per_region_overlap(anomaly_map, mask, 0.3) == pytest.approx(0.5)


def test_diagonal_neighbours_are_one_region() -> None:
    mask = np.eye(4, dtype=bool)
    anomaly_map = np.zeros((4, 4))
    anomaly_map[0, 0] = 1.0
    # A quarter of the one region is found at FPR 0; the rest rises with all good pixels to 1 at FPR 1.
    assert per_region_overlap(anomaly_map, mask, 1.0) == pytest.approx((0.25 + 1) / 2)
    both = np.zeros((4, 4), bool)
    both[0, 0] = both[0, 3] = True
    assert per_region_overlap(anomaly_map, both, 1.0) == pytest.approx((0.5 + 1) / 2)


def test_a_hole_is_not_part_of_its_region() -> None:
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    wide = np.zeros((5, 10), bool)
    wide[:, :5] = mask
    good_hole = np.where(wide, 1.0, 0.0)
    found_hole = good_hole.copy()
    found_hole[2, 2] = 1.0
    assert per_region_overlap(good_hole, wide) == 1.0
    # The hole is one of 26 good pixels, tied with the whole region.
    assert per_region_overlap(found_hole, wide) == pytest.approx(1 - (1 / 26) / 2 / 0.3)


def test_pro_is_invariant_to_a_monotone_transform() -> None:
    rng = np.random.default_rng(3)
    maps, masks = rng.normal(size=(3, 16, 16)), rng.random((3, 16, 16)) < 0.2
    assert per_region_overlap(np.exp(3 * maps) - 100, masks) == pytest.approx(
        per_region_overlap(maps, masks), abs=1e-12
    )


def test_every_kind_of_input_gives_the_same() -> None:
    rng = np.random.default_rng(1)
    maps = rng.random((3, 8, 9), dtype=np.float32)
    masks = rng.random((3, 8, 9)) < 0.3
    expected = per_region_overlap(maps, masks), pixel_auroc(maps, masks)
    variants: list[tuple[Any, Any]] = [
        (torch.tensor(maps)[:, None].requires_grad_(), torch.tensor(masks)[:, None]),
        (list(maps), masks.astype(np.uint8) * 255),
        (maps.astype(np.float64), [torch.tensor(mask) for mask in masks]),
        ([torch.tensor(m)[None] for m in maps], masks.astype(np.float32)),
        (np.asfortranarray(maps), tuple(masks)),
    ]
    for given_maps, given_masks in variants:
        assert (per_region_overlap(given_maps, given_masks), pixel_auroc(given_maps, given_masks)) == expected
    labels = masks.any(axis=(1, 2))
    labels[0] = False
    scores = maps.max(axis=(1, 2))
    assert image_auroc(torch.tensor(scores, dtype=torch.float64), labels.tolist()) == image_auroc(scores, labels)
    assert image_auroc(torch.tensor([0.5, 0.25], dtype=torch.bfloat16), torch.tensor([1, 0])) == 1.0


def test_maps_of_different_sizes() -> None:
    rng = np.random.default_rng(2)
    maps = [rng.random(shape) for shape in ((4, 6), (7, 3), (5, 5))]
    masks = [rng.random(m.shape) < 0.4 for m in maps]
    flat, truth = np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])
    assert pixel_auroc(maps, masks) == pytest.approx(oracle.roc_auc_score(truth, flat), abs=1e-12)
    # A border of good pixels below everything else changes the good pixels' number, so compare at that share.
    padded = [np.pad(m, ((0, 8 - m.shape[0]), (0, 8 - m.shape[1])), constant_values=-1) for m in maps]
    padded_masks = [np.pad(m, ((0, 8 - m.shape[0]), (0, 8 - m.shape[1]))) for m in masks]
    share = (~truth).sum() / sum((~m).sum() for m in padded_masks)
    assert per_region_overlap(maps, masks, 0.4) == pytest.approx(
        per_region_overlap(padded, padded_masks, 0.4 * share), abs=1e-12
    )


def test_integers_beyond_float32_keep_their_order() -> None:
    assert image_auroc(np.array([2**24, 2**24 + 1]), [0, 1]) == 1.0
    assert image_auroc(np.array([0, 255], np.uint8), [0, 1]) == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(bad: float) -> None:
    maps, masks = np.zeros((1, 3, 3)), np.eye(3, dtype=bool)[None]
    maps[0, 1, 2] = bad
    for function in (pixel_auroc, per_region_overlap, average_precision, f1_max, pixel_figures, roc_curve):
        with pytest.raises(ValueError, match="NaN or infinite"):
            function(maps, masks)


def test_undefined_figures_say_so() -> None:
    for function in (image_auroc, average_precision, f1_max, roc_curve):
        with pytest.raises(ValueError, match="every item is good"):
            function([0.1, 0.2], [0, 0])
        with pytest.raises(ValueError, match="every item is anomalous"):
            function([0.1, 0.2], [1, 1])
        with pytest.raises(ValueError, match="undefined"):
            function([], [])
    with pytest.raises(ValueError, match="no mask marks"):
        per_region_overlap(np.zeros((2, 3, 3)), np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match="every item is anomalous"):
        per_region_overlap(np.zeros((2, 3, 3)), np.ones((2, 3, 3)))


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.1, float("nan")])
def test_limits_outside_of_zero_to_one_are_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="fpr_limit"):
        per_region_overlap(np.eye(3)[None], np.eye(3)[None], limit)


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        image_auroc([0.1, 0.2, 0.3], [0, 1])
    with pytest.raises(ValueError, match="shape"):
        pixel_auroc([np.zeros((2, 6)), np.zeros((3, 4))], [np.zeros((3, 4)), np.ones((2, 6))])
    with pytest.raises(ValueError, match="shape"):
        per_region_overlap(np.zeros((2, 4, 4)), np.ones((2, 8, 8)))
    with pytest.raises(ValueError, match="2 maps, but 1 masks"):
        per_region_overlap([np.zeros((4, 4))] * 2, np.ones((1, 4, 4)))
    with pytest.raises(ValueError, match="0 for good"):
        image_auroc([0.1, 0.2], [-1, 1])
    with pytest.raises(ValueError, match="must be numbers"):
        image_auroc(["a", "b"], [0, 1])
    with pytest.raises(ValueError, match="at least one"):
        per_region_overlap([], [])


@FEW
@given(hnp.arrays(np.float32, (2, 4, 4), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_figures_stay_in_their_range_and_leave_the_input_alone(maps: np.ndarray) -> None:
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2, :3] = True
    before = maps.copy()
    figures = pixel_figures(maps, masks)
    for value in (figures.auroc, figures.pro, figures.average_precision, figures.f1_max.value):
        assert 0 <= value <= 1
    np.testing.assert_array_equal(maps, before)


def test_a_test_set_of_usual_size_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    maps = rng.random((160, 256, 256), dtype=np.float32)
    masks = np.zeros(maps.shape, bool)
    masks[:120, 100:140, 50:90] = True
    start = time.process_time()  # what others do with the machine does not count
    per_region_overlap(maps, masks)
    pixel_auroc(maps, masks)
    assert time.process_time() - start < 5
