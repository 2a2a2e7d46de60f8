"""The SIA data set: every category of every data set, continued wherever it was stopped."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from realnet.diffusion.generating import Request
from realnet.diffusion.model_folder import read_categories
from realnet.diffusion.sia_set import build, plan_parts
from realnet.errors import UserError
from realnet.progress import Watcher
from realnet.training.launch import Launch
from tests.data.layouts import make_mvtec
from tests.diffusion.tiny import plain, tiny

REQUEST = Request(0.1, 0.2, steps=2, batch=2)
CPU = Launch("cpu", resume=True)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shelf")
    make_mvtec(root / "one", categories=("bolt", "nut"), train=4)
    make_mvtec(root / "two", categories=("cap",), train=4)
    return root


class Diary(Watcher):
    """Remembers what is begun, and stops in the middle where it is told to."""

    def __init__(self, stop_at: str = "") -> None:
        self.begun: list[str] = []
        self.stop_at = stop_at

    def say(self, sentence: str) -> None:
        if match := re.match(r"Model (\d+ of \d+: \w+)", sentence):
            self.begun.append(match[1])

    def stage(self, text: str, done: int = 0, total: int = 0) -> None:
        if text == self.stop_at and done:
            raise KeyboardInterrupt


def digests(folder: Path) -> dict[str, str]:
    files = sorted(folder.glob("*/*/*.png"))
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if "models" not in str(p)
    }


def test_one_model_a_data_set_or_one_a_category(shelf: Path) -> None:
    assert [(p.name, len(p.categories)) for p in plan_parts([str(shelf)], plain())] == [("one", 2), ("two", 1)]
    assert [p.name for p in plan_parts([str(shelf)], tiny())] == ["one-bolt", "one-nut", "two-cap"]
    with pytest.raises(UserError, match="Two data sets are called two"):
        plan_parts([str(shelf), str(shelf / "two")], plain())


def test_all_categories_are_made_and_a_stop_loses_nothing(shelf: Path, tmp_path: Path) -> None:
    config = plain("training.steps=2", "training.report_every=2")
    parts = plan_parts([str(shelf)], config)
    assert build(parts, config, REQUEST, 3, tmp_path / "whole", CPU) == 9
    made = digests(tmp_path / "whole")
    names = ("one/bolt", "one/nut", "two/cap")
    assert sorted(made) == [f"{name}/{n:06d}.png" for name in names for n in range(3)]
    assert read_categories(tmp_path / "whole" / "models" / "one") == ("bolt", "nut")

    with pytest.raises(KeyboardInterrupt):
        build(parts, config, REQUEST, 3, tmp_path / "stopped", CPU, watcher=Diary("nut"))
    assert 0 < len(digests(tmp_path / "stopped")) < 9
    diary = Diary()
    weights = tmp_path / "stopped" / "models" / "one" / "denoiser.safetensors"
    stamp = weights.stat().st_mtime_ns
    build(parts, config, REQUEST, 3, tmp_path / "stopped", CPU, watcher=diary)
    assert digests(tmp_path / "stopped") == made
    assert weights.stat().st_mtime_ns == stamp, "what is trained is not trained again"
    assert diary.begun == ["1 of 2: one", "2 of 2: two"]
    mark = json.loads((tmp_path / "whole" / "two" / "cap" / "sia.json").read_text())
    assert (mark["low"], mark["high"], mark["preset"]) == (0.1, 0.2, "lite")


def test_images_may_be_made_elsewhere(shelf: Path, tmp_path: Path) -> None:
    import numpy as np

    config = plain("training.steps=1", "training.report_every=1")
    parts = plan_parts([str(shelf / "two")], config)

    def maker_of(model, request):  # type: ignore[no-untyped-def]
        def make(category, begins):  # type: ignore[no-untyped-def]
            for begin in begins:
                yield begin, np.full((request.batch, 32, 32, 3), 7, np.uint8)

        return make

    build(parts, config, REQUEST, 2, tmp_path / "out", CPU, maker_of=maker_of)
    from realnet.data import read_image

    assert (read_image(tmp_path / "out" / "two" / "cap" / "000001.png") == 7).all()
