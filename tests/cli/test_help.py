"""Help, and what is answered without loading torch."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.process import Finished

COMMANDS = {
    "demo": ["--fast"],
    "train": ["DATA", "--category", "--preset", "--synthesis", "--source", "--time-budget", "--seed", "--output"],
    "info": ["RUN"],
    "presets": ["--quiet", "--verbose"],
    "evaluate": ["RUN", "DATA", "--category", "--json", "--maps"],
    "benchmark": ["PLAN", "--data", "--output", "--only", "--category", "--seeds", "--preset", "--init", "--alexnet"],
    "export": ["RUN", "--format", "--images", "--data", "--tolerance", "--output"],
    "import-official": ["FILE", "--output", "--size", "--mode", "--image-score"],
    "calibrate": ["RUN", "GOOD", "--false-alarms"],
    "score": ["MAPS_DIR", "DATA", "--category", "--scores", "--json"],
    "inspect": ["RUN", "IMAGES", "--output"],
    "afs": ["RUN", "DATA", "--category", "--defect", "--output"],
    "preview": ["DATA", "--category", "--synthesis", "--generated", "--output"],
    "synthesize": ["DATA", "--category", "--synthesis", "--count", "--seed", "--output"],
    "sdas train": ["DATA", "--category", "--preset", "--init", "--time-budget", "--seed", "--resume", "--output"],
    "sdas sample": ["MODEL", "--count", "--category", "--strength", "--steps", "--sampler", "--guidance", "--output"],
    "sdas build": ["ROOT", "--count", "--preset", "--init", "--time-budget", "--ray", "--output"],
    "sdas grid": ["MODEL", "--category", "--strengths", "--rows", "--local", "--seed", "--output"],
    "sdas classifier": ["MODEL", "DATA", "--steps", "--device"],
    "sdas strength": ["MODEL", "RUN", "--category", "--strengths", "--rows", "--output"],
    "sdas quality": ["IMAGES", "--data", "--category", "--sample", "--repeats", "--download", "--json"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(realnet: Callable[..., Finished], command: str) -> None:
    finished = realnet(*command.split(), "--help")
    assert (finished.status, finished.err) == (0, "")
    for name in COMMANDS[command]:
        assert name in finished.out or name.lower() in finished.out


def test_the_commands_are_listed(realnet: Callable[..., Finished]) -> None:
    finished = realnet("--help")
    assert finished.status == 0
    assert all(command.split()[0] in finished.out for command in COMMANDS)
    bare = realnet()
    assert "Usage" in bare.out + bare.err, "without arguments: the help"


def test_the_commands_of_a_group_are_listed(realnet: Callable[..., Finished]) -> None:
    finished = realnet("sdas", "--help")
    assert finished.status == 0
    of_group = [command.split()[1] for command in COMMANDS if command.startswith("sdas ")]
    assert of_group
    assert all(command in finished.out for command in of_group)
    bare = realnet("sdas")
    assert "Usage: realnet sdas" in bare.out + bare.err, "without arguments: the help"


QUICK = """
import contextlib, io, sys
from realnet.cli import main

for arguments in {calls!r}:
    sys.argv = ["realnet", *arguments]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as text:
        try:
            main()
        except SystemExit as end:
            assert end.code in (0, 2), (arguments, end.code, text.getvalue())
    heavy = {{"torch", "lightning", "timm", "scipy", "skimage", "matplotlib"}} & set(sys.modules)
    assert not heavy, (arguments, heavy)
"""


def test_quick_answers_do_not_load_torch(tmp_path: Path) -> None:
    calls = [
        ["--help"],
        ["sdas", "--help"],
        *([*command.split(), "--help"] for command in COMMANDS),
        ["train", "nowhere", "--output", str(tmp_path / "run")],
        ["train", str(tmp_path), "--output", str(tmp_path / "run")],
        ["train", str(tmp_path), "--output", str(tmp_path / "run"), "--time-budget", "soon"],
        ["preview", "nowhere", "--output", str(tmp_path / "sheet.png")],
        ["synthesize", "nowhere", "--count", "3", "--output", str(tmp_path / "pairs")],
        ["evaluate", "nowhere", str(tmp_path)],
        ["score", "nowhere", str(tmp_path)],
        ["calibrate", "nowhere", str(tmp_path)],
        ["benchmark", "table1", "--data", "nowhere", "--output", str(tmp_path / "lab")],
        ["benchmark", "table1", "--data", str(tmp_path), "--seeds", "many", "--output", str(tmp_path / "lab")],
        ["inspect", "nowhere", str(tmp_path), "--output", str(tmp_path / "out")],
        ["sdas", "train", "nowhere", "--output", str(tmp_path / "model")],
        ["sdas", "train", str(tmp_path), "--output", str(tmp_path / "model"), "--time-budget", "soon"],
        ["sdas", "sample", "nowhere", "--count", "3", "--strength", "much", "--output", str(tmp_path / "sia")],
        ["sdas", "grid", "nowhere", "--output", str(tmp_path / "grid.jpg")],
        ["sdas", "classifier", str(tmp_path), "nowhere"],
        ["sdas", "strength", str(tmp_path), "nowhere", "--output", str(tmp_path / "sheet.png")],
        ["sdas", "quality", str(tmp_path), "--data", "nowhere"],
        ["sdas", "nonsense"],
        ["nonsense"],
    ]
    subprocess.run([sys.executable, "-c", QUICK.format(calls=calls)], check=True, timeout=240)
    assert list(tmp_path.iterdir()) == []


def test_python_m_realnet() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "realnet", "train"], capture_output=True, text=True, timeout=240, check=False
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith("Error: Missing")
    assert "realnet train --help" in finished.stderr
