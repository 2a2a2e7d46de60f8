"""``realnet import-official``, and what the run is good for afterwards."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import torch

import realnet.cli.import_command  # noqa: F401 - registers the command
from tests.data.layouts import make_mvtec
from tests.model.official_reference import OfficialRealNet

BLOCKS = [("block1", 4, {1: 8}), ("block2", 8, {2: 8})]


def test_from_a_checkpoint_to_figures(in_process: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = OfficialRealNet("resnet18", BLOCKS, unet=None, numbers=(4, 4)).eval()
    file, run, data = tmp_path / "ckpt_best.pth.tar", tmp_path / "run", make_mvtec(tmp_path / "data")
    torch.save({"epoch": 135, "state_dict": network.state_dict()}, file)

    status, said = in_process("import-official", file, "--output", run, "--size", "64")
    assert status == 0
    assert f"Imported {file} (epoch 135) as {run}: resnet18, simple of architecture A, channels 8, 8, 50.0% of" in said
    assert "threshold of 0.5 is not calibrated" in said
    assert "marked oracle" in said

    status, said = in_process("evaluate", run, data)
    assert status == 0, said
    (figures,) = json.loads((run / "metrics.json").read_text())["test"].values()
    assert figures["provenance"]["selection"] == "oracle"
    assert "oracle" in said
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "Imported from" in report and "good images, " not in report

    good = data / "widget" / "test" / "good"
    status, said = in_process("inspect", run, good, "--output", tmp_path / "out", "--threshold", "0.9")
    assert status == 0, said
    with (tmp_path / "out" / "results.csv").open(newline="") as table:
        assert len(list(csv.DictReader(table))) == 3


def test_refusals_are_one_sentence(in_process: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    file, run = tmp_path / "c.pth.tar", tmp_path / "run"
    torch.save({"fc.weight": torch.zeros(2)}, file)
    for arguments, sentence in (
        ((tmp_path / "nowhere", "--output", run), "There is no checkpoint"),
        ((file, "--output", run), f"{file} cannot be imported: it has no afs.indexes.*, which every"),
        ((file, "--output", tmp_path), "is in use; give --output a new folder."),
        ((file,), "Missing option '--output'"),
    ):
        status, said = in_process("import-official", *arguments)
        assert status == 2
        assert len(said.strip().splitlines()) == 1, said
        assert sentence in said
    assert not run.exists()
