import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realnet.errors import UserError
from realnet.view.polygons import draw, read_polygons


def _save(path: Path, mask: np.ndarray) -> Path:
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    return path


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(5, 110), st.integers(5, 70), st.integers(3, 30)), min_size=1, max_size=5))
def test_a_mask_comes_back_from_its_polygons(tmp_path_factory: pytest.TempPathFactory, discs: list[tuple]) -> None:
    mask = np.zeros((80, 120), np.uint8)
    for x, y, radius in discs:
        cv2.circle(mask, (x, y), radius, 1, -1)
    polygons = read_polygons(_save(tmp_path_factory.mktemp("m") / "mask.png", mask))
    back = draw(polygons, 80, 120)
    border = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    assert not (back ^ mask.astype(bool))[~border].any()


def test_holes_stay_open_and_size_does_not_matter(tmp_path: Path) -> None:
    mask = np.zeros((200, 200), bool)
    mask[20:180, 20:180] = True
    mask[80:120, 80:120] = False
    polygons = read_polygons(_save(tmp_path / "m.png", mask))
    assert (draw(polygons, 200, 200) == mask).mean() > 0.98
    small = draw(polygons, 50, 100)
    assert small[25, 15] and not small[25, 50] and not small[2, 50]


def test_polygons_in_pixels_and_labelme_say_the_same(tmp_path: Path) -> None:
    corners = [[10, 10], [90, 10], [90, 40], [10, 40]]
    own, labelme = tmp_path / "own.json", tmp_path / "labelme.json"
    own.write_text(json.dumps({"width": 100, "height": 50, "polygons": [corners]}))
    shapes = [{"shape_type": "rectangle", "label": "part", "points": [[10, 10], [90, 40]]}]
    labelme.write_text(json.dumps({"imageWidth": 100, "imageHeight": 50, "shapes": shapes}))
    assert read_polygons(own) == read_polygons(labelme)
    assert draw(read_polygons(own), 50, 100)[10:40, 10:90].all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ('{"polygons": []}', "cannot be read"),
        ('{"width": 9, "height": 9, "polygons": []}', "marks nothing"),
        ('{"width": 9, "height": 9, "polygons": [[[1, 1], [2, 2]]]}', "fewer than three"),
        ('{"width": 9, "height": 9, "polygons": [[[1, 1], [2, 2], [20, 3]]]}', "outside"),
        ('{"imageWidth": 9, "imageHeight": 9, "shapes": [{"shape_type": "circle", "points": [[1, 1]]}]}', "circle"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "view.json"
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        read_polygons(path)


def test_a_black_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="marks nothing"):
        read_polygons(_save(tmp_path / "m.png", np.zeros((9, 9), bool)))
