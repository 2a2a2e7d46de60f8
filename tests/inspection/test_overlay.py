"""Drawings: colours rise with the map, only what is asked for is painted, sizes fit."""

import numpy as np
import pytest

from realnet.inspection.overlay import heatmap, outline, overlay, side_by_side


def grey(height: int = 40, width: int = 60) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def test_heat_gets_brighter_with_the_map_and_ends_at_high() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None]
    brightness = heatmap(ramp)[0] @ np.array([0.3, 0.59, 0.11])
    assert (np.diff(brightness[::4]) > 0).all()
    np.testing.assert_array_equal(heatmap(ramp * 0.2, high=0.2), heatmap(ramp))
    np.testing.assert_array_equal(heatmap(np.array([[0.5, 3.0]]), high=0.5), heatmap(np.array([[1.0, 1.0]])))


def test_colours_are_rgb() -> None:
    red, _, blue = heatmap(np.array([[0.6]]))[0, 0].tolist()
    assert red > 150 > blue


def test_overlay_leaves_quiet_parts_grey() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    anomaly_map = np.zeros((40, 60), np.float32)
    anomaly_map[10:20, 30:40] = 1
    drawn = overlay(image, anomaly_map)
    quiet = drawn[25:, :20]
    assert (quiet == quiet[..., :1]).all()
    assert drawn[15, 35, 0] > 180 and int(drawn[15, 35, 0]) - int(drawn[15, 35, 2]) > 40


def test_outline_paints_borders_only() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:45] = True
    drawn = outline(grey(), mask)
    changed = (drawn != grey()).any(axis=2)
    assert changed[10, 20:45].all() and changed[10:30, 20].all()
    assert not changed[16:24, 26:39].any() and not changed[:6].any()
    ring = mask.copy()
    ring[18:24, 30:36] = False
    assert (outline(grey(), ring) != drawn)[17:25, 29:37].any(), "the border of a hole is drawn too"


def test_an_empty_mask_changes_nothing_and_the_image_is_left_alone() -> None:
    image = grey()
    np.testing.assert_array_equal(outline(image, np.zeros((40, 60), bool)), image)
    outline(image, np.ones((40, 60), bool))
    np.testing.assert_array_equal(image, grey())


def test_maps_and_masks_of_another_size_are_fitted() -> None:
    small = np.zeros((20, 30), np.float32)
    small[5:10, 15:20] = 1
    assert overlay(grey(), small).shape == (40, 60, 3)
    assert (outline(grey(), small > 0)[8:22, 28:42] != 120).any()
    drawn = side_by_side(grey(), small, small > 0)
    assert drawn.shape == (40, 3 * 60 + 16, 3) and drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn[:, :60], grey())
    assert (drawn[:, 60:68] == 255).all()


@pytest.mark.parametrize("high", [0.0, -1.0, float("nan")])
def test_a_scale_needs_a_positive_end(high: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        heatmap(np.zeros((2, 2)), high)
