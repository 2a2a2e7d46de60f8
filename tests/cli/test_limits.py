"""``realnet limits``."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from tests.cli.process import Finished
from tests.data.layouts import make_good

Call = Callable[..., Finished]


def test_what_is_found_is_said_drawn_and_written(realnet: Call, trained: Path, tmp_path: Path) -> None:
    make_good(tmp_path / "good", 4, np.random.default_rng(7))
    chart, figures = tmp_path / "limits.png", tmp_path / "limits.json"
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    call = ("limits", run, tmp_path / "good", "--sizes", "3,20", "--each", "2", "-o", chart, "--json", figures)
    finished = realnet(*call)
    assert finished.status == 0, finished.err
    assert "scratch" in finished.out and "128 levels" in finished.out
    assert "29" in finished.err and "sure" in finished.err, "two are too few to be sure of anything"
    assert cv2.imread(str(chart)) is not None
    assert len(json.loads(figures.read_text())["drawn"]) == 4 * 2 * 5 + 2
    assert "SIA is not among them" in finished.out
    assert json.loads((run / "limits.json").read_text()) == json.loads(figures.read_text()), "filed under the run"

    refused = realnet(*call)
    assert refused.status == 2 and "exists already" in refused.err
    wrong = realnet("limits", run, tmp_path / "good", "--sizes", "0,3", "-o", tmp_path / "b.png")
    assert wrong.status == 2 and "--sizes takes widths" in wrong.err
    assert not (tmp_path / "b.png").exists()
