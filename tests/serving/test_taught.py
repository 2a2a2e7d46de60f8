"""A server whose run is taught meanwhile."""

import shutil
import time
from pathlib import Path

import numpy as np
import requests

from realnet.calibrations import undo
from realnet.run_folder import Run
from realnet.serving import open_models
from realnet.training.teaching import learn, save_lesson
from tests.data.layouts import picture
from tests.serving.conftest import as_png, serving


def test_the_new_version_is_taken_up_and_every_answer_names_its_own(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    rng = np.random.default_rng(4)
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file in files:
        file.write_bytes(as_png((picture(rng)[0] * 0.4).astype(np.uint8)))
    digest, sent = Run(run).digest, files[0].read_bytes()
    with serving(open_models([str(run)])) as address:

        def judged() -> dict[str, object]:
            answer = requests.post(f"{address}/v1/inspect", files={"image": sent}, timeout=30).json()
            return {name: answer[name] for name in ("model_digest", "calibration", "threshold", "score")}

        def until(wanted: str) -> dict[str, object]:
            for _ in range(200):
                found = judged()
                if found["model_digest"] == wanted:
                    return found
                assert found == before, "the version before, until the new one is there"
                time.sleep(0.05)
            raise AssertionError("not taken up")

        before = judged()
        assert before["model_digest"] == digest
        made = save_lesson(run, learn(run, files, [file.name for file in files]))
        after = until(Run(run).digest)
        assert (after["calibration"], after["threshold"]) == (2, made.score) and after["score"] != before["score"]
        before = after
        undo(run)
        again = until(digest)
        assert again["calibration"] == 1
