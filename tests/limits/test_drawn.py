"""Drawn defects: as wide and as deep as asked for, and nothing else changed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.limits import KINDS, draw

EVERYWHERE = np.ones((96, 128), bool)


def grey(level: int = 128) -> np.ndarray:
    return np.full((96, 128, 3), level, np.uint8)


@given(
    kind=st.sampled_from(KINDS),
    size=st.integers(1, 24),
    depth=st.sampled_from((8, 32, 100)),
    seed=st.integers(0, 50),
)
@settings(max_examples=80, deadline=None)
def test_only_the_region_changes_and_by_no_more_than_the_depth(kind: str, size: int, depth: int, seed: int) -> None:
    image = grey()
    drawn, mask, (row, column) = draw(image, EVERYWHERE, kind, size, depth, np.random.default_rng(seed))  # type: ignore[arg-type]
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert 0 <= row < 96
    assert 0 <= column < 128
    change = np.abs(drawn.astype(int) - image).max(2)
    if kind in ("scratch", "hole", "stain"):
        assert change.max() <= depth
    if kind in ("scratch", "hole", "texture"):
        assert change[~mask].max(initial=0) <= depth * 2, "an antialiased edge"
    if kind == "missing":
        assert change.max() == 0, "a plain surface is filled by itself"
    assert np.array_equal(image, grey()), "the good image stays as it is"


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_a_hole_is_as_wide_as_asked_for_and_as_deep(size: int) -> None:
    middle = np.zeros_like(EVERYWHERE)
    middle[48, 64] = True
    drawn, mask, _ = draw(grey(), middle, "hole", size, 40, np.random.default_rng(0))
    change = np.abs(drawn.astype(float)[..., 0] - 128)
    assert change[48, 64] == 40
    assert mask[48, 64]
    assert change.sum() / 40 == pytest.approx(np.pi * (size / 2) ** 2, rel=0.15)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_scratch_is_as_wide_as_asked_for_and_long(size: int) -> None:
    middle = np.zeros((300, 300), bool)
    middle[150, 150] = True
    image = np.full((300, 300, 3), 128, np.uint8)
    changes = [
        np.abs(draw(image, middle, "scratch", size, 60, np.random.default_rng(seed))[0].astype(float)[..., 0] - 128)
        for seed in range(20)
    ]
    areas = [change.sum() / 60 for change in changes]
    assert np.median(areas) == pytest.approx(0.15 * 300 * size, rel=0.5)
    assert max(change.max() for change in changes) == 60


def test_a_missing_part_takes_the_look_of_its_surroundings() -> None:
    image = grey(200)
    image[40:56, 56:72] = 20
    foreground = np.zeros((96, 128), bool)
    foreground[48, 64] = True
    drawn, mask, place = draw(image, foreground, "missing", 24, 0, np.random.default_rng(0))
    assert place == (48, 64)
    assert mask.sum() == 24 * 24
    assert drawn[40:56, 56:72].min() > 150


def test_the_same_seed_draws_the_same() -> None:
    first, second = (draw(grey(), EVERYWHERE, "texture", 9, 30, np.random.default_rng(3))[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_sia_shows_a_generated_image_as_strongly_as_asked_for() -> None:
    generated = np.full((96, 128, 3), 228, np.uint8)
    drawn, mask, place = draw(grey(), EVERYWHERE, "sia", 16, 40, np.random.default_rng(1), generated)
    assert drawn[place][0] == 128 + 40
    assert (drawn[~mask] <= 128 + 20).all()
    with pytest.raises(ValueError, match="generated"):
        draw(grey(), EVERYWHERE, "sia", 16, 40, np.random.default_rng(1))
