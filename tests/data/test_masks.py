"""Masks that shrink, and pictures of our own that are not taken for photographs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from realnet.data.finding import find_images, is_own_picture
from realnet.data.good_images import short_names
from realnet.data.masks import shrink_mask
from realnet.synthesis import write_figure, write_image


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 120), st.integers(20, 120), st.integers(4, 32), st.integers(1, 4))
def test_every_region_survives(seed: int, height: int, width: int, size: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    for _ in range(count):
        top, left = rng.integers(0, height), rng.integers(0, width)
        mask[top : top + rng.integers(1, 6), left : left + rng.integers(1, 6)] = True
    small = shrink_mask(mask, (size, size))
    regions, found = label(mask, np.ones((3, 3)))
    for region in range(1, found + 1):
        rows, columns = np.nonzero(regions == region)
        # Pixels of the small mask lie where those of the large one do, but for rounding by one.
        near = cv2.dilate(small.astype(np.uint8), np.ones((3, 3), np.uint8))
        assert near[rows * size // height, columns * size // width].any()
    # Nothing is marked that touches no defect, but for the half pixel by which nearest neighbour may be off.
    reach = cv2.dilate(mask.astype(np.uint8), np.ones((2 * (height // size) + 3, 2 * (width // size) + 3), np.uint8))
    for row, column in zip(*np.nonzero(small), strict=True):
        area = reach[row * height // size : -(-(row + 1) * height // size), column * width // size :]
        assert area[:, : -(-width // size)].any()


def test_where_nothing_vanishes_it_is_nearest_neighbour() -> None:
    mask = np.zeros((64, 64), bool)
    mask[8:40, 16:48] = True
    assert np.array_equal(shrink_mask(mask, (16, 16)), mask[2::4, 2::4])
    assert shrink_mask(mask, (64, 64)) is mask


@pytest.mark.parametrize("place", [(0, 0), (511, 511), (255, 256), (300, 7)])
def test_one_pixel_of_a_large_mask_is_one_of_a_small(place: tuple[int, int]) -> None:
    mask = np.zeros((512, 512), bool)
    mask[place] = True
    small = shrink_mask(mask, (32, 32))
    assert np.argwhere(small).tolist() == [[place[0] // 16, place[1] // 16]]


def test_figures_are_told_from_photographs(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    write_figure(tmp_path / "sheet.png", image)
    write_image(tmp_path / "photo.png", image)
    assert is_own_picture(tmp_path / "sheet.png")
    files, left_out = find_images(tmp_path)
    assert [file.name for file in files] == ["photo.png"]
    assert [item.place for item in left_out] == ["sheet.png"]


def test_short_names_keep_folders_where_they_differ() -> None:
    assert short_names([Path("a/good/1.png"), Path("a/good/2.png")]) == ["1.png", "2.png"]
    assert short_names([Path("a/good/1.png"), Path("a/good/day2/1.png")]) == ["1.png", "day2/1.png"]
    assert short_names([]) == []
