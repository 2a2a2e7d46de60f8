"""What an inspection looks like in a notebook, and many of them as a table."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet import load
from realnet.errors import UserError
from realnet.inspection.inspection import Inspection
from realnet.inspection.inspector import Inspector
from tests.data.layouts import picture


@pytest.fixture
def found() -> Inspection:
    """40 pixels wide, 30 high, with one suspicious area of 20 pixels."""
    anomaly_map = np.zeros((30, 40), np.float32)
    anomaly_map[5:10, 8:12] = 0.9
    return Inspection(0.75, 0.5, 0.4, anomaly_map, np.full((30, 40, 3), 128, np.uint8))


def test_the_repr_is_one_short_line(found: Inspection) -> None:
    assert repr(found) == "<Inspection: anomalous, score 0.7500 (threshold 0.5000), 1 region, 40x30 pixels>"
    assert repr(replace(found, score=0.2)) == "<Inspection: good, score 0.2000 (threshold 0.5000), 40x30 pixels>"


def test_a_notebook_shows_image_heat_map_and_outline(found: Inspection) -> None:
    shown = np.asarray(Image.open(BytesIO(found._repr_png_())))
    np.testing.assert_array_equal(shown, found.picture)
    assert shown.shape == (30, 3 * 40 + 16, 3)
    np.testing.assert_array_equal(shown[:, :40], found.image)


def test_a_large_picture_is_shrunk_for_a_notebook(found: Inspection) -> None:
    large = replace(found, anomaly_map=np.zeros((500, 1000), np.float32), image=np.zeros((500, 1000, 3), np.uint8))
    width, height = Image.open(BytesIO(large._repr_png_())).size
    assert width == 1200
    assert height == round(500 * 1200 / 3016)


def test_a_huge_image_is_drawn_small(found: Inspection) -> None:
    huge = np.zeros((1500, 6000), np.float32)
    huge[600:900, 3000:3600] = 0.9
    shown = replace(found, anomaly_map=huge, image=np.full((1500, 6000, 3), 128, np.uint8), inside=huge > 0).picture
    assert shown.shape == (512, 3 * 2048 + 16, 3)
    heat, outlined = shown[:, 2048 + 8 : 4096 + 8], shown[:, 4096 + 16 :]
    assert heat[256, 1100].max() > heat[20, 20].max(), "hot where the map is high, dark where nobody looked"
    assert (outlined[200:312, 1020:1232] != 128).any()
    assert (outlined[:150] == 128).all()


def test_the_figure_shows_the_same(found: Inspection) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    axes = found.plot()
    assert [one.get_title() for one in axes] == ["image", "heat map", "outline"]
    np.testing.assert_array_equal(axes[2].images[0].get_array(), found.picture[:, -40:])
    assert axes[0].figure.get_suptitle() == "anomalous, score 0.7500 (threshold 0.5000)"
    pyplot.close(axes[0].figure)


def test_the_dictionary_is_plain_and_survives_json(found: Inspection) -> None:
    said = found.to_dict("a.png")
    assert json.loads(json.dumps(said))["regions"][0]["box"] == [8, 5, 4, 5]
    assert (said["image"], said["verdict"], said["score"], said["threshold"]) == ("a.png", "anomalous", 0.75, 0.5)
    assert said["anomalous_area"] == pytest.approx(20 / 1200)
    assert not {"overlay", "moved_x", "error"} & set(said)


def test_the_picture_is_saved_and_nothing_overwritten(found: Inspection, tmp_path: Path) -> None:
    path = found.save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(path)), found.picture)
    with pytest.raises(UserError, match=r"a\.png is there already"):
        found.save(path)
    replace(found, score=0.1).save(path, overwrite=True)
    assert not np.array_equal(np.asarray(Image.open(path)), found.picture)
    with pytest.raises(UserError, match=r"written as PNG"):
        found.save(tmp_path / "a.jpg")


@pytest.fixture(scope="module")
def inspector(trained: Path) -> Inspector:
    return load(trained, "cpu")


def test_many_images_are_rows_by_name(inspector: Inspector, product: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    files = [
        product / "widget" / "test" / "scratch" / "000.png",
        broken,
        product / "widget" / "test" / "good" / "001.png",
    ]
    rows = inspector(files, batch_size=2)
    assert [row["image"] for row in rows] == [str(file) for file in files]
    assert [row["verdict"] for row in rows][1] == "unreadable"
    assert "broken.png" in rows[1]["error"]
    for row, file in ((rows[0], files[0]), (rows[2], files[2])):
        expected = inspector.inspect(file)
        assert row["score"] == pytest.approx(expected.score, abs=1e-5)
        assert row["verdict"] == ("anomalous" if expected.is_anomalous else "good")
        assert row["error"] == ""


def test_rows_are_a_table_of_pandas(inspector: Inspector, product: Path) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(inspector(product / "widget" / "test" / "scratch"))
    assert list(table["image"].map(lambda name: Path(name).name)) == ["000.png", "001.png"]
    assert table["score"].between(0, 1).all()


def test_one_image_and_images_without_a_path(inspector: Inspector) -> None:
    image = picture(np.random.default_rng(1), defect=True)[0]
    (alone,) = inspector(image)
    assert alone["image"] == "0"
    own = ("id", "time")  # of each result
    (again,) = inspector(Image.fromarray(image))
    assert {**again, **{name: alone[name] for name in own}} == alone
    assert [row["image"] for row in inspector(iter([image, image]))] == ["0", "1"]
    assert inspector(np.stack([image, image]))[1]["score"] == pytest.approx(alone["score"], abs=1e-5)
    assert inspector([image], threshold=0.0)[0]["verdict"] == "anomalous"


def test_an_inspector_says_what_it_is(inspector: Inspector) -> None:
    assert repr(inspector) == f"<Inspector: 64x64 pixels, threshold {inspector.threshold:.4f}>"
