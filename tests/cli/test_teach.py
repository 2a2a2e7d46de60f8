"""``realnet teach``: by images, and by what people said of verdicts."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from realnet.calibration import read_calibration
from realnet.calibrations import install
from realnet.history import Query, Store, search
from realnet.training.learned_defects import LEAST_GOOD
from tests.data.layouts import make_good, picture, save
from tests.training.tiny import flags

InProcess = Callable[..., tuple[int, str]]


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run, with a threshold below which every dark image is an alarm, and no image of the training."""
    run = Path(shutil.copytree(trained, tmp_path / "widget"))
    calibration = read_calibration(run)
    assert calibration is not None
    install(run, calibration)
    return run


def make_lot(folder: Path, count: int, seed: int, defect: bool = False) -> list[Path]:
    """Images of a darker lot."""
    rng = np.random.default_rng(seed)
    files = [folder / f"{'bad' if defect else 'lot'}-{seed}-{number}.png" for number in range(count)]
    for file in files:
        save(file, (picture(rng, defect=defect)[0] * 0.4).astype(np.uint8))
    return files


def test_a_person_says_of_good_images_what_they_are(in_process: InProcess, own: Path, tmp_path: Path) -> None:
    lot = make_lot(tmp_path / "lot", 3, 5)
    status, said = in_process("teach", own, tmp_path / "lot", "--exclude", lot[0].name, "--keep", lot[1])
    assert status == 0 and f"{lot[0].name} is left out, as you said: 8 good images remain." in said
    made = read_calibration(own)
    assert made is not None and made.confirmed == (lot[1].name,) and lot[0].name not in made.good_names
    status, said = in_process("info", own)
    assert status == 0 and "2 further good images" in said
    status, said = in_process("teach", own, "--keep", made.good_names[0], "--keep", lot[2])
    kept = read_calibration(own)
    assert status == 0 and kept is not None and kept.score == made.score and "The threshold was" not in said
    assert kept.confirmed == tuple(sorted({*made.confirmed, made.good_names[0], lot[2].name}))
    for option in ("--keep", "--exclude"):
        status, said = in_process("teach", own, option, "nobody.png")
        assert status == 2 and "nobody.png is none of the good images" in said and "Traceback" not in said
    assert read_calibration(own) == kept
    status, said = in_process("teach", own)
    assert status == 2 and "--exclude or --keep" in said


def test_confirmed_false_alarms_join_and_confirmed_defects_measure(
    in_process: InProcess, own: Path, tmp_path: Path
) -> None:
    make_lot(tmp_path / "in", 6, 1)
    make_lot(tmp_path / "in", 3, 2, defect=True)
    store = tmp_path / "line.sqlite"
    status, said = in_process(
        "inspect", own, tmp_path / "in", "--output", tmp_path / "out", "--history", store, "--keep-images", "originals"
    )
    assert status == 0, said
    shutil.rmtree(tmp_path / "in")  # the store has the originals
    status, said = in_process("teach", own, "--feedback", store)
    assert status == 2 and "Nobody has confirmed an image" in said
    by_name = {Path(e.image).name: e for e in search(Store(store), Query())}
    for name, entry in by_name.items():
        label = "--defective" if "bad" in name else "--good"
        assert in_process("feedback", store, entry.id, label, "--who", "Ann")[0] == 0
    kept = (own / "calibration.json").read_bytes()
    status, dry = in_process("teach", own, "--feedback", store, "--dry-run", "--force")
    assert status == 0 and "Nothing is changed" in dry and (own / "calibration.json").read_bytes() == kept
    assert "6 good images joined 6" in dry and "Of 3 confirmed defects 3 were found, and" in dry
    assert not (own / "taught").exists()
    status, said = in_process("teach", own, "--feedback", store, "--force")
    assert status == 0 and "back with: realnet calibrate" in said
    calibration = read_calibration(own)
    assert calibration is not None and calibration.taught == 1
    assert not any("bad" in name for name in calibration.good_names), "defects join nothing"
    alarms = sum(e.score > e.threshold for name, e in by_name.items() if "lot" in name if e.score is not None)
    assert f"rejected of them: {alarms} before" in said
    status, again = in_process("teach", own, "--feedback", store)
    assert status == 2 and "nothing new" in again, "the same images are not learned twice"


def test_a_confirmed_defect_that_would_be_missed_stops_it(in_process: InProcess, own: Path, tmp_path: Path) -> None:
    (bad,) = make_lot(tmp_path / "in", 1, 2, defect=True)
    store = tmp_path / "line.sqlite"
    call = ("inspect", own, tmp_path / "in", "--output", tmp_path / "out", "--history", store)
    assert in_process(*call)[0] == 0
    (entry,) = search(Store(store), Query())
    assert in_process("feedback", store, entry.id, "--defective", "--who", "Ann")[0] == 0
    # The very image, but for a pixel, and given as good.
    from PIL import Image

    with Image.open(bad) as opened:
        pixels = np.array(opened.convert("RGB"))
    for number in range(6):
        pixels[0, number] = 255
        save(tmp_path / "good" / f"{number}.png", pixels)
    kept = (own / "calibration.json").read_bytes()
    status, said = in_process("teach", own, tmp_path / "good", "--feedback", store)
    assert status == 2 and "in/bad-2-0.png would be missed" in said and "--force" in said
    assert (own / "calibration.json").read_bytes() == kept and not (own / "taught").exists()
    bad.unlink()
    status, said = in_process("teach", own, tmp_path / "good", "--feedback", store)
    assert status == 0 and "1 image that people gave a verdict on cannot be had any more" in said


def test_undone_and_said(in_process: InProcess, own: Path, tmp_path: Path) -> None:
    make_lot(tmp_path / "more", 3, 4)
    assert in_process("teach", own, tmp_path / "more")[0] == 0
    assert "(calibration 3)" in (own / "README.md").read_text()
    status, said = in_process("calibrate", own, "--undo")
    assert status == 0 and "counts no more" in said
    calibration = read_calibration(own)
    assert calibration is not None and (calibration.version, calibration.taught) == (2, None)
    for arguments, words in (
        ((own,), "Give good images"),
        ((own, "--good", "x", "--feedback", tmp_path / "none.sqlite"), "--good is about a data set"),
        ((own, "--feedback", tmp_path / "none.sqlite"), "no results store"),
        ((tmp_path / "absent", tmp_path / "more"), "absent"),
        ((own, tmp_path / "nothing"), "nothing"),
    ):
        status, said = in_process("teach", *arguments)
        assert status == 2 and words in said, said


def test_confirmed_defects_are_learned_when_asked(in_process: InProcess, tmp_path: Path) -> None:
    make_good(tmp_path / "good", LEAST_GOOD, np.random.default_rng(8))
    own, store = tmp_path / "widget", tmp_path / "line.sqlite"
    fields = flags("training.augmentation=none", "training.steps=0")
    assert in_process("train", tmp_path / "good", "--output", own, "--device", "cpu", *fields)[0] == 0
    bad = make_lot(tmp_path / "in", 6, 2, defect=True)
    call = ("inspect", own, tmp_path / "in", "--output", tmp_path / "out", "--history", store)
    assert in_process(*call)[0] == 0
    entries = search(Store(store), Query())
    for entry in entries[:4]:
        assert in_process("feedback", store, entry.id, "--defective", "--who", "Ann")[0] == 0
    for arguments, words in (
        ((tmp_path / "good", "--defects"), "give --feedback, too"),
        (("--feedback", store, "--defects"), "4 different confirmed defects"),
    ):
        status, said = in_process("teach", own, *arguments)
        assert status == 2 and words in said, said
    for entry in entries[4:]:
        assert in_process("feedback", store, entry.id, "--defective", "--who", "Ann")[0] == 0
    status, said = in_process("teach", own, "--feedback", store)
    assert status == 2 and "Nobody has confirmed" in said, "a word of its own is asked for"
    assert not (own / "taught").exists()
    status, said = in_process("teach", own, "--feedback", store, "--defects")
    assert status == 0 and "6 confirmed defects are learned: 6 of them are found without that, and 6 with it" in said
    assert read_calibration(own).taught == 1  # type: ignore[union-attr]
    status, said = in_process("inspect", own, *bad, "--output", tmp_path / "again")
    assert status == 0 and "6 images judged, 6 anomalous" in said, said
    status, said = in_process("teach", own, "--feedback", store, "--defects")
    assert status == 2 and "nothing new" in said
