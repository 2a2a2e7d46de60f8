"""Regions, against scipy's labelling and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from realnet.inspection.inspection import Inspection
from realnet.inspection.regions import find_regions, keep_large

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@settings(deadline=None, max_examples=60)
@given(MASKS, st.integers(0, 5), st.integers(0, 100))
def test_regions_are_the_connected_areas(mask: np.ndarray, minimum: int, seed: int) -> None:
    anomaly_map = np.random.default_rng(seed).random(mask.shape).astype(np.float32)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    expected = {}
    for label in range(1, count + 1):
        rows, columns = np.nonzero(labels == label)
        if len(rows) >= minimum:
            box = (columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1)
            expected[tuple(int(v) for v in box), len(rows)] = (
                columns.mean(), rows.mean(), anomaly_map[rows, columns].max()
            )  # fmt: skip
    found = find_regions(anomaly_map, keep_large(mask, minimum))
    assert sorted((region.box, region.area) for region in found) == sorted(expected)
    for region in found:
        x, y, peak = expected[region.box, region.area]
        assert region.centroid == pytest.approx((x, y)) and region.peak == pytest.approx(float(peak))
        assert anomaly_map[region.peak_at[1], region.peak_at[0]] == np.float32(region.peak)
        assert region.share == pytest.approx(region.area / mask.size)
    assert [region.peak for region in found] == sorted((region.peak for region in found), reverse=True)
    assert keep_large(mask, minimum).sum() == sum(region.area for region in found)


def judged(minimum_area: int, score: float = 0.9) -> Inspection:
    """A map with an area of 4 and one of 9 pixels above the pixel threshold."""
    anomaly_map = np.zeros((20, 20), np.float32)
    anomaly_map[1:3, 1:3], anomaly_map[10:13, 10:13] = 0.9, 0.6
    image = np.zeros((20, 20, 3), np.uint8)
    return Inspection(score, 0.5, 0.5, anomaly_map, image, minimum_area)


def test_defects_below_the_minimum_area_do_not_count() -> None:
    assert [region.area for region in judged(0).regions] == [4, 9]
    assert [region.area for region in judged(5).regions] == [9]
    assert judged(9).is_anomalous and judged(9).mask.sum() == 9
    nothing = judged(10)
    assert not nothing.is_anomalous and nothing.regions == () and not nothing.mask.any()


def test_an_image_that_passes_has_no_regions() -> None:
    passed = judged(0, score=0.4)
    assert not passed.is_anomalous and passed.regions == () and passed.level == pytest.approx(0.4)
