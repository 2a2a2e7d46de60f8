"""Copies of good images: moved by no more than is said, never mirrored."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.config import ToleranceConfig
from realnet.training.moved import STRENGTHS, copies, copies_each, moved


def spot(row: int, column: int, size: int = 100) -> np.ndarray:
    image = np.full((size, size, 3), 100, np.uint8)
    cv2.circle(image, (column, row), 3, (200, 200, 200), -1)
    return image


def centre(image: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(image[..., 0] > 130)
    return float(rows.mean()), float(columns.mean())


def test_an_image_is_shifted_right_and_down_turned_and_made_lighter() -> None:
    image = spot(40, 50)
    assert centre(moved(image, (0.1, 0.2), 0, 0)) == pytest.approx((60, 60), abs=0.3)
    assert centre(moved(image, (0, 0), 90, 0)) == pytest.approx((50, 40), abs=1.2), "against the clock"
    assert moved(image, (0, 0), 0, 0.2)[0, 0, 0] == 120
    assert moved(image, (0, 0), 0, -0.2)[0, 0, 0] == 80
    assert np.array_equal(moved(image, (0, 0), 0, 0), image)


def test_what_leaves_is_mirrored_and_not_black() -> None:
    assert moved(spot(50, 50), (0.25, 0.25), 30, 0).min() >= 99


@settings(max_examples=25, deadline=None)
@given(shift=st.floats(0, 0.2), light=st.floats(0, 0.3), seed=st.integers(0, 1000))
def test_copies_stay_within_their_limits(shift: float, light: float, seed: int) -> None:
    limits = ToleranceConfig(shift=shift, light=light)
    for copy in copies([spot(50, 50)], limits, 3, seed):
        assert np.abs(np.array(centre(copy)) - 50).max() <= 100 * shift + 1
        assert abs(int(copy[5, 5, 0]) - 100) <= 100 * light + 1


def test_copies_at_the_limit_are_as_far_as_is_tolerated() -> None:
    limits = ToleranceConfig(shift=0.1, light=0.2)
    for copy in copies([spot(50, 50)] * 8, limits, 1, 0, at_limit=True):
        assert np.abs(np.array(centre(copy)) - 50) == pytest.approx([10, 10], abs=0.5)
        assert abs(int(copy[5, 5, 0]) - 100) == 20


def test_copies_depend_on_seed_and_number_only() -> None:
    images = [spot(30 + i, 40) for i in range(4)]
    first = list(copies(images, STRENGTHS["strong"], 2, 7))
    assert all(np.array_equal(a, b) for a, b in zip(first, copies(images, STRENGTHS["strong"], 2, 7), strict=True))
    assert not np.array_equal(first[0], next(copies(images, STRENGTHS["strong"], 2, 8)))
    assert len(first) == 8


def test_many_copies_of_few_images() -> None:
    assert [copies_each(n) for n in (1, 10, 20, 50, 213, 800)] == [16, 16, 8, 3, 1, 1]
