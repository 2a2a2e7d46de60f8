import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.training.tiny import flags


def test_a_file_and_an_alignment_become_part_of_the_run(
    in_process: Callable[..., tuple[int, str]], product: Path, tmp_path: Path
) -> None:
    view = tmp_path / "view.json"
    view.write_text(json.dumps({"width": 64, "height": 64, "polygons": [[[8, 8], [56, 8], [56, 56], [8, 56]]]}))
    status, said = in_process(
        "train", product, "--output", tmp_path / "run", "--view", view, "--align", "rigid", *flags("training.steps=2")
    )
    assert status == 0
    assert "Images are aligned to" in said and "000.png" in said
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["view"]
    assert saved["align"] == "rigid" and saved["reference"] == "reference.png"
    assert saved["polygons"] == [[[0.125, 0.125], [0.875, 0.125], [0.875, 0.875], [0.125, 0.875]]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--align", "affine"], "shift or rigid, not 'affine'"),
        (["--reference", "photo.png"], "say how with --align"),
        (["--align", "shift", "--reference", "nowhere.png"], "does not exist"),
        (["--view", "nowhere.png"], "nowhere.png"),
        (["--set", "model.view.align=shift"], "needs an image to align to"),
    ],
)
def test_what_makes_no_sense_is_refused(
    in_process: Callable[..., tuple[int, str]], product: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    status, error = in_process("train", product, "--output", tmp_path / "run", *arguments, *flags())
    assert status == 2 and said in error
    assert not (tmp_path / "run").exists()
