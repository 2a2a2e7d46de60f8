"""What is seen of an image, where a part lies, and maps brought back."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from realnet.config import ViewConfig
from realnet.errors import UserError
from realnet.view import View, view_of

_SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
_TRIANGLE = ((0.2, 0.8), (0.8, 0.8), (0.5, 0.2))


def part(seed: int = 0, height: int = 240, width: int = 320) -> np.ndarray:
    """A picture with structure everywhere, as of a printed board."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(
        rng.integers(0, 255, (12, 16, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(30):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        cv2.rectangle(coarse, (x, y), (x + 18, y + 9), rng.integers(0, 255, 3).tolist(), -1)
    return coarse


def moved(image: np.ndarray, dx: float, dy: float, angle: float) -> np.ndarray:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle, 1)
    matrix[:, 2] += [dx, dy]
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "reference.png"
    Image.fromarray(part()).save(path)
    return path


def test_a_rectangle_is_cut_out_and_nothing_is_changed_in_it() -> None:
    image = part()
    looked = View(ViewConfig(polygons=(_SQUARE,))).look(image)
    assert looked.seen.shape[:2] == View(ViewConfig(polygons=(_SQUARE,))).shape(240, 320)
    (top, left), (height, width) = looked.place, looked.seen.shape[:2]
    np.testing.assert_array_equal(looked.seen, image[top : top + height, left : left + width])
    assert abs(height - 120) <= 2 and abs(width - 160) <= 2


def test_what_is_outside_of_the_view_changes_nothing_that_is_seen() -> None:
    image, view = part(), View(ViewConfig(polygons=(_TRIANGLE,)))
    looked = view.look(image)
    assert looked.inside is not None
    other = np.where(looked.inside[..., None], image, part(9))
    np.testing.assert_array_equal(view.look(other).seen, looked.seen)


def test_a_map_comes_back_to_its_place_and_is_nothing_outside() -> None:
    looked = View(ViewConfig(polygons=(_TRIANGLE,))).look(part())
    back = looked.restore(np.ones(looked.seen.shape[:2], np.float32))
    np.testing.assert_array_equal(back > 0, looked.inside)


@pytest.mark.parametrize(("dx", "dy", "angle"), [(0, 0, 0), (17, -9, 0), (-30.5, 12.25, 0), (12, 8, 4), (-20, 15, -7)])
def test_a_part_is_found_where_it_was_put(reference: Path, dx: float, dy: float, angle: float) -> None:
    view = view_of(ViewConfig(align="rigid" if angle else "shift", reference=reference))
    assert view is not None
    image = part()
    looked = view.look(moved(image, dx, dy, angle))
    found = looked.alignment
    assert found is not None and found.match > 0.9
    assert abs(found.dx - dx) < 0.5 and abs(found.dy - dy) < 0.5 and abs(found.angle - angle) < 0.25
    inner = (slice(60, 180), slice(80, 240))
    assert np.abs(looked.seen[inner].astype(int) - image[inner]).mean() < 6


def test_a_map_of_an_aligned_image_lies_where_the_image_has_the_place(reference: Path) -> None:
    view = view_of(ViewConfig(polygons=(_SQUARE,), align="shift", reference=reference))
    assert view is not None
    looked = view.look(moved(part(), 24, -16, 0))
    spot = np.zeros(looked.seen.shape[:2], np.float32)
    spot[50:60, 70:80] = 1
    (top, left) = looked.place
    rows, columns = np.nonzero(looked.restore(spot) > 0.5)
    assert abs(rows.mean() - (top + 54.5 - 16)) < 1 and abs(columns.mean() - (left + 74.5 + 24)) < 1
    assert looked.inside is not None and looked.inside[rows, columns].all()


def test_a_fixture_that_stays_does_not_hold_the_part(reference: Path) -> None:
    """The part moves by itself: only what is looked at is compared."""
    view = view_of(ViewConfig(polygons=(_SQUARE,), align="shift", reference=reference))
    assert view is not None
    still = part()
    both = still.copy()
    both[60:190, 70:255] = moved(still, 10, 6, 0)[60:190, 70:255]
    found = view.look(both).alignment
    assert found is not None and abs(found.dx - 10) < 1 and abs(found.dy - 6) < 1


@pytest.mark.parametrize("other", ["another", "grey", "noise"])
def test_what_is_another_part_is_refused_by_name(reference: Path, other: str) -> None:
    view = view_of(ViewConfig(align="rigid", reference=reference))
    assert view is not None
    image = {
        "another": part(5),
        "grey": np.full((240, 320, 3), 90, np.uint8),
        "noise": np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8),
    }[other]
    with pytest.raises(UserError, match=r"^belt/7\.png cannot be aligned"):
        view.look(image, "belt/7.png")


def test_other_proportions_and_a_part_that_leaves_the_image_are_refused(reference: Path) -> None:
    view = view_of(ViewConfig(polygons=(((0, 0), (0.5, 0), (0.5, 1), (0, 1)),), align="shift", reference=reference))
    assert view is not None
    with pytest.raises(UserError, match="other proportions"):
        view.look(part(0, 240, 240))
    with pytest.raises(UserError, match=r"lacks \d+% of what is to be looked at"):
        view.look(moved(part(), -40, 0, 0))


def test_a_pickled_view_sees_the_same(reference: Path) -> None:
    view = view_of(ViewConfig(polygons=(_TRIANGLE,), align="rigid", reference=reference))
    image = moved(part(), 5, 5, 2)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(view)).look(image).seen, view.look(image).seen)  # type: ignore[union-attr]


def test_whole_images_need_no_view_and_an_alignment_needs_a_reference() -> None:
    assert view_of(ViewConfig()) is None
    with pytest.raises(ValueError, match=r"needs an image to align to"):
        ViewConfig(align="shift")
    with pytest.raises(UserError, match="less than a thousandth"):
        View(ViewConfig(polygons=(((0.5, 0.5), (0.501, 0.5), (0.5, 0.501)),)))
