"""What a run is measured on."""

import shutil
from pathlib import Path

import numpy as np

from realnet.progress import Watcher
from realnet.run_folder import Run
from realnet.tested import choose_tests
from tests.data.layouts import make_good, picture, save


def test_good_images_that_were_kept_back_are_all_judged(trained: Path, product: Path, tmp_path: Path) -> None:
    kept, rng = tmp_path / "kept", np.random.default_rng(21)
    make_good(kept / "good", 10, rng)
    save(kept / "dent" / "000.png", picture(rng, defect=True)[0])
    (only,) = choose_tests(trained, kept, None, (), False, Watcher()).categories
    assert (len(only.test), len(only.train)) == (11, 0)
    assert {sample.split for sample in only.test} == {"test"}
    assert Run(trained).other_sizes([sample.image for sample in only.test]) == []
    wide = save(tmp_path / "wide.png", np.zeros((64, 128, 3), np.uint8))
    (said,) = Run(trained).other_sizes([wide, *(sample.image for sample in only.test)])
    assert said.startswith(f"{wide} has another size than the images that the run was trained on")
    for number, file in enumerate(sorted((product / "widget" / "train" / "good").iterdir())):
        shutil.copy(file, kept / "good" / f"old_{number}.png")
    (mixed,) = choose_tests(trained, kept, None, (), True, Watcher()).categories
    assert {sample.image.name for sample in mixed.train} <= {f"old_{number}.png" for number in range(6)}
    assert sum(not sample.image.name.startswith("old") for sample in mixed.test) == 11
