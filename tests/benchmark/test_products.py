from pathlib import Path

import pytest

from realnet.benchmark.products import choose, find_products
from realnet.errors import UserError
from tests.data.layouts import make_good, make_mvtec


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder of two data sets, textures, and something else."""
    import numpy as np

    make_mvtec(tmp_path / "one", categories=("cap", "nut"))
    make_mvtec(tmp_path / "two", categories=("nut",))
    make_good(tmp_path / "dtd" / "images", 2, np.random.default_rng(0))
    (tmp_path / "SIA" / "cap").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_a_folder_of_data_sets(shelf: Path) -> None:
    data_folder = find_products([str(shelf)])
    assert [product.name for product in data_folder.products] == ["cap", "one-nut", "two-nut"]
    assert data_folder.textures == shelf / "dtd" / "images"
    assert data_folder.generated == shelf / "SIA"
    assert [product.own_name for product in data_folder.products] == ["cap", "nut", "nut"]
    renamed = data_folder.products[1].category
    assert {sample.category for sample in (*renamed.train, *renamed.test)} == {"one-nut"}


def test_one_data_set_finds_what_lies_beside_it(shelf: Path) -> None:
    data_folder = find_products([str(shelf / "one")])
    assert [product.name for product in data_folder.products] == ["cap", "nut"]
    assert data_folder.textures == shelf / "dtd" / "images"


def test_a_product_without_defective_images_is_left_out(tmp_path: Path) -> None:
    import numpy as np

    make_good(tmp_path / "set" / "cap" / "train" / "good", 3, np.random.default_rng(0))
    with pytest.raises(UserError, match="no product with defective test images"):
        find_products([str(tmp_path / "set")])


def test_choosing(shelf: Path) -> None:
    data_folder = find_products([str(shelf)])
    assert [p.name for p in choose(data_folder, ["TWO-NUT", "cap"]).products] == ["cap", "two-nut"]
    assert choose(data_folder, []) == data_folder
    with pytest.raises(UserError, match="no category nut; the data has cap, one-nut, two-nut"):
        choose(data_folder, ["nut"])


def test_a_wrong_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        find_products([str(tmp_path / "nowhere")])
