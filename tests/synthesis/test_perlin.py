import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.synthesis.perlin import perlin_mask, perlin_noise


def brute_force_noise(shape, scales, rng):
    """Gradient noise one pixel at a time, with the same unit gradients."""
    angle = rng.uniform(0.0, 2.0 * np.pi, (scales[0] + 1, scales[1] + 1))
    noise = np.zeros(shape)
    for row in range(shape[0]):
        for column in range(shape[1]):
            y, x = row * scales[0] / shape[0], column * scales[1] / shape[1]
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    dy, dx = y - i, x - j
                    ty, tx = 1 - abs(dy), 1 - abs(dx)
                    weight = (6 * ty**5 - 15 * ty**4 + 10 * ty**3) * (6 * tx**5 - 15 * tx**4 + 10 * tx**3)
                    dot = math.cos(angle[i, j]) * dx + math.sin(angle[i, j]) * dy
                    noise[row, column] += weight * dot
    return noise * math.sqrt(2)


@pytest.mark.parametrize(
    ("shape", "scales"), [((16, 16), (1, 1)), ((12, 20), (4, 2)), ((15, 9), (8, 16)), ((7, 31), (2, 32))]
)
def test_noise_is_gradient_noise(shape, scales):
    fast = perlin_noise(shape, scales, np.random.default_rng(3))
    slow = brute_force_noise(shape, scales, np.random.default_rng(3))
    assert fast.dtype == np.float32
    assert fast.shape == shape
    np.testing.assert_allclose(fast, slow, atol=2e-5)


@given(rows=st.integers(1, 70), columns=st.integers(1, 70), a=st.integers(0, 5), b=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_noise_stays_about_minus_one_to_one(rows, columns, a, b):
    noise = perlin_noise((rows, columns), (2**a, 2**b), np.random.default_rng(rows))
    assert np.abs(noise).max() <= 1.001


@pytest.mark.parametrize("shape", [(64, 64), (256, 256), (96, 130)])
def test_masks_are_inside_the_foreground_and_never_empty(shape):
    rng = np.random.default_rng(0)
    foreground = np.zeros(shape, dtype=bool)
    foreground[shape[0] // 4 : shape[0] // 2, shape[1] // 3 :] = True
    for _ in range(60):
        mask = perlin_mask(foreground, rng)
        assert mask.dtype == bool
        assert mask.any()
        assert not (mask & ~foreground).any()


def test_masks_vary_in_size_and_place():
    rng = np.random.default_rng(1)
    everywhere = np.ones((128, 128), dtype=bool)
    masks = np.stack([perlin_mask(everywhere, rng) for _ in range(200)])
    shares = masks.mean(axis=(1, 2))
    assert shares.max() <= 0.5
    assert shares.max() > 4 * shares.min()
    # Rotation mirrors at the edges: corners get their share of defects too.
    assert masks[:, :32, :32].any(axis=(1, 2)).mean() > 0.2


def test_a_foreground_of_one_pixel_gets_its_mask():
    foreground = np.zeros((64, 64), dtype=bool)
    foreground[10, 50] = True
    assert perlin_mask(foreground, np.random.default_rng(0))[10, 50]


def test_an_empty_foreground_still_gives_a_mask():
    assert perlin_mask(np.zeros((64, 64), dtype=bool), np.random.default_rng(0)).any()
