"""Large images as tiles, and their maps as one."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.data import GoodImages, read_image, resize_image
from realnet.data.tiling import cut, stitch, tile_boxes
from realnet.inspection.judging import Judge
from realnet.view import Looked
from tests.data.layouts import save

sides = st.integers(1, 400)


@settings(deadline=None)
@given(sides, sides, st.integers(32, 200))
def test_tiles_cover_the_image_and_overlap_by_a_quarter(height: int, width: int, tile: int) -> None:
    boxes = tile_boxes(height, width, tile)
    seen = np.zeros((height, width), int)
    for top, left, h, w in boxes:
        assert (h, w) == (min(tile, height), min(tile, width))
        assert 0 <= top <= height - h
        assert 0 <= left <= width - w
        seen[top : top + h, left : left + w] += 1
    assert seen.min() >= 1
    assert len(set(boxes)) == len(boxes)
    tops = sorted({box.top for box in boxes})
    assert all(later - earlier <= 0.75 * tile + 1 for earlier, later in itertools.pairwise(tops))


@settings(deadline=None)
@given(st.integers(40, 300), st.integers(40, 300))
def test_maps_cut_from_one_picture_give_it_back(height: int, width: int) -> None:
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    picture = np.sin(rows / 20) + np.cos(columns / 30)
    boxes = tile_boxes(height, width, 64)
    # Maps of exactly the boxes' size need no resampling.
    maps = [picture[b.top : b.top + b.height, b.left : b.left + b.width] for b in boxes]
    np.testing.assert_allclose(stitch(maps, boxes, height, width), picture, atol=1e-5)


def test_no_seam_is_left_between_tiles_that_disagree() -> None:
    boxes = tile_boxes(64, 160, 64)
    maps = [np.full((16, 16), value, np.float32) for value in (0.0, 1.0, 0.0, 1.0)[: len(boxes)]]
    stitched = stitch(maps, boxes, 64, 160)
    steps = np.abs(np.diff(stitched, axis=1)).max()
    # Their overlap is a quarter of a tile: 16 pixels, over which the map goes from 0 to 1.
    assert steps < 0.15
    assert (stitched.min(), stitched.max()) == pytest.approx((0, 1), abs=0.02)


def test_an_image_is_as_bad_as_its_worst_tile() -> None:
    image = np.zeros((100, 150, 3), np.uint8)
    image[70:80, 120:130] = 255

    class Brightness(Judge):
        def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
            maps = np.stack([tile[..., 0] / np.float32(255) for tile in images])
            return maps, [float(one.mean()) for one in maps]

    ((anomaly_map, score),) = Brightness(50, 0.5, 0.5, tile=50).measure_seen([Looked(image, image)])
    assert anomaly_map.shape == (100, 150)
    np.testing.assert_allclose(anomaly_map, image[..., 0] / 255, atol=1e-5)
    tiles = [cut(image, box, 50) for box in tile_boxes(100, 150, 50)]
    assert score == pytest.approx(max(float(tile[..., 0].mean() / 255) for tile in tiles))
    assert score > 0.03


def test_good_images_in_tiles(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = [
        save(tmp_path / f"{i}.png", rng.integers(0, 256, (90, 130 + i, 3), dtype=np.uint8).astype(np.uint8))
        for i in range(2)
    ]
    images = GoodImages(files, 32, 2**20, tile=64)
    expected = []
    for file in files:
        whole = read_image(file)
        for top, left, h, w in tile_boxes(*whole.shape[:2], 64):
            expected.append((f"{file.name}@{left},{top}", resize_image(whole[top : top + h, left : left + w], 32)))
    assert images.names == [name for name, _ in expected]
    for order in (range(len(images)), range(len(images) - 1, -1, -1)):  # read, then from the cache
        for number in order:
            assert np.array_equal(images[number], expected[number][1])
    without_cache = GoodImages(files, 32, 0, tile=64)
    assert np.array_equal(without_cache[3], expected[3][1])
    few = GoodImages(files, 32, tile=64, most=3)
    assert few.names == [images.names[0], images.names[round((len(images) - 1) / 2)], images.names[-1]]
    assert GoodImages(files, 32).names == ["0.png", "1.png"]
