"""Two processes on one machine, over gloo, from the command line. Each loads torch for itself, hence slow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from realnet import load
from tests.training.test_run import rows
from tests.training.tiny import flags


@pytest.mark.slow
@pytest.mark.parametrize("budget", [(), ("--time-budget", "14s")], ids=["steps", "time budget"])
def test_two_processes_end_with_the_same_weights(product: Path, tmp_path: Path, budget: tuple[str, ...]) -> None:
    root = Path(__file__).resolve().parents[2]
    output = tmp_path / "run"
    steps = "training.steps=100000" if budget else "training.steps=6"
    command: list[str | Path] = [sys.executable, "-m", "tests.training.ddp_script", "train", product]
    command += ["--output", output, "--device", "cpu", "--devices", "2", "--strategy", "ddp", *budget]
    finished = subprocess.run(
        [*command, *flags(steps, "training.validation_every=2")],
        cwd=root,
        env=os.environ | {"REALNET_TEST_STATES": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("The inspector is") == 1, "only the first process talks"
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different
    saved = load_file(output / "model.safetensors")
    assert all(torch.equal(saved[name], first[name]) for name in saved)
    facts = []
    for rank in (0, 1):
        with safe_open(tmp_path / f"{rank}.safetensors", framework="pt") as file:
            facts.append(file.metadata())
    assert facts[0] == facts[1]
    assert rows(output)[-1]["step"] == facts[0]["steps"]
    load(output)
