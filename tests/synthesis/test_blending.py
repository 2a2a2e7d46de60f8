import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.synthesis import blend


def pictures(seed, shape=(9, 7)):
    rng = np.random.default_rng(seed)
    image, source = rng.integers(0, 256, (2, *shape, 3), dtype=np.uint8)
    return image, source, rng.random(shape) < 0.5


@given(seed=st.integers(0, 1000), opacity=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_equation_3(seed, opacity):
    image, source, mask = pictures(seed)
    result = blend(image, source, mask, opacity)
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            m = float(mask[row, column])
            for channel in range(3):
                i, p = float(image[row, column, channel]), float(source[row, column, channel])
                exact = (1 - m) * i + (1 - opacity) * m * i + opacity * m * p
                # The nearest grey level: half a level off at most, but for the last bits of a float.
                assert abs(float(result[row, column, channel]) - exact) <= 0.5 + 1e-4


def test_outside_the_mask_nothing_changes_and_inputs_stay():
    image, source, mask = pictures(0)
    before = image.copy(), source.copy()
    result = blend(image, source, mask, 0.7)
    assert np.array_equal(result[~mask], image[~mask])
    assert np.array_equal(image, before[0])
    assert np.array_equal(source, before[1])


def test_opacity_0_is_the_image_and_1_the_source():
    image, source, mask = pictures(1)
    assert np.array_equal(blend(image, source, mask, 0.0), image)
    full = blend(image, source, mask, 1.0)
    assert np.array_equal(full[mask], source[mask])


def test_views_with_strides_are_fine():
    image, source, mask = pictures(2, (12, 10))
    result = blend(image[:, ::-1], source[::2].repeat(2, axis=0), mask.T.copy().T, 1.0)
    assert np.array_equal(result[~mask], image[:, ::-1][~mask])


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_opacity_outside_0_to_1_is_refused(opacity):
    image, source, mask = pictures(3)
    with pytest.raises(ValueError, match="opacity"):
        blend(image, source, mask, opacity)


def test_shapes_that_do_not_fit_are_refused():
    image, source, mask = pictures(4)
    with pytest.raises(ValueError, match="cannot blend"):
        blend(image, source[:-1], mask, 0.5)
    with pytest.raises(ValueError, match="cannot blend"):
        blend(image, source, mask[:, :-1], 0.5)
