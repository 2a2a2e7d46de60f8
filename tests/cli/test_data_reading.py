"""What goes in is what was meant: calibrate and evaluate on folders as people have them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.layouts import make_good, picture, save, save_mask

Call = Callable[..., tuple[int, str]]


def _line(root: Path, good: int = 12, bad: int = 8) -> Path:
    """A folder of a line: OK/ and NOK/ with masks beside."""
    rng = np.random.default_rng(11)
    make_good(root / "OK", good, rng)
    for i in range(bad):
        image, mask = picture(rng, defect=True)
        save(root / "NOK" / f"{i:03}.png", image)
        save_mask(root / "NOK" / f"{i:03}_mask.png", mask)
    return root


def test_calibration_takes_the_good_images_and_nothing_else(in_process: Call, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    mixed = _line(tmp_path / "line")
    status, said = in_process("calibrate", run, mixed, "--false-alarms", "10%")
    assert status == 0, said
    from_mixed = json.loads((run / "calibration.json").read_text())
    assert len(from_mixed["good_scores"]) == 12
    assert "Calibrating on 12 good images." in said
    assert "NOK (8: defective)" in said
    assert in_process("calibrate", run, mixed / "OK", "--false-alarms", "10%")[0] == 0
    from_good = json.loads((run / "calibration.json").read_text())
    assert from_mixed["score"] == from_good["score"]
    status, said = in_process("evaluate", run, mixed)
    assert status == 2 and "set its threshold" in said and "--force" in said


def test_images_that_were_trained_on_are_known_whatever_they_are_called(
    in_process: Call, product: Path, trained: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    kept = (run / "calibration.json").read_bytes()
    known = sorted((product / "widget" / "train" / "good").iterdir())[:3]
    root = tmp_path / "line"
    _line(root / "test")
    for number, file in enumerate(known):
        Image.open(file).save(root / "test" / "OK" / f"copy{number}.bmp")
    for call in (("calibrate", run, root, "--false-alarms", "10%"), ("evaluate", run, root)):
        status, said = in_process(*call)
        assert status == 2 and "were trained on" in said and "copy" in said, said
    assert (run / "calibration.json").read_bytes() == kept
    status, said = in_process("calibrate", run, root, "--false-alarms", "10%", "--force")
    assert status == 0 and "3 of them were trained on" in said


def test_another_product_is_not_filed_under_the_run(in_process: Call, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    rng = np.random.default_rng(5)
    for i in range(30):
        folder = "good" if i < 25 else "bad"
        save(tmp_path / "pebbles" / folder / f"{i}.png", rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    before = (run / "metrics.json").read_bytes()
    status, said = in_process("evaluate", run, tmp_path / "pebbles", "--json", tmp_path / "figures.json")
    assert status == 2 and "another product" in said
    assert (run / "metrics.json").read_bytes() == before
    assert not (run / "report-pebbles-pebbles.html").exists()
    assert (tmp_path / "figures.json").is_file()
    status, said = in_process("evaluate", run, tmp_path / "pebbles", "--force")
    assert status == 0 and "(forced)" in said


def test_maps_are_not_overwritten_and_masks_may_be_empty(in_process: Call, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    root = _line(tmp_path / "part")
    save_mask(root / "NOK" / "003_mask.png", np.zeros((64, 64), bool))
    save(root / "NOK" / "000.bmp", picture(np.random.default_rng(3), defect=True)[0])
    (root / "NOK" / "000_mask.png").unlink()
    arguments = ("evaluate", run, root, "--maps", tmp_path / "maps", "--json", tmp_path / "f.json", "--at-image-size")
    status, said = in_process(*arguments, "--force")
    assert status == 0, said
    assert "Masks that mark nothing (1" in said and "NOK/003.png" in said
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["overall"]["defective"] == 9
    assert figures["overall"]["pixel_auroc"] is not None
    assert figures["provenance"]["pixels"] == "image"
    assert len(list((tmp_path / "maps").rglob("NOK/*.tiff"))) == 9
    again, said = in_process(*arguments, "--force")
    assert again == 2 and "is not overwritten" in said


@pytest.mark.parametrize("command", ["train", "preview", "synthesize"])
def test_what_cannot_be_told_starts_nothing(in_process: Call, tmp_path: Path, command: str) -> None:
    rng = np.random.default_rng(0)
    for folder in ("A", "B"):
        make_good(tmp_path / "data" / folder, 3, rng)
    more = {"train": ("-o", tmp_path / "run"), "preview": ("-o", tmp_path / "s.png"),
            "synthesize": ("--count", "1", "-o", tmp_path / "pairs")}[command]  # fmt: skip
    status, said = in_process(command, tmp_path / "data", *more)
    assert status == 2 and "A/ (3), B/ (3)" in said and "--good NAME" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
