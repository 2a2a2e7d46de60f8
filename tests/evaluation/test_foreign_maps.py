"""Maps of another method: judged as our own, and refused where they are not what they should be."""

import io
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet.data import Category, fingerprint, open_dataset, read_mask, read_truth
from realnet.data.masks import shrink_mask
from realnet.errors import UserError
from realnet.evaluation.evaluate import write_maps
from realnet.evaluation.figures import evaluate_maps
from realnet.evaluation.foreign_maps import read_map, score_maps, with_maps
from realnet.evaluation.results import METRICS, Results
from realnet.evaluation.scores import image_scores
from realnet.report.result_words import heading, remarks
from tests.data.layouts import SIZE, make_btad, make_mvtec, make_sorted_folder, make_visa, save, save_mask


def invented(categories: Sequence[Category], size: int = SIZE) -> np.ndarray:
    """Maps that know something of the truth: noise, more where the defect is; negative values among them."""
    rng = np.random.default_rng(7)
    maps = []
    for sample in (sample for category in categories for sample in category.test):
        truth = np.zeros((size, size)) if sample.mask is None else shrink_mask(read_mask(sample.mask), (size, size))
        maps.append(rng.normal(0, 1, (size, size)) + 1.5 * truth)
    return np.array(maps, np.float32)


def nearest(mask: np.ndarray, size: int) -> np.ndarray:
    return mask[np.ix_(*(np.floor((np.arange(size) + 0.5) * side / size).astype(int) for side in mask.shape))]


def written(folder: Path, categories: Sequence[Category], maps: np.ndarray) -> Path:
    write_maps(folder, [sample for category in categories for sample in category.test], maps)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mvtec(tmp_path_factory.mktemp("data") / "set", ("bolt", "nut"))


@pytest.fixture(scope="module")
def categories(data: Path) -> list[Category]:
    return open_dataset(data)


@pytest.fixture
def maps(categories: list[Category], tmp_path: Path) -> Path:
    return written(tmp_path / "maps", categories, invented(categories))


def judged(maps: Path, data: Path, categories: Sequence[Category], **options: object) -> Results:
    return score_maps(maps, str(data), categories, name="other", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("image_score", ["max", "pooled16"])
@pytest.mark.parametrize("protocol", ["exact", "realnet"])
def test_what_evaluate_writes_is_judged_the_same(
    data: Path, categories: list[Category], maps: Path, image_score: str, protocol: str
) -> None:
    results = judged(maps, data, categories, image_score=image_score, protocol=protocol)
    samples = [sample for category in categories for sample in category.test]
    arrays = invented(categories)
    masks = [None if sample.mask is None else read_mask(sample.mask) for sample in samples]
    scores = image_scores[image_score](arrays)
    direct = evaluate_maps(samples, arrays, masks, scores, results.provenance, protocol=protocol)  # type: ignore[arg-type]
    assert (results.overall, results.categories, results.defects) == (direct.overall, direct.categories, direct.defects)
    facts = results.provenance
    assert (facts.protocol, facts.image_score) == (protocol, "pooled16" if protocol == "realnet" else image_score)
    assert 0.6 < results.overall.pixel_auroc < 1  # type: ignore[operator]


def test_provenance_claims_nothing_that_is_not_known(data: Path, categories: list[Category], maps: Path) -> None:
    results = judged(maps, data, categories)
    facts = results.provenance
    assert (facts.preset, facts.seed, facts.selection) == ("other", None, "unknown")
    assert (facts.data, facts.split) == ("set (bolt, nut)", "test")
    assert facts.data_fingerprint == fingerprint([s for category in categories for s in category.test])
    assert heading(results) == "set (bolt, nut), test images, method other"
    assert any("how that model was trained and selected is not known" in remark for remark in remarks(results))
    assert Results.from_json(results.to_json()) == results


def test_a_category_of_its_own(data: Path, categories: list[Category], maps: Path) -> None:
    """The folder may be the category's; and only what there are maps of is judged by default."""
    nut = categories[1]
    whole = judged(maps, data, [nut])
    assert judged(maps / "nut", data, [nut]).overall == whole.overall
    assert with_maps(maps, categories) == categories
    assert with_maps(maps / "nut", categories) == [nut]
    shutil.copytree(maps / "nut", maps.parent / "own")
    assert with_maps(maps.parent / "own", [nut]) == [nut]
    with pytest.raises(UserError, match="but of which"):
        with_maps(maps.parent / "own", categories)
    shutil.rmtree(maps / "bolt")
    assert with_maps(maps, categories) == [nut]
    with pytest.raises(UserError, match="holds no maps of bolt"):
        with_maps(maps, categories[:1])
    with pytest.raises(UserError, match="bolt has no maps"):
        judged(maps, data, categories)
    with pytest.raises(UserError, match="is no folder"):
        with_maps(maps / "nowhere", categories)


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".npz", ".png"])
def test_every_kind_of_file_gives_the_same_figures(
    data: Path, categories: list[Category], tmp_path: Path, suffix: str
) -> None:
    steps = np.round((invented(categories) + 8) * 4000).clip(0, 65535).astype(np.uint16)
    expected = judged(written(tmp_path / "float", categories, steps.astype(np.float32)), data, categories)
    for index, sample in enumerate(s for category in categories for s in category.test):
        path = tmp_path / "maps" / sample.category / "test" / sample.defect / f"{sample.image.stem}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".npy":
            np.save(path, steps[index][None].astype(np.float64))
        elif suffix == ".npz":
            np.savez(path, map=steps[index][..., None].astype(np.int32))
        else:
            Image.fromarray(steps[index]).save(path)
    found = judged(tmp_path / "maps", data, categories)
    assert (found.overall, found.defects) == (expected.overall, expected.defects)


def test_maps_of_another_size_are_judged_at_their_own(data: Path, categories: list[Category], tmp_path: Path) -> None:
    small = invented(categories, 24)
    results = judged(written(tmp_path / "maps", categories, small), data, categories)
    samples = [sample for category in categories for sample in category.test]
    masks = [None if sample.mask is None else read_truth(sample, (24, 24)) for sample in samples]
    direct = evaluate_maps(samples, small, masks, image_scores["max"](small), results.provenance)
    assert results.overall == direct.overall
    assert any("size of the maps, to which 8 masks were brought" in note for note in results.notes)
    tiny = judged(written(tmp_path / "tiny", categories[:1], np.arange(7.0)[:, None, None].repeat(2, 1)
                          .repeat(2, 2).astype(np.float32)), data, categories[:1])  # fmt: skip
    assert tiny.overall.image_auroc is not None
    assert any(not nearest(read_mask(s.mask), 2).any() for s in categories[0].test if s.mask is not None)
    assert tiny.overall.pixel_auroc is not None  # no mask vanishes, though nearest neighbour alone leaves nothing of it
    assert any("7 of 7 maps hold one value" in note for note in tiny.notes)


@pytest.mark.parametrize("layout", ["btad", "visa", "sorted"])
def test_other_layouts(tmp_path: Path, layout: str) -> None:
    """Good images lie in ``good``, as MVTec's evaluation has it, or in the folder that the data set has."""
    make: dict[str, Callable[[Path], Path]] = {
        "btad": make_btad, "visa": make_visa, "sorted": lambda root: make_sorted_folder(root, masks=True),
    }  # fmt: skip
    root = make[layout](tmp_path / "set")
    categories = open_dataset(root)
    maps = written(tmp_path / "maps", categories, invented(categories))
    expected = judged(maps, root, categories)
    assert expected.overall.pro is not None
    if layout == "btad":
        for category in categories:
            place = maps / category.name / "test"
            (place / "good").rename(place / "ok")
        assert judged(maps, root, categories).overall == expected.overall


def test_folders_are_named_as_on_disk_or_as_the_category(data: Path, categories: list[Category], maps: Path) -> None:
    from realnet.benchmark.products import renamed

    (category,) = categories[1:]
    other = renamed(category, "set-nut")
    assert judged(maps, data, [other]).overall.pro == judged(maps, data, [category]).overall.pro


def break_one(change: Callable[[Path], object], place: str = "nut/test/scratch/001.tiff") -> Callable[[Path], None]:
    return lambda maps: (change(maps / place), None)[1]


def put(array: np.ndarray) -> Callable[[Path], object]:
    return lambda path: (path.unlink(), np.save(path.with_suffix(".npy"), array))


def with_value(value: float) -> np.ndarray:
    array = np.zeros((SIZE, SIZE), np.float32)
    array[3, 4] = value
    return array


def explode(path: Path) -> None:
    path.unlink()
    path.with_suffix(".npy").write_bytes(pickle.dumps(np.zeros((4, 4), object)))


def objects(path: Path) -> None:
    path.unlink()
    np.save(path.with_suffix(".npy"), np.array([[None]]), allow_pickle=True)


def two_arrays(path: Path) -> None:
    path.unlink()
    np.savez(path.with_suffix(".npz"), a=with_value(1), b=with_value(2))


def eight_bits(path: Path) -> None:
    path.unlink()
    save_mask(path.with_suffix(".png"), with_value(1) > 0)


def colours(path: Path) -> None:
    path.unlink()
    save(path.with_suffix(".png"), np.zeros((SIZE, SIZE, 3), np.uint8))


def several(path: Path) -> None:
    pages = [Image.fromarray(with_value(value)) for value in (1, 2)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (break_one(Path.unlink), r"scratch.001\.png has no map; add .*nut.test.scratch.001\.tiff"),
    "no image": (
        break_one(lambda path: shutil.copy(path, path.with_name("777.tiff"))),
        r"777\.tiff has no test image of its name in nut; remove it",
    ),
    "twice": (break_one(lambda path: np.save(path.with_suffix(".npy"), with_value(1))), r"has the maps .* keep one"),
    "NaN": (break_one(put(with_value(np.nan))), r"001\.npy holds 1 values that are NaN or infinite"),
    "infinite": (break_one(put(with_value(-np.inf))), r"001\.npy holds 1 values that are NaN or infinite"),
    "three channels": (break_one(put(np.zeros((8, 8, 3)))), r"shape \[8, 8, 3\]; a map is \[height, width\]"),
    "a row": (break_one(put(np.zeros(8))), r"has the shape \[8\]"),
    "nothing": (break_one(put(np.zeros((0, 8)))), r"has the shape \[0, 8\]"),
    "text": (break_one(put(np.array([["a"]]))), "values of type <U1"),
    "complex": (break_one(put(np.zeros((8, 8), complex))), "values of type complex128"),
    "pickle": (break_one(explode), r"001\.npy is damaged or no map"),
    "objects": (break_one(objects), r"001\.npy is damaged or no map"),
    "two arrays": (break_one(two_arrays), "holds 2 arrays; save the map alone"),
    "8 bits": (break_one(eight_bits), r"001\.png has 8 bits a pixel"),
    "colours": (break_one(colours), r"001\.png is a colour picture"),
    "several": (break_one(several), r"001\.tiff holds several pictures"),
    "truncated": (break_one(lambda path: path.write_bytes(path.read_bytes()[:200])), r"001\.tiff is damaged or no map"),
    "empty": (break_one(lambda path: path.write_bytes(b"")), r"001\.tiff is damaged or no map"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(data: Path, categories: list[Category], maps: Path, fault: str) -> None:
    """One sentence for the one thing that is wrong; nothing of a pickle is run."""
    make, sentence = FAULTS[fault]
    make(maps)
    with pytest.raises(UserError, match=sentence) as raised:
        judged(maps, data, categories)
    assert len(str(raised.value).splitlines()) == 1


def test_all_faults_are_named_at_once(data: Path, categories: list[Category], maps: Path) -> None:
    for place in ("bolt/test/good/000", "nut/test/stain/000"):
        path = maps / f"{place}.tiff"
        put(with_value(np.nan))(path)
    with pytest.raises(UserError) as raised:
        judged(maps, data, categories)
    assert len(str(raised.value).splitlines()) == 2


def test_a_transposed_map_is_refused(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path / "set")
    for path in [*root.glob("*/test/*/*.png"), *root.glob("*/ground_truth/*/*.png")]:
        with Image.open(path) as picture:
            picture.resize((80, SIZE), Image.Resampling.NEAREST).save(path)
    categories = open_dataset(root)
    rng = np.random.default_rng(0)
    count = len(categories[0].test)
    assert judged(
        written(tmp_path / "right", categories, rng.random((count, SIZE, 80), np.float32)), root, categories
    ).overall.pro is not None  # fmt: skip
    with pytest.raises(UserError, match="64 columns and 80 rows, its image has it the other way round"):
        judged(written(tmp_path / "wrong", categories, rng.random((count, 80, SIZE), np.float32)), root, categories)


def test_constant_maps(data: Path, categories: list[Category], tmp_path: Path) -> None:
    maps = invented(categories[:1])
    some = maps.copy()
    some[:2] = 0.25
    noted = judged(written(tmp_path / "some", categories[:1], some), data, categories[:1])
    assert "bolt: 2 of 7 maps hold one value everywhere." in noted.notes
    with pytest.raises(UserError, match=r"Every map of bolt holds the value 0\.25 everywhere"):
        judged(written(tmp_path / "all", categories[:1], np.full_like(maps, 0.25)), data, categories[:1])


def test_the_authors_evaluator_may_have_no_answer(data: Path, categories: list[Category], tmp_path: Path) -> None:
    """Hard verdicts: no sampled threshold but the lowest lies below the limit. The exact figures exist."""
    hard = (invented(categories) > 0).astype(np.float32)
    maps = written(tmp_path / "hard", categories, hard)
    assert judged(maps, data, categories).overall.pro is not None
    with pytest.raises(UserError, match=r"bolt: protocol realnet has no answer here .*; use exact"):
        judged(maps, data, categories, protocol="realnet")


def csv_of(path: Path, rows: Sequence[tuple[str, object]], header: str = "image,score") -> Path:
    path.write_text("\n".join([header, *(f"{image},{score}" for image, score in rows)]), encoding="utf-8")
    return path


@pytest.mark.parametrize("named", ["layout", "windows", "folder", "path", "bare"])
def test_own_scores(data: Path, categories: list[Category], maps: Path, tmp_path: Path, named: str) -> None:
    rng = np.random.default_rng(3)
    samples = [sample for category in categories for sample in category.test]
    values = rng.normal(0, 1, len(samples)) + [0.8 * sample.is_anomalous for sample in samples]
    names = {
        "layout": lambda s: f"{s.category}/test/{s.defect}/{s.image.name}",
        "windows": lambda s: f"D:\\sets\\mvtec\\{s.category}\\test\\{s.defect}\\{s.image.stem}.tiff",
        "folder": lambda s: f"{s.category}/{s.defect.upper()}/{s.image.stem}",
        "path": lambda s: s.image,
        "bare": lambda s: f"test/{s.defect}/{s.image.stem}.npy",
    }[named]
    chosen = categories[:1] if named == "bare" else categories
    rows = [(str(names(s)), v) for s, v in zip(samples, values, strict=True) if s.category == "bolt" or named != "bare"]
    file = csv_of(tmp_path / "scores.csv", rows[::-1])
    results = judged(maps, data, chosen, scores=file)
    of_chosen = samples[: len(rows)]
    arrays = invented(categories)[: len(rows)]
    masks = [None if sample.mask is None else read_mask(sample.mask) for sample in of_chosen]
    direct = evaluate_maps(of_chosen, arrays, masks, values[: len(rows)], results.provenance)
    assert results.overall == direct.overall
    assert results.provenance.image_score == "the method's own (scores.csv)"


def test_lines_of_other_images_are_skipped(data: Path, categories: list[Category], maps: Path, tmp_path: Path) -> None:
    """A file for the whole data set serves one category, though the names are the same in each."""
    samples = [sample for category in categories for sample in category.test]
    rows = [(f"{s.category}/test/{s.defect}/{s.image.name}", float(i)) for i, s in enumerate(samples)]
    file = csv_of(tmp_path / "scores.csv", rows)
    whole = judged(maps, data, categories, scores=file)
    assert judged(maps, data, categories[1:], scores=file).overall == whole.categories[1]


@pytest.mark.parametrize(
    ("spoil", "header", "sentence"),
    [
        (lambda rows: rows[:-1], "image,score", "has no score of .*stain.001.png; add a line"),
        (lambda rows: [*rows, rows[0]], "image,score", r"line 9: bolt/test/good/000\.png has a score already"),
        (lambda rows: [(rows[0][0], "nan"), *rows[1:]], "image,score", r"line 2: the score 'nan' of .* no finite"),
        (lambda rows: [(rows[0][0], "high"), *rows[1:]], "image,score", r"the score 'high' of .* no finite"),
        (lambda rows: [("000.png", 1), *rows[1:]], "image,score", r"line 2: 000\.png may be several images"),
        (lambda rows: rows, "file,value", "needs the columns image and score"),
    ],
)
def test_faults_of_scores(
    data: Path, categories: list[Category], maps: Path, tmp_path: Path,
    spoil: Callable[[list[tuple[str, object]]], list[tuple[str, object]]], header: str, sentence: str,
) -> None:  # fmt: skip
    bolt = categories[:1]
    rows: list[tuple[str, object]] = [(f"bolt/test/{s.defect}/{s.image.name}", 0.5) for s in bolt[0].test]
    file = csv_of(tmp_path / "scores.csv", spoil(rows), header)
    with pytest.raises(UserError, match=sentence) as raised:
        judged(maps, data, bolt, scores=file)
    assert len(str(raised.value).splitlines()) == 1


def test_options_that_contradict(data: Path, categories: list[Category], maps: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image score 'mean'; choose one of max, pooled16"):
        judged(maps, data, categories, image_score="mean")
    with pytest.raises(UserError, match="leave --scores out"):
        judged(maps, data, categories, scores=tmp_path / "scores.csv", protocol="realnet")
    with pytest.raises(UserError, match="cannot be read as a CSV file"):
        judged(maps, data, categories, scores=tmp_path / "nowhere.csv")


def test_nothing_is_scaled_or_rounded(tmp_path: Path) -> None:
    fine = np.array([[1.0, 1.0 + 1e-12], [-3e5, 2.0]])
    np.save(tmp_path / "a.npy", fine)
    assert np.array_equal(read_map(tmp_path / "a.npy"), fine)
    steps = np.array([[0, 1], [40000, 65535]], np.uint16)
    Image.fromarray(steps).save(tmp_path / "a.png")
    found = read_map(tmp_path / "a.png")
    assert found.dtype == np.float32
    assert np.array_equal(found, steps)
    buffer = io.BytesIO()
    np.save(buffer, steps.astype(">f4"))
    (tmp_path / "big.npy").write_bytes(buffer.getvalue())
    assert np.array_equal(read_map(tmp_path / "big.npy"), steps)


def test_without_masks_there_are_image_figures_only(tmp_path: Path) -> None:
    root = make_mvtec(tmp_path / "set", masks=False)
    categories = open_dataset(root)
    results = judged(written(tmp_path / "maps", categories, invented(categories)), root, categories)
    present = {name for name in METRICS if getattr(results.overall, name) is not None}
    assert present == {"image_auroc", "image_average_precision", "image_f1_max"}
