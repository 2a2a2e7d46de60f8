import json

import numpy as np
import pytest
from PIL import Image

from realnet.config import SynthesisConfig
from realnet.errors import UserError
from realnet.synthesis import Synthesizer, write_pairs
from tests.synthesis.pictures import colourful, textured

GOODS = [colourful((64, 64), 1), textured((64, 64), 2)]
NAMES = ["a/grün.png", "b.png"]


def synthesizer(seed=0, **options):
    return Synthesizer(GOODS, SynthesisConfig(**options), seed, names=NAMES)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_pairs_and_manifest_say_what_was_made(tmp_path):
    done = []
    manifest = write_pairs(synthesizer(seed=4), NAMES, 12, tmp_path / "out", done.append)
    assert done == list(range(1, 13))
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    assert [line["index"] for line in lines] == list(range(12))
    again = synthesizer(seed=4)
    for line in lines:
        anomaly = again(line["index"])
        good = GOODS[NAMES.index(line["good"])]
        image = np.asarray(Image.open(tmp_path / "out" / line["image"]))
        mask = np.asarray(Image.open(tmp_path / "out" / line["mask"]))
        assert np.array_equal(image, anomaly.image)
        assert np.array_equal(mask == 255, anomaly.mask)
        assert set(np.unique(mask)) <= {0, 255}
        assert np.array_equal(image[mask == 0], good[mask == 0])
        assert line["image"] == f"test/{anomaly.kind}/{line['index']:06d}.png"
        assert line["mask"] == f"ground_truth/{anomaly.kind}/{line['index']:06d}_mask.png"
        assert (line["seed"], line["kind"], line["origin"]) == (4, anomaly.kind, anomaly.origin)
        assert line["opacity"] == anomaly.opacity


def test_an_interrupted_run_ends_in_the_same_set(tmp_path):
    write_pairs(synthesizer(), NAMES, 10, tmp_path / "whole")

    def stop(done):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_pairs(synthesizer(), NAMES, 10, tmp_path / "broken", stop)
    assert not (tmp_path / "broken" / "manifest.jsonl").exists()
    kept = sorted((tmp_path / "broken" / "test").rglob("*.png"))
    assert len(kept) == 4
    times = [path.stat().st_mtime_ns for path in kept]
    # Killed between a mask and its image.
    kept[-1].unlink()
    write_pairs(synthesizer(), NAMES, 10, tmp_path / "broken")
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    assert [path.stat().st_mtime_ns for path in kept[:-1]] == times[:-1]


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        write_pairs(synthesizer(), NAMES, 2, tmp_path)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize(("seed", "count", "options"), [(1, 3, {}), (0, 4, {}), (0, 3, {"source": "cutpaste"})])
def test_another_set_in_the_folder_is_refused(tmp_path, seed, count, options):
    write_pairs(synthesizer(), NAMES, 3, tmp_path / "out")
    with pytest.raises(UserError, match="other settings"):
        write_pairs(synthesizer(seed, **options), NAMES, count, tmp_path / "out")


def test_a_torn_settings_file_is_refused(tmp_path):
    (tmp_path / "synthesis.json").write_text('{"seed":')
    with pytest.raises(UserError, match="other settings"):
        write_pairs(synthesizer(), NAMES, 3, tmp_path)


def test_a_file_in_the_place_of_the_folder_and_a_count_of_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        write_pairs(synthesizer(), NAMES, 3, tmp_path / "file")
    with pytest.raises(UserError, match="at least one"):
        write_pairs(synthesizer(), NAMES, 0, tmp_path / "out")
