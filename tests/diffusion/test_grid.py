"""Sheets of samples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from realnet.diffusion.generating import Request, sample_numbers, start_of, to_images
from realnet.diffusion.grid import local_columns, strength_columns
from realnet.diffusion.model_folder import load_diffusion
from realnet.errors import UserError
from realnet.synthesis import grid_image
from tests.diffusion.tiny import plain, untrained

REQUEST = Request(0.0, 0.0, steps=3, seed=2, batch=2)


def colours(count: int, side: int) -> list[np.ndarray]:
    return [np.full((side, side, 3), (10 * n, 20, 200), np.uint8) for n in range(count)]


@pytest.mark.parametrize("side", [8, 40, 100])
def test_pictures_stand_in_columns(side: int) -> None:
    pictures = colours(6, side)
    columns = [pictures[:3], pictures[3:]]
    sheet = grid_image(columns, ["s = 0", "s = 1"], cell=40)
    assert sheet.shape == (20 + 3 * 44 + 4, 2 * 44 + 4, 3)
    for place, column in enumerate(columns):
        for row, picture in enumerate(column):
            top, left = 20 + 4 + 44 * row, 4 + 44 * place
            assert (sheet[top : top + 40, left : left + 40] == picture[0, 0]).all()
            assert (sheet[top + 40 : top + 44, left : left + 40] == 255).all()
    titles = sheet[:20]
    assert titles[:, :46].min() < 100
    assert titles[:, 46:].min() < 100


def test_without_titles_there_is_no_line_for_them() -> None:
    assert grid_image([colours(2, 8)], cell=40).shape == (2 * 44 + 4, 44 + 4, 3)


def test_every_column_shows_the_same_images_at_its_strength() -> None:
    model = untrained(plain())
    done: list[int] = []
    columns, titles = strength_columns(model, "widget", [0.0, 0.3], 3, REQUEST, done.append)
    assert titles == ["s = 0", "s = 0.3"]
    assert [len(column) for column in columns] == [3, 3]
    assert done == [1, 2]
    for column, strength in zip(columns, (0.0, 0.3), strict=True):
        made = to_images(sample_numbers(model, REQUEST, [0, 1], [0, 0], [strength] * 2))
        assert np.array_equal(np.stack(column[:2]), made)
    assert not np.array_equal(np.stack(columns[0]), np.stack(columns[1]))


def test_good_images_stand_before_what_is_made_of_them(diffusion: Path) -> None:
    model = load_diffusion(diffusion)
    columns, titles = strength_columns(model, "widget", [0.0], 4, REQUEST)
    assert titles == ["good image", "s = 0"]
    goods = model.starts("widget")
    assert goods is not None
    for number, shown in enumerate(columns[0]):
        assert np.array_equal(shown, goods[start_of(REQUEST, number, len(goods))])
    other, _ = strength_columns(model, "widget", [0.0], 4, replace(REQUEST, seed=3))
    assert not np.array_equal(np.stack(other[0]), np.stack(columns[0]))


def test_a_category_that_the_model_does_not_know() -> None:
    with pytest.raises(UserError, match="was not trained on screw"):
        strength_columns(untrained(plain()), "screw", [0.0], 1, REQUEST)


def test_local_anomalies_of_a_row_share_mask_and_opacity() -> None:
    goods = [np.full((64, 64, 3), 100 + n, np.uint8) for n in range(3)]
    columns = [[np.full((64, 64, 3), level, np.uint8) for _ in goods] for level in (100, 160, 220)]
    blended = local_columns(columns, goods, seed=4, foreground="none")
    for row, good in enumerate(goods):
        weak, middle, strong = (column[row].astype(int) - good for column in blended)
        changed = strong[..., 0] > 0
        assert 0 < changed.mean() < 1
        assert np.array_equal(middle[..., 0] > 0, changed), "one mask a row"
        assert np.ptp(strong[changed]) <= 1, "one opacity"
        shares = strong[changed].mean() / (220 - good[0, 0, 0]), middle[changed].mean() / (160 - good[0, 0, 0])
        assert 0.5 <= shares[0] <= 1 and abs(shares[0] - shares[1]) < 0.02
        assert abs(weak).max() <= row + 1
    again = local_columns(columns, goods, seed=4, foreground="none")
    assert all(
        np.array_equal(a, b) for one, two in zip(blended, again, strict=True) for a, b in zip(one, two, strict=True)
    )
