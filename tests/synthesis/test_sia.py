"""Where generated images are looked for, and what that makes the default."""

from pathlib import Path

import numpy as np
import pytest

from realnet.choices import find_synthesis
from realnet.data import Category, open_dataset
from realnet.synthesis.sia import generated_images
from tests.data.layouts import make_mvtec, save


def picture(path: Path) -> Path:
    save(path, np.full((16, 16, 3), 99, np.uint8))
    return path


@pytest.mark.parametrize("place", ["", "bolt", "some/bolt"])
def test_a_source_made_by_sdas_sample_is_recognised(tmp_path: Path, place: str) -> None:
    picture(tmp_path / place / "000000.png")
    assert generated_images(tmp_path / "data", "bolt", tmp_path) is None, "a folder of any pictures is none"
    (tmp_path / place / "sia.json").write_text("{}")
    assert generated_images(tmp_path / "data", "bolt", tmp_path) == tmp_path


@pytest.mark.parametrize("place", ["SIA/Bolt", "SIA/mvtec/bolt"])
def test_the_data_sets_own_folder_counts_for_its_category(tmp_path: Path, place: str) -> None:
    picture(tmp_path / place / "1.png")
    assert generated_images(tmp_path, "bolt", None) == tmp_path / "SIA"
    assert generated_images(tmp_path, "nut", None) is None
    assert generated_images(tmp_path, None, None) is None
    textures = picture(tmp_path / "textures" / "a.png").parent
    assert generated_images(tmp_path, "bolt", textures) is None, "what the user names goes first"


def images(categories: list[Category]) -> list[tuple[object, ...]]:
    return [(category.name, category.train, category.test) for category in categories]


def test_sia_is_the_default_where_there_are_generated_images(tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", ("bolt", "nut"))
    bolt, both = open_dataset(data, "bolt"), open_dataset(data)
    assert find_synthesis(data, bolt, None, None, None, None) == (None, None)
    picture(data / "SIA" / "bolt" / "0.png")
    assert images(open_dataset(data, "bolt")) == images(bolt), "the folder is no category"
    assert find_synthesis(data, bolt, None, None, None, None) == ("sia", data / "SIA")
    assert find_synthesis(data, bolt, None, None, ["training.steps=3"], None) == ("sia", data / "SIA")
    assert find_synthesis(data, open_dataset(data, "nut"), None, None, None, None) == (None, None)
    assert find_synthesis(data, both, None, None, None, None) == (None, None)
    for chosen in (("mix", None, None), (None, ["synthesis.source=nsa"], None), (None, None, tmp_path / "x.yaml")):
        kind, assignments, file = chosen
        assert find_synthesis(data, bolt, kind, None, assignments, file) == (kind, None)


@pytest.mark.parametrize("with_defects", [False, True])
def test_generated_images_beside_a_plain_folders_are_neither_good_nor_a_defect(
    tmp_path: Path, with_defects: bool
) -> None:
    folder = tmp_path / "bolt"
    for number in range(6):
        picture(folder / "good" / f"{number}.png")
    if with_defects:
        picture(folder / "scratch" / "0.png")
    before = open_dataset(folder)
    picture(folder / "SIA" / "bolt" / "0.png")
    assert images(open_dataset(folder)) == images(before)
    assert find_synthesis(folder, before, None, None, None, None) == ("sia", folder / "SIA")
