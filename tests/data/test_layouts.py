"""Every layout on a miniature of it, and what is wrong with broken ones."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from realnet.data import Category, check_dataset, elpv, open_dataset, read_mask, summarize, with_confirmed, without
from realnet.errors import UserError
from tests.data import layouts
from tests.data.layouts import make_good, make_mvtec, make_sorted_folder, make_visa, picture, save, save_mask


def _summary(category: Category) -> tuple[str, str, int, dict[str, int], int]:
    kinds = Counter(sample.defect for sample in category.test)
    return (
        category.name,
        category.layout,
        len(category.train),
        dict(kinds),
        sum(s.mask is not None for s in category.test),
    )


def _problems(root: Path, category: str | None = None) -> list[str]:
    with pytest.raises(UserError) as caught:
        check_dataset(open_dataset(root, category), need_test=True)
    return str(caught.value).splitlines()


EXPECTED: dict[Callable[..., Path], list[tuple[str, str, int, dict[str, int], int]]] = {
    layouts.make_mvtec: [("widget", "folders", 6, {"good": 3, "scratch": 2, "stain": 2}, 4)],
    layouts.make_mpdd: [(name, "folders", 6, {"good": 3, "hole": 2}, 2) for name in ("bracket_black", "tubes")],
    layouts.make_btad: [(name, "folders", 5, {"good": 2, "ko": 3}, 3) for name in ("01", "02", "03")],
    layouts.make_visa: [(name, "visa", 4, {"good": 2, "anomaly": 2}, 2) for name in ("candle", "pcb1")],
    layouts.make_sorted_folder: [("data", "folders", 8, {"good": 2, "dent": 2}, 0)],
}


@pytest.mark.parametrize("make", EXPECTED, ids=lambda make: make.__name__)
def test_layout(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    root = make(tmp_path / "data")
    categories = open_dataset(root)
    assert [_summary(category) for category in categories] == EXPECTED[make]
    assert open_dataset(root, "all") == categories
    check_dataset(categories, need_test=True)
    for category in categories:
        assert open_dataset(root, category.name) == [category]
        assert all(not s.is_anomalous and s.split == "train" for s in category.train)
        assert {s.split for s in category.test} == {"test"}
        assert {s.category for s in category.train + category.test} == {category.name}
        assert not {s.image for s in category.train} & {s.image for s in category.test}
        for sample in category.test:
            if sample.mask is not None:
                assert sample.is_anomalous
                assert sample.mask.stem.removesuffix("_mask") == sample.image.stem
                assert 0 < read_mask(sample.mask).mean() < 0.1


@pytest.mark.parametrize("make", [layouts.make_mvtec, layouts.make_mpdd, layouts.make_btad, layouts.make_visa])
def test_a_category_of_a_data_set_is_one_too(
    tmp_path: Path, make: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "data")
    whole = open_dataset(root)[0]
    (single,) = open_dataset(root / whole.name)
    assert _summary(single) == _summary(whole)
    monkeypatch.chdir(root / whole.name)
    assert open_dataset(Path())[0].name == whole.name


def test_plain_folder(tmp_path: Path) -> None:
    root = layouts.make_folder(tmp_path / "bottle caps")
    (category,) = open_dataset(root)
    assert _summary(category) == ("bottle caps", "folders", 6, {}, 0)
    check_dataset([category], need_test=False)
    assert any("has no defective test images" in line for line in _problems(root))


def test_sorted_folder_with_masks_and_a_stable_hold_out(tmp_path: Path) -> None:
    (first,) = open_dataset(make_sorted_folder(tmp_path / "a" / "caps", masks=True))
    (second,) = open_dataset(make_sorted_folder(tmp_path / "b" / "caps", masks=True))
    assert _summary(first) == ("caps", "folders", 8, {"good": 2, "dent": 2}, 2)
    assert [s.image.name for s in first.test] == [s.image.name for s in second.test]
    # Neighbours in time are alike: the held-out ones are not simply the first.
    assert [s.image.name for s in first.test if not s.is_anomalous] != ["000.png", "001.png"]
    check_dataset([first], need_test=True)


@pytest.mark.parametrize("wrong", ["defective", "test", "deep/train/x", "Martin", "0", "A", "crazing"])
def test_foreign_folders_are_not_taken_for_good_images(tmp_path: Path, wrong: str) -> None:
    root = layouts.make_folder(tmp_path / "data")
    save(root / wrong / "000.png", picture(np.random.default_rng(0), defect=True)[0])
    with pytest.raises(UserError, match=r"cannot be told which images .* --good NAME"):
        open_dataset(root)


def test_sorted_folder_with_stray_parts(tmp_path: Path) -> None:
    root = make_sorted_folder(tmp_path / "data")
    make_good(root, 1, np.random.default_rng(0))
    save_mask(root / "masks" / "007.png", np.ones((64, 64), bool))
    (category,) = open_dataset(root)
    assert len(category.train) + len(category.test) == 12
    assert {(item.place, item.count) for item in category.left_out} == {(".", 1), ("masks/007.png", 1)}
    assert "look at these" in "".join(summarize([category]))


def test_elpv_miniature(tmp_path: Path) -> None:
    folder = layouts.make_elpv(tmp_path)
    problems: list[str] = []
    for name in elpv.CATEGORIES:
        category = elpv.read(folder, name, problems)
        assert category.name == name
        assert len(category.train) + len(category.test) == 15  # of 20; 5 are of a doubtful grade
        assert Counter(s.defect for s in category.test)["defective"] == 5
        assert {s.mask for s in category.test} == {None}
        check_dataset([category], need_test=True)
    assert problems == []
    (folder / "images" / "cell0001.png").unlink()
    elpv.read(folder, "mono", problems)
    assert len(problems) == 1
    assert "cell0001.png is missing" in problems[0]


def test_elpv_package() -> None:
    pytest.importorskip("elpv_dataset")
    mono, poly = open_dataset("elpv")
    counts = [(c.name, len(c.train), Counter(s.is_anomalous for s in c.test)) for c in (mono, poly)]
    # 1,508 cells are of grade 0 and 715 of grade 1 (the data set's own table).
    assert sum(train + tests[False] for _, train, tests in counts) == 1508
    assert sum(tests[True] for _, _, tests in counts) == 715
    assert all(0.5 < train / (train + tests[False]) < 0.7 for _, train, tests in counts)
    assert open_dataset(Path("elpv"), "poly") == [poly]
    with pytest.raises(UserError, match="has no category multi; it has mono, poly"):
        open_dataset("elpv", "multi")


def test_elpv_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "elpv_dataset", raising=False)
    with pytest.raises(UserError, match=r"ELPV images are not installed: .*\[demo\]"):
        open_dataset("elpv")


def test_roots_that_are_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.zip").touch()
    for name, message in (
        ("nowhere", "does not exist"),
        ("file.zip", "is a file; unpack it, and give the folder"),
        ("empty", "holds no images"),
    ):
        with pytest.raises(UserError, match=f"{name} {message}"):
            open_dataset(tmp_path / name)


def test_unknown_category_names_the_known_and_the_close_one(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path, ("bottle", "cable"))
    with pytest.raises(UserError, match=r"no category cabel; it has bottle, cable\. Did you mean cable\?"):
        open_dataset(root, "cabel")
    with pytest.raises(UserError, match=r"no category xyz; it has bottle, cable\.$"):
        open_dataset(root, "xyz")


def test_no_good_images(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path, ("bottle", "cable"))
    for image in (root / "bottle" / "train" / "good").iterdir():
        image.unlink()
    (root / "bottle" / "train" / "good" / "readme.txt").touch()
    assert open_dataset(root, "cable")[0].name == "cable"
    assert _problems(root) == ["bottle has 0 good images to train on; give at least 2."]


def test_one_good_image_is_too_few(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path, train=1)
    with pytest.raises(UserError, match="widget has 1 good image to train on; give at least 2"):
        check_dataset(open_dataset(root), need_test=False)


def test_masks_of_any_name_suffix_and_case(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path)
    truth = root / "widget" / "ground_truth" / "scratch"
    (truth / "000_mask.png").rename(truth / "000_MASK.PNG")
    mask = read_mask(truth / "001_mask.png")
    (truth / "001_mask.png").unlink()
    save_mask(truth / "001.bmp", mask)
    (category,) = open_dataset(root)
    names = [s.mask.name for s in category.test if s.defect == "scratch" and s.mask is not None]
    assert names == ["000_MASK.PNG", "001.bmp"]
    check_dataset([category], need_test=True)


def test_without_any_masks_the_verdict_is_enough(tmp_path: Path) -> None:
    (category,) = open_dataset(make_mvtec(tmp_path, masks=False))
    assert sum(s.is_anomalous for s in category.test) == 4
    check_dataset([category], need_test=True)


def test_every_fault_of_the_masks_has_its_sentence(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path, per_defect=3)
    truth, tests = root / "widget" / "ground_truth", root / "widget" / "test"
    (truth / "scratch" / "000_mask.png").unlink()
    (tests / "stain" / "001.png").unlink()
    save_mask(truth / "stain" / "002.png", np.ones((64, 64), bool))
    save_mask(truth / "burn" / "007_mask.png", np.ones((64, 64), bool))
    save(tests / "scratch" / "002.bmp", picture(np.random.default_rng(0), defect=True)[0])
    lines = _problems(root)
    assert len(lines) == 2
    for part in ("stain/002.png has the masks 002.png and", "scratch/002_mask.png fits both"):
        assert sum(part in line for line in lines) == 1, part
    (tests / "scratch" / "002.bmp").unlink()
    (truth / "stain" / "002.png").unlink()
    (category,) = open_dataset(root)
    assert [s.image.name for s in category.test if s.defect == "scratch" and s.mask is None] == ["000.png"]
    assert [(item.count, item.reason) for item in category.left_out] == [(2, "masks without an image of their name")]


def test_check_finds_every_bad_file(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path)
    folder = root / "widget"
    (folder / "train" / "good" / "000.png").write_bytes(b"")
    (folder / "train" / "good" / "001.png").write_text("no image")
    whole = (folder / "test" / "good" / "000.png").read_bytes()
    (folder / "test" / "good" / "000.png").write_bytes(whole[: len(whole) // 2])
    save_mask(folder / "ground_truth" / "scratch" / "000_mask.png", np.ones((32, 48), bool))
    with pytest.raises(UserError) as caught:
        check_dataset(open_dataset(root), need_test=False)
    assert len(str(caught.value).splitlines()) == 2
    lines = _problems(root)
    wanted = ["000.png is empty", "001.png is not an image", "000.png is damaged or truncated"]
    wanted += ["has 48 x 32 pixels, but its image"]
    assert len(lines) == len(wanted)
    for part in wanted:
        assert sum(part in line for line in lines) == 1, part


def test_at_most_twenty_sentences(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path, train=30)
    for image in (root / "widget" / "train" / "good").iterdir():
        image.write_bytes(b"")
    lines = _problems(root)
    assert len(lines) == 21
    assert lines[-1] == "And 10 more things are wrong."


def test_visa_table_faults(tmp_path: Path) -> None:
    root = make_visa(tmp_path / "visa", ("candle",))
    table = root / "split_csv" / "1cls.csv"
    original = table.read_text()
    images = root / "candle" / "Data" / "Images"
    (images / "Normal" / "0000.JPG").unlink()
    assert "lists the image candle/Data/Images/Normal/0000.JPG, which is not in" in _problems(root)[0]
    save(images / "Normal" / "0000.JPG", picture(np.random.default_rng(0))[0])
    table.write_text(original.replace(",candle/Data/Masks/Anomaly/001.png", ","))
    lines = _problems(root)
    assert len(lines) == 2
    assert "names no mask for" in lines[0]
    assert "001.png has no image in" in lines[1]
    table.write_text(original.replace("test,anomaly", "train,anomaly"))
    assert "lists the defective" in _problems(root)[0]
    save(tmp_path / "outside.JPG", picture(np.random.default_rng(0))[0])
    table.write_text(original.replace("candle/Data/Images/Normal/0001.JPG", "../outside.JPG"))
    assert "outside.JPG, which is not in" in _problems(root)[0]
    table.write_text(original.replace("test,anomaly", "holdout,anomaly"))
    assert "the split 'holdout'" in _problems(root)[0]
    table.write_text("a,b\n1,2\n")
    assert "needs the columns object, split, label, image, mask" in _problems(root)[0]
    table.unlink()
    assert "1cls.csv cannot be read" in _problems(root)[0]


def test_visa_category_absent_from_the_table(tmp_path: Path) -> None:
    root = make_visa(tmp_path, ("candle", "pcb1"))
    (root / "pcb1").rename(root / "pcb9")
    assert open_dataset(root, "candle")[0].name == "candle"
    assert any("lists no good training images of pcb9" in line for line in _problems(root))


TRANSISTOR = {"good": 60, "bent_lead": 10, "cut_lead": 10, "damaged_case": 10, "misplaced": 10}
TILE = {"good": 100, "blowhole": 115, "crack": 57}


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("mvtec_ad", ("transistor", "folders", 213, TRANSISTOR, 40)),
        ("magnetic_tile", ("magnetic_tile", "folders", 240, TILE, 172)),
    ],
)
def test_real_images(shared_data: Path, folder: str, expected: tuple[object, ...]) -> None:
    if not (shared_data / folder).is_dir():
        pytest.skip(f"no {folder} at hand")
    categories = open_dataset(shared_data / folder)
    check_dataset(categories, need_test=True)
    assert [_summary(category) for category in categories] == [expected]


def test_good_images_are_excluded_by_name_or_file(tmp_path: Path) -> None:
    categories = open_dataset(make_mvtec(tmp_path / "data"))
    names = [sample.name for sample in categories[0].train]
    (left,) = without(categories, [names[1], str(categories[0].train[4].image)])
    assert [sample.name for sample in left.train] == [name for i, name in enumerate(names) if i not in (1, 4)]
    assert "(2: excluded)" in " ".join(summarize([left]))
    with pytest.raises(UserError, match=r"nobody\.png is none of the good images"):
        without(categories, ["nobody.png"])


def test_masks_that_hardly_mean_what_they_mark_are_said(tmp_path: Path) -> None:
    (category,) = open_dataset(make_mvtec(tmp_path, defects=("stain",)))
    assert check_dataset([category], need_test=True) == []
    first, second = (sample for sample in category.test if sample.is_anomalous)
    assert first.mask is not None
    assert second.mask is not None
    save_mask(first.mask, ~read_mask(first.mask))
    (inverted,) = check_dataset([category], need_test=True)
    assert "Masks that mark more than 80% of their image (1): stain/000.png." in inverted
    save_mask(second.mask, np.zeros((64, 64), bool))
    empty, inverted = check_dataset([category], need_test=True)
    assert "Masks that mark nothing (1;" in empty
    assert "stain/001.png" in empty


def test_good_images_of_other_sizes_are_counted(tmp_path: Path) -> None:
    def sized(*sizes: tuple[int, int]) -> list[str]:
        folder = tmp_path / "-".join(f"{w}x{h}" for w, h in sizes)
        for number, (width, height) in enumerate(sizes):
            save(folder / "train" / "good" / f"{number}.png", np.zeros((height, width, 3), np.uint8))
        return check_dataset(open_dataset(folder), need_test=False)

    assert sized((8, 8), (8, 8)) == []
    (other,) = sized((8, 8), (16, 8), (8, 8))
    assert "1 of 3 good images has another size than the usual 8 x 8 pixels: 1.png (16 x 8)" in other
    (many,) = sized((8, 8), (16, 8), (8, 9))
    assert "The 3 good images have 3 different sizes, 8 x 8 to 16 x 8 pixels" in many


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp"])
def test_grey_good_images_among_coloured_ones_are_counted(tmp_path: Path, suffix: str) -> None:
    good = tmp_path / "train" / "good"
    for number in range(5):
        save(good / f"{number}.{suffix}", np.zeros((8, 8, 3) if number < 3 else (8, 8), np.uint8))
    (said,) = check_dataset(open_dataset(tmp_path), need_test=False)
    assert f"2 of 5 good images are stored in grey, the others in colour: 3.{suffix}, 4.{suffix}." in said
    for number in range(3):
        (good / f"{number}.{suffix}").unlink()
    assert check_dataset(open_dataset(tmp_path), need_test=False) == []


def test_an_image_of_several_products_is_named_with_its_own(tmp_path: Path) -> None:
    for product in ("bolt", "nut"):
        for number in range(3):
            save(tmp_path / product / "train" / "good" / f"{number}.png", np.full((8, 8, 3), number, np.uint8))
    categories = open_dataset(tmp_path)
    with pytest.raises(UserError, match=r"1\.png may be bolt/1\.png, nut/1\.png: nothing is kept"):
        with_confirmed(categories, ["1.png"])
    kept = with_confirmed(categories, ["nut/1.png", str(tmp_path / "bolt" / "train" / "good" / "2.png")])
    assert [s.full_name for one in kept for s in one.train if s.confirmed] == ["bolt/2.png", "nut/1.png"]


def test_good_images_are_kept_by_name_or_file(tmp_path: Path) -> None:
    categories = open_dataset(make_mvtec(tmp_path / "data"))
    names = [sample.name for sample in categories[0].train]
    (kept,) = with_confirmed(categories, [names[1], str(categories[0].train[4].image)])
    assert [sample.name for sample in kept.train] == names, "nothing is left out"
    assert [i for i, sample in enumerate(kept.train) if sample.confirmed] == [1, 4]
    with pytest.raises(UserError, match=r"nobody\.png is none of the good images: nothing is kept"):
        with_confirmed(categories, ["nobody.png"])
    (left,) = without(categories, [names[1]])
    with pytest.raises(UserError, match="none of the good images"):
        with_confirmed([left], [names[1]])
