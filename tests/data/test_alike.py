"""Pictures of one part that were taken in a row are told from pictures of many parts."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from realnet.data import GoodImages, list_images
from realnet.data.alike import describe_alike, find_alike
from tests.data.layouts import save


def part(seed: int) -> np.ndarray:
    """A part of its own grain, float64 ``[96, 96, 3]``."""
    grain = np.random.default_rng(seed).normal(0, 20, (24, 24))
    image = np.full((96, 96), 60.0)
    cv2.circle(image, (48, 48), 30, 150.0, -1)
    return np.repeat((image + cv2.resize(grain, (96, 96)))[..., None], 3, axis=2)


def taken(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture of it: noise, a light that flickers, a camera that trembles by a twentieth of a pixel."""
    move = np.array([[1, 0, rng.normal(0, 0.05)], [0, 1, rng.normal(0, 0.05)]])
    moved = cv2.warpAffine(image, move, (96, 96), borderMode=cv2.BORDER_REFLECT)
    seen: np.ndarray = np.clip(moved * rng.normal(1, 0.02) + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
    return seen


def images_of(folder: Path, parts: list[int]) -> GoodImages:
    rng = np.random.default_rng(1)
    for number, seed in enumerate(parts):
        save(folder / f"{number:03}.png", taken(part(seed), rng))
    return GoodImages(list_images([folder]), 96)


def test_pictures_in_a_row_are_counted_and_two_are_named(tmp_path: Path) -> None:
    (said,) = describe_alike(images_of(tmp_path, [*range(20), *(20, 21) * 3]))
    assert said.startswith("6 of 26 good images hardly differ from another, such as 020.png and 02")


@pytest.mark.parametrize("parts", [list(range(30)), [*range(60), 59], [0] * 30, [0] * 5])
def test_nothing_is_said_of_different_parts_one_copy_or_a_line_that_never_varies(
    tmp_path: Path, parts: list[int]
) -> None:
    assert describe_alike(images_of(tmp_path, parts)) == []


def test_of_very_many_those_that_follow_each_other_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realnet.data.alike._BLOCK", 10)
    rows = np.random.default_rng(0).normal(0, 1, (25, 50)).astype(np.float32)
    rows[3], rows[24] = rows[2], rows[0]
    assert find_alike(rows) == {2: 3, 3: 2}, "the last five are too few to say"


def test_real_products_are_no_rows_of_one_part(shared_data: Path) -> None:
    for folder in ("mvtec_ad/transistor/train/good", "magnetic_tile/magnetic_tile/train/good"):
        assert describe_alike(GoodImages(list_images([shared_data / folder])[:60], 256)) == []
