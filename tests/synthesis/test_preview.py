import numpy as np
import pytest

from realnet.synthesis import Anomaly, contact_sheet


def anomaly(shape, level):
    mask = np.zeros(shape, dtype=bool)
    mask[: shape[0] // 2] = True
    picture = np.full((*shape, 3), level, dtype=np.uint8)
    return Anomaly(picture, mask, picture // 2, 0.5, "dtd", "Straße.png")


def test_sheet_shows_good_source_mask_and_blend_side_by_side():
    good = np.full((40, 40, 3), (200, 10, 10), dtype=np.uint8)
    sheet = contact_sheet([anomaly((40, 40), 80), anomaly((40, 40), 120)], [good, good], cell=80)
    assert sheet.dtype == np.uint8
    row = np.flatnonzero((sheet == (200, 10, 10)).all(axis=2).any(axis=1))
    assert len(row) == 160
    middle = sheet[row[10]]
    colours = [tuple(int(value) for value in middle[left]) for left in (46, 132, 218, 304)]
    assert colours == [(200, 10, 10), (40, 40, 40), (255, 255, 255), (80, 80, 80)]
    assert tuple(sheet[row[70], 218]) == (0, 0, 0)
    # The label under the row and the titles above the columns.
    assert (sheet[row[79] + 1 : row[80]] < 128).any()
    assert (sheet[: row[0]] < 128).any()


def test_sheet_takes_images_of_different_form():
    goods = [np.zeros((40, 40, 3), np.uint8), np.zeros((20, 60, 3), np.uint8)]
    sheet = contact_sheet([anomaly((40, 40), 80), anomaly((20, 60), 80)], goods, cell=60)
    assert sheet.shape[1] >= 4 * 60


def test_sheet_needs_a_good_image_for_each():
    with pytest.raises(ValueError, match="need one each"):
        contact_sheet([anomaly((8, 8), 1)], [])
    with pytest.raises(ValueError, match="need one each"):
        contact_sheet([], [])
