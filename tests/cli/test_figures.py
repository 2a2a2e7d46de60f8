"""Figures of the paper, each by one command: 3b, S6, S7; and the SIA data set."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.process import Finished
from tests.cli.test_commands import succeed
from tests.data.layouts import make_good, make_mvtec
from tests.diffusion.conftest import diffusion  # noqa: F401 - fixture
from tests.diffusion.tiny import flags as diffusion_flags
from tests.training.tiny import flags

Call = Callable[..., Finished]


def sheet(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_syntheses_side_by_side(realnet: Call, product: Path, tmp_path: Path) -> None:
    make_good(tmp_path / "textures", 2, np.random.default_rng(0))
    make_good(tmp_path / "SIA" / "widget", 2, np.random.default_rng(1))
    call = ["preview", product, "--synthesis", "sia,dtd,nsa,cutpaste", "--count", "3", "--set", "model.image_size=64"]
    call += ["--output", tmp_path / "b.png", "--source", tmp_path / "textures", "--generated", tmp_path / "SIA"]
    assert "3 defects each of sia, dtd, nsa, cutpaste" in succeed(realnet(*call))
    drawn = sheet(tmp_path / "b.png")
    assert drawn.shape == (20 + 3 * 164 + 4, 5 * 164 + 4, 3)
    cells = [drawn[24:184, 4 + 164 * n : 164 + 164 * n].astype(int) for n in range(5)]
    for cell in cells[1:]:
        share = (np.abs(cell - cells[0]).max(2) > 3).mean()
        assert 0 < share < 0.9, "a defect of the good image in that row"
    for wrong, words in ((["dtd,nsa", "--generated", tmp_path], "--generated is for sia"),
                         (["sia,nsa", "--source", tmp_path], "for sia give --generated"),
                         (["nsa", "--generated", tmp_path], "--generated is for several kinds")):  # fmt: skip
        finished = realnet("preview", product, "--output", tmp_path / "x.png", "--synthesis", *wrong)
        assert finished.status == 2 and words in finished.err


def test_local_anomalies_by_strength(realnet: Call, product: Path, diffusion: Path, tmp_path: Path) -> None:  # noqa: F811
    call = ["sdas", "grid", diffusion, "--strengths", "0,1", "--rows", "2", "--steps", "2", "--output"]
    succeed(realnet(*call, tmp_path / "s6.png", "--local", product))
    assert sheet(tmp_path / "s6.png").shape == (20 + 2 * 164 + 4, 3 * 164 + 4, 3)
    finished = realnet(*call, tmp_path / "x.png", "--local", tmp_path / "nowhere")
    assert finished.status == 2 and not (tmp_path / "x.png").exists()


def test_which_channels_see_a_defect(realnet: Call, tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", ("cap",), train=5, test_good=0, per_defect=0)
    run = tmp_path / "run"
    succeed(realnet("train", data, "--output", run, "--device", "cpu", *flags()))
    assert "4 layers, defect 2" in succeed(realnet("afs", run, data, "--output", tmp_path / "s7.png", "--defect", "2"))
    drawn = sheet(tmp_path / "s7.png")
    assert drawn.shape == (4 * 170 + 6, 10 * 134 + 6, 3)
    assert len(np.unique(drawn[:170, 2 * 134 :].reshape(-1, 3), axis=0)) > 50, "maps of channels"
    other = make_mvtec(tmp_path / "other", ("nut",))
    finished = realnet("afs", run, other, "--output", tmp_path / "x.png")
    assert finished.status == 2 and "does not hold the good images" in finished.err


def test_the_sia_data_set_of_a_folder_of_data_sets(realnet: Call, tmp_path: Path) -> None:
    make_mvtec(tmp_path / "data" / "one", ("bolt",), train=4)
    make_mvtec(tmp_path / "data" / "two", ("cap",), train=4)
    call = ["sdas", "build", tmp_path / "data", "--output", tmp_path / "SIA", "--count", "3", "--batch-size", "2"]
    call += ["--device", "cpu", *diffusion_flags()]
    out = succeed(realnet(*call))
    assert "2 categories of 2 data sets, 2 models of preset lite: 6 images" in out
    assert len(list((tmp_path / "SIA").glob("t*/cap/*.png"))) == 3
    assert "6 images, s from 1 to 3" in succeed(realnet(*call)), "the same call finds it done"
    finished = realnet(*call, "--init", "nowhere.pt")
    assert finished.status == 2 and "There is no file nowhere.pt" in finished.err


@pytest.mark.parametrize("command", ["afs", "preview"])
def test_a_sheet_is_a_png(realnet: Call, product: Path, tmp_path: Path, command: str) -> None:
    first = [tmp_path] if command == "afs" else []
    finished = realnet(command, *first, product, "--output", tmp_path / "x.jpg")
    assert finished.status == 2 and ".png" in finished.err
