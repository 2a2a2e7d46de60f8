"""``realnet import-official``, and what the run is good for afterwards."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import realnet.cli.import_command  # noqa: F401 - registers the command
from realnet.cli.app import main
from tests.data.layouts import make_mvtec
from tests.model.official_reference import OfficialRealNet

BLOCKS = [("block1", 4, {1: 8}), ("block2", 8, {2: 8})]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs ``realnet`` with arguments in this process: its status and what it printed, of one kind."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["realnet", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        status = end.value.code
        assert isinstance(status, int)
        return status, err if status else out

    return run


def test_from_a_checkpoint_to_figures(call: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = OfficialRealNet("resnet18", BLOCKS, unet=None, numbers=(4, 4)).eval()
    file, run, data = tmp_path / "ckpt_best.pth.tar", tmp_path / "run", make_mvtec(tmp_path / "data")
    torch.save({"epoch": 135, "state_dict": network.state_dict()}, file)

    status, said = call("import-official", file, "--output", run, "--image-size", "64")
    assert status == 0
    assert f"Imported {file} (epoch 135) as {run}: resnet18, simple of architecture A, channels 8, 8, 50.0% of" in said
    assert "threshold of 0.5 is not calibrated" in said
    assert "marked oracle" in said

    status, said = call("evaluate", run, data)
    assert status == 0, said
    (figures,) = json.loads((run / "metrics.json").read_text())["test"].values()
    assert figures["provenance"]["selection"] == "oracle"
    assert "oracle" in said
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "Imported from" in report and "good images, " not in report

    good = data / "widget" / "test" / "good"
    status, said = call("inspect", run, good, "--output", tmp_path / "out", "--threshold", "0.9")
    assert status == 0, said
    with (tmp_path / "out" / "results.csv").open(newline="") as table:
        assert len(list(csv.DictReader(table))) == 3


def test_refusals_are_one_sentence(call: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    file, run = tmp_path / "c.pth.tar", tmp_path / "run"
    torch.save({"fc.weight": torch.zeros(2)}, file)
    for arguments, sentence in (
        ((tmp_path / "nowhere", "--output", run), "There is no checkpoint"),
        ((file, "--output", run), f"{file} cannot be imported: it has no afs.indexes.*, which every"),
        ((file, "--output", tmp_path), "is in use; give --output a new folder."),
        ((file,), "Missing option '--output'"),
    ):
        status, said = call("import-official", *arguments)
        assert status == 2
        assert len(said.strip().splitlines()) == 1, said
        assert sentence in said
    assert not run.exists()
