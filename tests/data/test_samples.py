"""The fingerprint of a data set and the lazy sequence of its images."""

import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realnet.data import GoodImages, fingerprint, good_images, open_dataset, read_image
from realnet.data.images import image_hashes
from realnet.data.opening import without
from realnet.errors import UserError
from tests.data.layouts import make_good, make_mvtec, picture, save, save_mask


def _fingerprint(root: Path) -> str:
    return fingerprint(sample for category in open_dataset(root) for sample in category.train + category.test)


def test_fingerprint_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path / "here" / "data")
    first = _fingerprint(root)
    assert len(first) == 64
    assert int(first, 16) > 0
    shutil.copytree(root, tmp_path / "there" / "copy")
    assert _fingerprint(tmp_path / "there" / "copy") == first
    (category,) = open_dataset(root)
    assert fingerprint(reversed(category.train + category.test)) == first


def test_fingerprint_tells_every_change(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path)
    seen = {_fingerprint(root)}
    folder = root / "widget"
    save(folder / "train" / "good" / "000.png", picture(np.random.default_rng(9))[0])
    seen.add(_fingerprint(root))
    save_mask(folder / "ground_truth" / "stain" / "000_mask.png", np.ones((64, 64), bool))
    seen.add(_fingerprint(root))
    (folder / "train" / "good" / "005.png").rename(folder / "train" / "good" / "006.png")
    seen.add(_fingerprint(root))
    (folder / "train" / "good" / "006.png").rename(folder / "test" / "good" / "006.png")
    seen.add(_fingerprint(root))
    (folder / "test" / "good" / "006.png").unlink()
    seen.add(_fingerprint(root))
    assert len(seen) == 6


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps names that are no Unicode")
def test_names_that_are_no_unicode_are_text(tmp_path: Path) -> None:
    for place, defect in ((b"gr\xfcn/gut", False), (b"gr\xfcn/Br\xfcche", True)):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + place))
        for number in range(3):
            save(
                folder / os.fsdecode(b"St\xfcck%d.png" % number), picture(np.random.default_rng(number), 16, defect)[0]
            )
    (category,) = open_dataset(tmp_path)
    assert category.name == r"gr\udcfcn"
    assert {sample.defect for sample in category.test} == {"good", r"Br\udcfcche"}
    assert len(_fingerprint(tmp_path)) == 64
    names = [sample.name for sample in category.train]
    assert set(names) < {rf"St\udcfcck{number}.png" for number in range(3)}
    images = GoodImages([sample.image for sample in category.train], 8)
    assert [Path(name).name for name in images.names] == names
    (left,) = without([category], [category.train[0].image.name])
    assert [sample.name for sample in left.train] == names[1:]


def test_fingerprint_of_an_unreadable_file(tmp_path: Path) -> None:
    (category,) = open_dataset(make_mvtec(tmp_path))
    category.train[0].image.unlink()
    with pytest.raises(UserError, match=r"000\.png cannot be read"):
        fingerprint(category.train)


def test_good_images_are_the_images(tmp_path: Path) -> None:
    paths = make_good(tmp_path, 4, np.random.default_rng(0))
    images = GoodImages(paths, 32, cache_bytes=2 * 32 * 32 * 3)
    assert len(images) == 4
    for _ in range(2):
        for index, path in enumerate(paths):
            assert np.array_equal(images[index], read_image(path, 32))
    assert np.array_equal(images[-1], images[3])
    assert [image.shape for image in images[1:3]] == [(32, 32, 3)] * 2
    assert len(list(images)) == 4
    with pytest.raises(IndexError):
        images[4]


def test_cache_is_bounded_and_safe_from_writers(tmp_path: Path) -> None:
    paths = make_good(tmp_path, 3, np.random.default_rng(0))
    images = GoodImages(paths, 32, cache_bytes=2 * 32 * 32 * 3)
    before = [image.copy() for image in images]
    images[0][:] = 0
    for path in paths:
        path.unlink()
    assert np.array_equal(images[0], before[0])
    assert np.array_equal(images[1], before[1])
    with pytest.raises(UserError, match="does not exist"):
        images[2]


def test_a_pickled_copy_leaves_the_cache_behind(tmp_path: Path) -> None:
    images = GoodImages(make_good(tmp_path, 3, np.random.default_rng(0)), 32, cache_bytes=10**9)
    before = list(images)
    data = pickle.dumps(images)
    assert len(data) < 32 * 32 * 3
    copy = pickle.loads(data)
    assert all(np.array_equal(one, other) for one, other in zip(copy, before, strict=True))


@pytest.mark.parametrize("tile", [None, 16])
def test_digests_come_from_the_reading_that_happens_anyway(
    tile: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make_good(tmp_path, 4, np.random.default_rng(0))
    images, read = GoodImages(files, 16, tile=tile), []

    def counting(path: Path, **rest: Any) -> np.ndarray:
        read.append(path)
        return read_image(path, **rest)

    monkeypatch.setattr(good_images, "read_image", counting)
    for position in range(len(images) if tile is None else images.files.index(3)):
        images[position]
    before = len(read)
    assert images.digests() == image_hashes(files, None)
    assert len(read) - before == (0 if tile is None else 1), "only what was never read"
