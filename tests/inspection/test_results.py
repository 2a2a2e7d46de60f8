"""Many files: overlays and tables, whatever some of the files are."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realnet import load
from realnet.data import read_image
from realnet.errors import UserError
from realnet.inspection.inspector import Inspector
from realnet.inspection.results import inspect_files, overlay_names
from tests.data.layouts import picture, save

UNREADABLE = (1, 2, 5)


@pytest.fixture(scope="module")
def inspector(trained: Path) -> Inspector:
    return load(trained)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Eight files of different sizes; three in their midst are no pictures."""
    rng = np.random.default_rng(4)
    made = []
    for number in range(8):
        path = tmp_path / "in" / f"{number}.png"
        image = picture(rng, 40 + 10 * number, defect=number % 2 == 1)[0]
        save(path, image)
        if number in UNREADABLE:
            path.write_bytes(path.read_bytes()[:60])
        made.append(path)
    return made


@pytest.mark.parametrize("batch_size", [1, 2, 3, 20])
def test_unreadable_files_never_shift_their_neighbours(
    inspector: Inspector, files: list[Path], tmp_path: Path, batch_size: int
) -> None:
    done: list[int] = []
    rows = inspect_files(inspector, files, tmp_path / "out", done.append, batch_size)
    assert [row.image for row in rows] == [str(file) for file in files]
    assert done[-1] == len(files)
    assert done == sorted(done)
    for number, (file, row) in enumerate(zip(files, rows, strict=True)):
        if number in UNREADABLE:
            assert (row.verdict, row.score, row.overlay) == ("unreadable", None, "")
            assert file.name in row.error
            continue
        alone = inspector.inspect(file)
        assert row.error == ""
        assert row.score == pytest.approx(alone.score, abs=1e-5)
        assert row.verdict == ("anomalous" if alone.is_anomalous else "good")
        assert row.anomalous_area == pytest.approx(alone.mask.mean(), abs=0.01)
        drawn = read_image(tmp_path / "out" / row.overlay)
        image = read_image(file)
        assert drawn.shape[0] == image.shape[0]
        assert np.array_equal(drawn[:, : image.shape[1]], image), "the overlay shows its own image"


def test_tables_say_the_same(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    scores = sorted(inspector.inspect(file).score for n, file in enumerate(files) if n not in UNREADABLE)
    judge = Inspector(inspector.model, inspector.config, (scores[1] + scores[2]) / 2, 0.0)
    rows = inspect_files(judge, files, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"overlays", "results.csv", "results.json"}
    from_json = json.loads((tmp_path / "out" / "results.json").read_text())
    assert from_json == json.loads(json.dumps([asdict(row) for row in rows]))
    with (tmp_path / "out" / "results.csv").open(newline="") as stream:
        from_csv = list(csv.DictReader(stream))
    for line, row in zip(from_csv, rows, strict=True):
        assert (line["image"], line["verdict"], line["error"]) == (row.image, row.verdict, row.error)
        assert line["score"] == ("" if row.score is None else str(row.score))
        assert float(line["threshold"]) == row.threshold == judge.threshold
        assert int(line["regions"]) == len(row.regions)
        assert row.level is None or (row.level > 0.5) == (row.verdict == "anomalous")
    verdicts = [row.verdict for row in rows]
    assert verdicts.count("good") == 2
    assert verdicts.count("anomalous") == 3
    assert all(row.anomalous_area == 0 for row in rows if row.verdict == "good")
    overlays = {row.overlay for row in rows if row.overlay}
    assert {f"overlays/{path.name}" for path in (tmp_path / "out" / "overlays").iterdir()} == overlays


def test_only_unreadable_files(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    rows = inspect_files(inspector, [files[n] for n in UNREADABLE], tmp_path / "out")
    assert {row.verdict for row in rows} == {"unreadable"}
    assert not (tmp_path / "out" / "overlays").exists()


def test_files_of_one_name_do_not_overwrite_each_other(inspector: Inspector, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    places = [tmp_path / place for place in ("left/a.png", "right/a.png", "right/a.bmp", "right/A.tiff")]
    for place in places:
        save(place, picture(rng)[0])
    rows = inspect_files(inspector, places, tmp_path / "out")
    assert len({row.overlay.lower() for row in rows}) == 4
    for row, place in zip(rows, places, strict=True):
        with Image.open(tmp_path / "out" / row.overlay) as drawn:
            assert np.array_equal(np.asarray(drawn)[:, :64], read_image(place))


part = st.sampled_from(["a", "A", "b", "a-a", "b-a", "a-2", "c d"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.lists(part, max_size=3), part, st.sampled_from([".png", ".jpg"])), unique_by=str))
def test_overlay_names_are_unique_on_any_disk(places: list[tuple[list[str], str, str]]) -> None:
    files = [Path("/data", *folders, stem + suffix) for folders, stem, suffix in places]
    names = overlay_names(files)
    assert len(names) == len(files)
    assert len({name.lower() for name in names}) == len(names)
    assert all("/" not in name and name.endswith(".png") for name in names)


def test_the_first_of_a_name_keeps_it() -> None:
    assert overlay_names([Path("x/a.png"), Path("y/b.png"), Path("y/a.png")]) == ["a.png", "b.png", "y-a.png"]
    assert overlay_names([Path("a.png"), Path("a.jpg"), Path("a.bmp")]) == ["a.png", "a-2.png", "a-3.png"]


def test_an_output_that_cannot_be_written(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"Cannot write .*folder that can be written"):
        inspect_files(inspector, files[:1], tmp_path / "file" / "out")
