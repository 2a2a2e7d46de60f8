"""Folders as people and public data sets name them: counted by hand, file by file."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realnet.data import Category, check_dataset, finding, open_dataset, read_truth, summarize
from realnet.data.images import IMAGE_SUFFIXES
from realnet.data.opening import with_confirmed
from realnet.data.vocabulary import file_verdict, meaning
from realnet.errors import UserError
from realnet.inspection.walking import match


def draw(path: Path, seed: int = 0) -> None:
    """A photograph: 8 x 8 pixels of many colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng([seed, *path.stem.encode()]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


def mark(path: Path, empty: bool = False) -> None:
    """A mask of 8 x 8 pixels that marks four of them, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((8, 8), np.uint8)
    values[2:4, 3:5] = 0 if empty else 255
    Image.fromarray(values).save(path)


@dataclass
class Layout:
    """Files by pattern (``NNN`` is the number) with how many of each, and what has to come of them."""

    images: Sequence[tuple[str, int]]
    train: int
    good: int = 0
    defective: dict[str, int] = field(default_factory=dict)
    masks: Sequence[tuple[str, int]] = ()
    empty: Sequence[tuple[str, int]] = ()
    masked: int = 0
    left_out: int = 0
    spare: int = 0

    def make(self, root: Path) -> Path:
        for number, (pattern, count) in enumerate(self.images):
            for i in range(count):
                draw(root / pattern.replace("NNN", f"{i:03}"), number)
        for patterns, empty in ((self.masks, False), (self.empty, True)):
            for pattern, count in patterns:
                for i in range(count):
                    mark(root / pattern.replace("NNN", f"{i:03}"), empty)
        return root

    def check(self, category: Category) -> None:
        kinds = Counter(sample.defect for sample in category.test)
        assert (len(category.train), kinds.pop("good", 0), dict(kinds)) == (self.train, self.good, self.defective)
        assert sum(sample.mask is not None for sample in category.test) == self.masked
        assert all(sample.mask is None for sample in category.train)
        assert len(category.spare) == self.spare
        assert sum(item.count for item in category.left_out) == self.left_out


MVTEC = [
    ("train/good/NNN.png", 5),
    ("test/good/NNN.png", 2),
    ("test/broken_large/NNN.png", 2),
    ("test/color/NNN.png", 1),
]
PUBLIC = {
    "MVTec AD": Layout(
        MVTEC, 5, 2, {"broken_large": 2, "color": 1},
        [("ground_truth/broken_large/NNN_mask.png", 2), ("ground_truth/color/NNN_mask.png", 1)], masked=3,
    ),
    "MVTec LOCO": Layout(
        [("train/good/NNN.png", 4), ("validation/good/NNN.png", 3), ("test/good/NNN.png", 2),
         ("test/logical_anomalies/NNN.png", 2), ("test/structural_anomalies/NNN.png", 1)],
        4, 2, {"logical_anomalies": 2, "structural_anomalies": 1},
        [("ground_truth/logical_anomalies/000/NNN.png", 3), ("ground_truth/logical_anomalies/001/NNN.png", 1),
         ("ground_truth/structural_anomalies/000/NNN.png", 1)],
        masked=3, spare=3,
    ),
    "MVTec AD 2": Layout(
        [("train/good/NNN_regular.png", 4), ("validation/good/NNN_regular.png", 2),
         ("test_public/good/NNN_regular.png", 2),
         ("test_public/bad/NNN_overexposed.png", 2), ("test_private/NNN_mixed.png", 3)],
        4, 2, {"bad": 2}, [("test_public/ground_truth/bad/NNN_overexposed_mask.png", 2)],
        masked=2, spare=2, left_out=3,
    ),
    "MVTec 3D": Layout(
        [("train/good/rgb/NNN.png", 3), ("train/good/xyz/NNN.tiff", 3), ("test/good/rgb/NNN.png", 2),
         ("test/hole/rgb/NNN.png", 2), ("test/hole/xyz/NNN.tiff", 2)],
        3, 2, {"hole": 2}, [("test/hole/gt/NNN.png", 2), ("test/good/gt/NNN.png", 0)], masked=2, left_out=5,
    ),
    "BTAD": Layout(
        [("train/ok/NNN.bmp", 4), ("test/ok/NNN.bmp", 2), ("test/ko/NNN.bmp", 3)],
        4, 2, {"ko": 3}, [("ground_truth/ko/NNN.png", 3)], masked=3,
    ),
    "MPDD": Layout(
        [("train/good/NNN.png", 3), ("test/good/NNN.png", 2), ("test/parts_mismatch/NNN.png", 2)],
        3, 2, {"parts_mismatch": 2}, [("ground_truth/parts_mismatch/NNN_mask.png", 2)], masked=2,
    ),
    "VisA as prepared for one class": Layout(
        [("train/good/NNN.JPG", 3), ("test/good/NNN.JPG", 2), ("test/bad/NNN.JPG", 2)],
        3, 2, {"bad": 2}, [("ground_truth/bad/NNN.png", 2)], masked=2,
    ),
    "KolektorSDD": Layout(
        [(f"kos{k:02}/Part{p}.jpg", 1) for k in range(3) for p in range(4)], 8, 2, {"defective": 2},
        [("kos00/Part1_label.bmp", 1), ("kos02/Part3_label.bmp", 1)],
        [(f"kos{k:02}/Part{p}_label.bmp", 1) for k in range(3) for p in range(4) if (k, p) not in ((0, 1), (2, 3))],
        masked=2,
    ),
    "KolektorSDD2": Layout(
        [("train/10NNN.png", 6), ("test/20NNN.png", 4)], 4, 3, {"defective": 1},
        [("train/10NNN_GT.png", 2), ("test/20NNN_GT.png", 1)],
        [(f"train/10{i:03}_GT.png", 1) for i in (2, 3, 4, 5)] + [(f"test/20{i:03}_GT.png", 1) for i in (1, 2, 3)],
        masked=1, left_out=2,
    ),
    "DAGM": Layout(
        [("Class1/Train/0NNN.PNG", 5), ("Class1/Test/0NNN.PNG", 4)], 3, 3, {"defective": 1},
        [("Class1/Train/Label/0NNN_label.PNG", 2), ("Class1/Test/Label/0NNN_label.PNG", 1)], masked=1, left_out=2,
    ),
    "magnetic tile": Layout(
        [("MT_Free/Imgs/free_NNN.jpg", 10), ("MT_Blowhole/Imgs/blow_NNN.jpg", 2), ("MT_Uneven/Imgs/un_NNN.jpg", 1)],
        8, 2, {"MT_Blowhole": 2, "MT_Uneven": 1},
        [("MT_Blowhole/Imgs/blow_NNN.png", 2), ("MT_Uneven/Imgs/un_NNN.png", 1)], [("MT_Free/Imgs/free_NNN.png", 10)],
        masked=3,
    ),
    "casting": Layout(
        [("casting_data/casting_data/train/ok_front/cast_ok_0_NNN.jpeg", 4),
         ("casting_data/casting_data/train/def_front/cast_def_0_NNN.jpeg", 3),
         ("casting_data/casting_data/test/ok_front/cast_ok_0_NNN.jpeg", 2),
         ("casting_data/casting_data/test/def_front/cast_def_0_NNN.jpeg", 2)],
        4, 2, {"def_front": 2}, left_out=3,
    ),
    "concrete cracks": Layout([("Negative/NNN.jpg", 10), ("Positive/NNN.jpg", 3)], 8, 2, {"Positive": 3}),
    "a labelling tool, by class": Layout(
        [("train/good/NNN.jpg", 4), ("train/scratch/NNN.jpg", 2), ("valid/good/NNN.jpg", 2),
         ("valid/scratch/NNN.jpg", 1),
         ("test/good/NNN.jpg", 1), ("test/scratch/NNN.jpg", 1)],
        4, 1, {"scratch": 1}, spare=2, left_out=3,
    ),
    "a labelling tool without test": Layout(
        [("train/normal/NNN.jpg", 4), ("train/defect/NNN.jpg", 1), ("valid/normal/NNN.jpg", 2),
         ("valid/defect/NNN.jpg", 2)],
        4, 2, {"defect": 2}, left_out=1,
    ),
    "a labelling tool, masks beside": Layout(
        [("train/im_NNN.jpg", 4), ("test/im_NNN.jpg", 3)], 4, 2, {"defective": 1}, [("test/im_NNN_mask.png", 1)],
        [("train/im_NNN_mask.png", 4), ("test/im_001_mask.png", 1), ("test/im_002_mask.png", 1)], masked=1,
    ),
    "Real-IAD": Layout(
        [("OK/S0001/part_NNN.jpg", 5), ("OK/S0002/part_NNN.jpg", 5), ("NG/BX/S0003/part_NNN.jpg", 2),
         ("NG/HS/S0004/p_NNN.jpg", 1)],
        8, 2, {"BX": 2, "HS": 1}, [("NG/BX/S0003/part_NNN.png", 2), ("NG/HS/S0004/p_NNN.png", 1)], masked=3,
    ),
    "masks beside": Layout(
        [("good/NNN.png", 10), ("scratch/NNN.png", 3)], 8, 2, {"scratch": 3}, [("scratch/NNN_mask.png", 3)], masked=3
    ),
    "masks in labels": Layout(
        [("ok/NNN.png", 10), ("nok/NNN.png", 2)], 8, 2, {"nok": 2}, [("labels/nok/NNN.png", 2)], masked=2
    ),
    "masks in masks below the defect": Layout(
        [("ok/NNN.png", 10), ("nok/images/NNN.png", 2)], 8, 2, {"nok": 2}, [("nok/masks/NNN.bmp", 2)], masked=2
    ),
    "one flat folder of masks": Layout(
        [("good/g_NNN.png", 10), ("dent/d_NNN.png", 2), ("hole/h_NNN.png", 1)], 8, 2, {"dent": 2, "hole": 1},
        [("ground_truth/d_NNN_mask.png", 2), ("ground_truth/h_NNN.png", 1)], masked=3,
    ),
    "one flat folder of masks called by kind": Layout(
        [("good/NNN.png", 10), ("dent/NNN.png", 2), ("hole/NNN.png", 1)], 8, 2, {"dent": 2, "hole": 1},
        [("masks/dent_NNN.png", 2), ("masks/hole_NNN.png", 1)], masked=3,
    ),
    "numbered masks of one image": Layout(
        [("good/NNN.png", 10), ("ng/NNN.png", 1)], 8, 2, {"ng": 1},
        [("ng/000_mask_1.png", 1), ("ng/000_mask_2.png", 1)], masked=1,
    ),
    "days below good": Layout(
        [("good/NNN.png", 4), ("good/day2/NNN.png", 20), ("good/cam_left/2024-05-01/NNN.png", 20)], 44
    ),
    "days with good and bad in each": Layout(
        [("day1/OK/NNN.png", 5), ("day2/OK/NNN.png", 5), ("day1/NOK/NNN.png", 1), ("day2/NOK/NNN.png", 2)],
        8, 2, {"NOK": 3},
    ),
    "the good ones by day and camera": Layout([("2024-05-01/cam1/NNN.png", 3), ("2024-05-02/cam2/NNN.png", 4)], 7),
    "two ways to be bad below bad": Layout(
        [("good/NNN.png", 10), ("bad/typeA/NNN.png", 2), ("bad/day2/NNN.png", 1)], 8, 2, {"typeA": 2, "bad": 1}
    ),
    "a test without a word for train": Layout(
        [("good/NNN.png", 6), ("test/ok/NNN.png", 2), ("test/whatever/NNN.png", 1)], 6, 2, {"whatever": 1}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_a_data_set_is_what_it_was_meant_to_be(tmp_path: Path, name: str) -> None:
    layout = PUBLIC[name]
    (category,) = open_dataset(layout.make(tmp_path / "part"))
    layout.check(category)
    check_dataset([category], need_test=bool(category.test))
    lines = summarize([category])
    assert f"training on {layout.train} images" in lines[0]
    assert "training" not in summarize([category], evaluating=True)[0]
    assert sum(map(len, lines)) < 2000


def test_masks_of_one_image_are_merged(tmp_path: Path) -> None:
    root = PUBLIC["numbered masks of one image"].make(tmp_path / "part")
    other = np.zeros((8, 8), np.uint8)
    other[7, 7] = 1
    Image.fromarray(other).save(root / "ng" / "000_mask_2.png")
    (category,) = open_dataset(root)
    (defective,) = [sample for sample in category.test if sample.is_anomalous]
    truth = read_truth(defective)
    assert truth is not None
    assert set(zip(*map(list, np.nonzero(truth)), strict=True)) == {(2, 3), (2, 4), (3, 3), (3, 4), (7, 7)}


GOOD = (
    "good Good OK ok Ok okay NORMAL Normal pass Passed PASS io IO iO i.O. gut negative Negative free MT_Free ok_front \
defect-free DefectFree no_defect without-defects undamaged uncracked non-defective flawless good_images Good2 ok_01 \
acceptable clean healthy fehlerfrei conforme bueno 良品 正常 正常品 合格 normal_2024 good-parts goodParts in_Ordnung"
)
DEFECTIVE = (
    "ng NG nok NOK n.i.O. niO NIO bad Bad fail FAILED failure defect Defects defective DEFECTIVE abnormal Anomaly \
anomalies anomalous ko def_front not_ok NotOK not-good no_good non_conforming reject rejected scrap scratch Scratches \
deep_scratch dent crack positive Positive damaged broken_large unacceptable imperfect faulty ausschuss fehlerhaft 不良 \
不良品 异常 不合格 nicht_in_Ordnung NG_2 bad1 outlier"
)


@pytest.mark.parametrize("good", GOOD.split())
def test_words_for_good(tmp_path: Path, good: str) -> None:
    Layout([(f"{good}/NNN.png", 5), ("zzz/NNN.png", 2)], 4, 1, {"zzz": 2}).check(
        open_dataset(Layout([(f"{good}/NNN.png", 5), ("zzz/NNN.png", 2)], 0).make(tmp_path / "part"))[0]
    )


@pytest.mark.parametrize("bad", DEFECTIVE.split())
def test_words_for_defective(tmp_path: Path, bad: str) -> None:
    assert meaning(bad).label == "defective"
    root = Layout([(f"{bad}/NNN.png", 2), ("zzz/NNN.png", 5)], 0).make(tmp_path / "part")
    with pytest.raises(UserError, match="--good NAME"):
        open_dataset(root)
    Layout([], 4, 1, {bad: 2}).check(open_dataset(root, good=["zzz"])[0])
    alone = Layout([("NNN.png", 5)], 0).make(tmp_path / bad)
    with pytest.raises(UserError, match="--good"):
        open_dataset(alone)
    assert len(open_dataset(alone, good=["."])[0].train) == 5


joined = st.sampled_from(["", "_", "-", " ", "."])
cased = st.sampled_from([str.lower, str.upper, str.title])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["good", "ok", "normal", "pass"]), joined, st.integers(0, 999), cased)
def test_a_number_or_another_case_changes_nothing(word: str, join: str, number: int, case: object) -> None:
    name = case(f"{word}{join}{number}")  # type: ignore[operator]
    assert meaning(name).label == "good"
    assert meaning(case(f"not{join or '_'}{word}{join}{number}")).label == "defective"  # type: ignore[operator]


@pytest.mark.parametrize(
    "name",
    ["part", "product", "widget", "bottle", "Martin", "typeA", "label_0", "thread_side", "cleanroom", "passat", "okra"],
)
def test_other_words_say_nothing(name: str) -> None:
    assert meaning(name).label is None


def test_what_cannot_be_told_is_refused_and_good_decides(tmp_path: Path) -> None:
    classes = Layout([("0/NNN.png", 5), ("1/NNN.png", 2)], 0).make(tmp_path / "classes")
    with pytest.raises(UserError, match=r"0/ \(5\), 1/ \(2\)"):
        open_dataset(classes)
    Layout([], 4, 1, {"1": 2}).check(open_dataset(classes, good=["0"])[0])
    steel = Layout([("crazing/NNN.jpg", 3), ("patches/NNN.jpg", 3), ("rolled-in_scale/NNN.jpg", 3)], 0)
    with pytest.raises(UserError, match="--good NAME"):
        open_dataset(steel.make(tmp_path / "NEU"))
    flat = Layout([("train/NNN.png", 5), ("test/ok/NNN.png", 2), ("test/ng/NNN.png", 2)], 0).make(tmp_path / "flat")
    with pytest.raises(UserError, match=r"absent.*its folders are test, train"):
        open_dataset(flat, good=["absent"])
    Layout([], 5, 2, {"ng": 2}).check(open_dataset(flat, good=["train", "ok"])[0])
    beside = Layout([("good/NNN.png", 5), ("day2/NNN.png", 5)], 0).make(tmp_path / "beside")
    with pytest.raises(UserError, match=r"whether .*day2 holds good images"):
        open_dataset(beside)
    assert len(open_dataset(beside, good=["good", "day2"])[0].train) == 10
    for name in ("new", "incoming", "to inspect", "Unlabelled", "unknown", "unsorted_2", "inbox/today"):
        files = [("good/NNN.png", 5), ("scratch/NNN.png", 2), (f"{name}/NNN.png", 3)]
        unjudged = Layout(files, 0).make(tmp_path / f"with {name.partition('/')[0]}")
        with pytest.raises(UserError, match=f"whether .*{name.partition('/')[0]}.* holds good images"):
            open_dataset(unjudged)
    inside = Layout([("good/NNN.png", 5), ("good/scratch/NNN.png", 5)], 0).make(tmp_path / "inside")
    with pytest.raises(UserError, match="scratch lies among good images, but its name says defective"):
        open_dataset(inside)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["ok_1", "ok_2", "nok_3"], "names of 1 of 3 say defective, such as nok_3.png, and .* such as ok_1.png"),
        (["IMG_1", "IMG_2_NG"], "names of 1 of 2 say defective, such as IMG_2_NG.png"),
        (["cast_ok_0_1", "cast_def_0_1"], "names of 1 of 2 say good, such as cast_ok_0_1.png, .* cast_def_0_1.png"),
        (["2024/Gut1", "2025/Kratzer1"], "say defective, such as Kratzer1.png"),
        (["scratch_1", "scratch_2"], "names of 2 of 2 say defective, such as scratch_1.png[.] Sort them"),
    ],
)
def test_images_told_apart_by_their_own_names_are_refused(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        draw(tmp_path / "photos" / f"{name}.png", 7)
    with pytest.raises(UserError, match=said):
        open_dataset(tmp_path / "photos")
    (chosen,) = open_dataset(tmp_path / "photos", good=["."])
    assert len(chosen.train) == len(names)
    lines = check_dataset([chosen], need_test=False)
    some = sum(file_verdict(Path(name).name) == "defective" for name in names) in range(1, len(names))
    assert any("say that they are defective" in line for line in lines) == some


@pytest.mark.parametrize(
    "stems", [["ok_1", "ok_2"], ["3bad-91c0", "bad91c7e", "77"], ["hole_1", "edge_1"], ["pos1", "neg1"]]
)
def test_names_that_tell_no_images_apart(tmp_path: Path, stems: list[str]) -> None:
    for stem in stems:
        draw(tmp_path / f"{stem}.png", 7)
    (found,) = open_dataset(tmp_path)
    assert len(found.train) == len(stems)


def test_names_that_say_defective_in_a_folder_of_good_images_are_said(tmp_path: Path) -> None:
    page = tmp_path / "page" / "lid.good"
    for stem in ("1", "2", "NG_3"):
        draw(tmp_path / "sorted" / "good" / f"{stem}.png", 7)
        draw(page / f"{stem}.png", 7)
    for place in (tmp_path / "sorted", tmp_path / "sorted" / "good", page):
        (found,) = open_dataset(place)
        (line,) = check_dataset([found], need_test=False)
        assert "names of 1 of 3 good images say that they are defective: NG_3.png" in line
        assert check_dataset(with_confirmed([found], ["NG_3.png"]), need_test=False) == []


def test_products_side_by_side(tmp_path: Path) -> None:
    files = [
        (f"{name}/{folder}/NNN.png", 5) for name in ("bolt", "scratch_resistant_nut") for folder in ("good", "bad")
    ]
    root = Layout([*files, ("notes/NNN.png", 2)], 0).make(tmp_path / "shop")
    bolt, nut = open_dataset(root)
    assert (bolt.name, nut.name) == ("bolt", "scratch_resistant_nut")
    Layout([], 4, 1, {"bad": 5}, left_out=2).check(bolt)
    Layout([], 4, 1, {"bad": 5}).check(nut)


def test_links_are_followed_once(tmp_path: Path) -> None:
    root = Layout([("good/NNN.png", 3), ("bad/NNN.png", 1)], 0).make(tmp_path / "part")
    for i in range(4):
        draw(tmp_path / "elsewhere" / f"{i}.png", 7)
    (root / "good" / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "good" / "again").symlink_to(tmp_path / "elsewhere")
    (root / "good" / "loop").symlink_to(root)
    (root / "good" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (category,) = open_dataset(root)
    assert len(category.train) + sum(not s.is_anomalous for s in category.test) == 7
    reasons = {item.place: item.reason for item in category.left_out}
    assert set(reasons) == {"good/linked", "good/loop", "good/gone.png"}
    assert "lead nowhere" in reasons["good/gone.png"]


@pytest.mark.parametrize(
    ("form", "name"),
    [("PNG", "0001"), ("JPEG", "0001.jpg.part"), ("TIFF", "slide.ndpi"), ("BMP", "0001.bmp~"), ("GIF", "a.1"),
     ("WEBP", "b.tmp"), ("JPEG2000", "c")],
)  # fmt: skip
def test_images_whose_names_do_not_say_so_are_named(tmp_path: Path, form: str, name: str) -> None:
    """Also where a pattern finds them; other files beside images are passed over without a word."""
    root = Layout([("good/NNN.png", 5)], 0).make(tmp_path / "part")
    Image.fromarray(np.zeros((12, 12, 3), np.uint8)).save(root / "good" / name, form)
    for other, content in (("notes", b"BM and others"), ("0001.json", b"{}"), ("empty", b""), (".hidden", b"GIF89a")):
        (root / "good" / other).write_bytes(content)
    (category,) = open_dataset(root)
    assert len(category.train) == 5
    assert [(item.place, item.count) for item in category.left_out] == [(f"good/{name}", 1)]
    assert "names do not say so" in category.left_out[0].reason
    said: list[str] = []
    assert len(list(match(f"{root}/**", (), said.append))) == 5
    assert name in said[0]


def test_everything_left_out_has_a_count_and_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "IMAGE_SUFFIXES", IMAGE_SUFFIXES - {".heic"})  # as without the extra
    root = Layout(
        [("good/NNN.png", 5), ("good/@eaDir/NNN.png", 3), ("SIA/part/NNN.png", 2), ("overlays/NNN.png", 2)], 0
    )
    made = root.make(tmp_path / "part")
    (made / "good" / "phone.HEIC").write_bytes(b"heic")
    (made / "good" / ".hidden.png").write_bytes(b"x")
    (made / "readme.txt").write_text("words")
    for folder, name in (("runs/a", "model.safetensors"), ("out", "results.jsonl"), ("export", "inspector.json"),
                         ("pairs", "synthesis.json")):  # fmt: skip
        for i in range(2):
            draw(made / folder / f"{i}.png")
        (made / folder / name).write_text("{}")
        (made / folder / "config.yaml").write_text("{}")
    (category,) = open_dataset(made)
    assert len(category.train) == 5
    counts = {item.place: item.count for item in category.left_out}
    assert counts == {"good/@eaDir": 3, "SIA": 2, "overlays": 2, "good/phone.HEIC": 1, "runs/a": 2, "out": 2,
                      "export": 2, "pairs": 2}  # fmt: skip
    (line,) = summarize([category])[1:]
    for words in ("HEIC files, which are not read: convert them", "a RealNet run", "results of realnet inspect"):
        assert words in line


@pytest.mark.parametrize(
    ("image", "file", "count"),
    [
        ("1.png", "1.json", 1),
        ("images/1.png", "Annotations/1.xml", 1),
        ("images/1.png", "labels.csv", 1),
        ("images/1.png", "_annotations.coco.json", 1),
        ("1.png", "1.txt", 1),
        ("1.png", "readme.txt", 0),
        ("1.png", "settings.json", 0),
        ("1.png", ".labels/1.txt", 0),
    ],
)
def test_annotations_that_are_not_read_are_counted(tmp_path: Path, image: str, file: str, count: int) -> None:
    draw(tmp_path / image, 7)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("{}")
    (found,) = open_dataset(tmp_path)
    assert sum(item.count for item in found.left_out) == count
    assert ("annotations, which are not read" in " ".join(summarize([found]))) == bool(count)


@pytest.mark.parametrize(
    ("file", "text", "counts"),
    [
        ("results.csv", "file;result\n1.png;OK\n2.PNG;NG\n", True),
        ("sub/verdicts.json", '{"1.png": 0, "2.png": 1}', True),
        ("judged.xlsx", "PK", True),
        ("log.csv", "time;exposure\n1.0;20\n", False),
        ("readme.txt", "See 1.png.", False),
    ],
)
def test_tables_that_name_images_are_told(tmp_path: Path, file: str, text: str, counts: bool) -> None:
    for name in ("1.png", "2.png", "3.png"):
        draw(tmp_path / name, 7)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    (found,) = open_dataset(tmp_path)
    assert len(found.train) == 3
    said = " ".join(summarize([found]))
    assert (f"{file} (1: tables, which are not read: only folders and masks count)" in said) == counts


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_without_permission_is_left_out_with_a_word(tmp_path: Path) -> None:
    root = Layout([("good/NNN.png", 5), ("good/closed/NNN.png", 3)], 0).make(tmp_path / "part")
    (root / "good" / "closed").chmod(0)
    (category,) = open_dataset(root)
    (root / "good" / "closed").chmod(0o700)
    assert len(category.train) == 5
    assert "cannot be read" in category.left_out[0].reason


def test_the_folder_itself_may_be_called_good_train_or_test(tmp_path: Path) -> None:
    root = PUBLIC["MVTec AD"].make(tmp_path / "widget")
    (only,) = open_dataset(root / "train" / "good")
    assert (only.name, len(only.train), only.test) == ("widget", 5, ())
    (test,) = open_dataset(root / "test")
    assert (test.name, len(test.train), len(test.test)) == ("widget", 0, 5)
