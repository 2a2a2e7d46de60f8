"""RealNet from Python: the same names and defaults as the commands, and the same results."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import realnet
import realnet.cli
from realnet.cli.app import app
from realnet.errors import UserError
from tests.data.layouts import make_good
from tests.training.tiny import FIELDS

FUNCTIONS = ("train", "evaluate", "inspect", "calibrate", "teach", "export", "synthesize")
# Options of the commands that have another name in Python, or none: what runs without an end, or prints.
RENAMED = {"assignments": "set", "config_file": "config", "json_file": "json", "form": "format", "formats": "format"}
ONLY_COMMANDS = {"watch", "sink", "signals", "heartbeat", "fail_on_anomaly", "ray", "ray_cpus", "ray_gpus"}
ONLY_COMMANDS |= {"quiet", "verbose", "log_level", "log_json", "history", "keep_days", "keep_images", "keep_size"}
ONLY_COMMANDS |= {"feedback", "dry_run", "versions", "undo"}


def tiny_fields() -> dict[str, Any]:
    return {name: json.loads(value) for name, value in (field.split("=") for field in FIELDS if "weak" not in field)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_take_what_the_commands_take(name: str) -> None:
    for module in pkgutil.iter_modules(realnet.cli.__path__):
        importlib.import_module(f"realnet.cli.{module.name}")
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    asked = {RENAMED.get(parameter.name, parameter.name): parameter for parameter in command.params}
    taken = inspect.signature(getattr(realnet, name)).parameters
    assert set(taken) - set(asked) <= {"progress", "device", "fields"}
    assert set(asked) - set(taken) <= ONLY_COMMANDS
    for option in set(asked) & set(taken) - {"device", "preset", "format", "overlays", "output"}:
        default = taken[option].default
        if isinstance(asked[option].default, bool | int | float | str):
            assert default == asked[option].default, option
        elif not asked[option].required:
            assert default in (None, (), inspect.Parameter.empty), option


def test_tab_completion_shows_what_there_is() -> None:
    assert {"load", "train", "RealNet", *FUNCTIONS} <= set(dir(realnet))
    assert all(hasattr(realnet, name) for name in dir(realnet))


def test_the_package_is_imported_without_torch_and_keeps_its_functions() -> None:
    code = (
        "import sys, realnet; assert not {'torch', 'matplotlib', 'tqdm', 'cv2'} & set(sys.modules);"
        "from realnet.export.request import FORMATS; assert realnet.export.__module__ == 'realnet.api.making'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_from_images_to_verdicts(product: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    inspector = realnet.train(
        product / "widget", run, device="cpu", seed=3, time_budget=60.0, false_alarms="10%",
        training={"augmentation": "weak"}, **tiny_fields(),
    )  # fmt: skip
    pictures = product / "widget" / "test"
    assert [row["score"] for row in inspector(pictures)] == [row["score"] for row in realnet.load(run, "cpu")(pictures)]
    assert inspector.config.seed == 3
    assert (inspector.config.training.steps, inspector.config.training.false_alarms) == (6, 0.1)
    assert "Training" in capfd.readouterr().err
    with pytest.raises(UserError, match="already holds a run"):
        realnet.train(product / "widget", run, device="cpu", seed=3, progress=False, **tiny_fields())

    results = realnet.evaluate(run, product, device="cpu", json=tmp_path / "figures.json", progress=False)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures == json.loads(results.to_json())
    assert list(run.glob("report*.html"))
    assert capfd.readouterr().out + capfd.readouterr().err == ""

    rows = realnet.inspect(run, product / "widget" / "test", tmp_path / "results", threshold=0.2, device="cpu")
    assert rows == json.loads(json.dumps(rows)) or rows[0]["regions"] is not None
    table = json.loads((tmp_path / "results" / "results.json").read_text())
    assert [row["score"] for row in rows] == [row["score"] for row in table]
    assert {row["threshold"] for row in rows} == {0.2}
    again = realnet.inspect(
        run, product / "widget" / "test", tmp_path / "results", threshold=0.2, device="cpu", resume=True, progress=False
    )
    assert again == rows

    good = make_good(tmp_path / "good", 5, np.random.default_rng(12))
    calibration = realnet.calibrate(run, good, false_alarms=0.25, device="cpu")
    assert calibration.asked == 0.25
    assert realnet.load(run).threshold == calibration.score
    assert "0.25" in str(calibration.asked)


def test_mistakes_are_sentences(product: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no field training\.stepps"):
        realnet.train(product, tmp_path / "a", progress=False, training={"stepps": 1})
    with pytest.raises(UserError, match="no preset 'lit'"):
        realnet.train(product, tmp_path / "a", progress=False, preset="lit")
    with pytest.raises(UserError, match="no protocol"):
        realnet.evaluate(trained, product, protocol="exakt")
    with pytest.raises(UserError, match="is no trained run"):
        realnet.inspect(tmp_path, product, tmp_path / "results")
    with pytest.raises(UserError, match="were trained on"):
        realnet.calibrate(trained, product / "widget" / "train", false_alarms=0.2, device="cpu", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_pairs_are_those_of_the_command(product: Path, tmp_path: Path) -> None:
    manifest = realnet.synthesize(product, 3, tmp_path / "pairs", synthesis="cutpaste", seed=5, size=64, progress=False)
    call = [
        sys.executable,
        "-m",
        "realnet",
        "synthesize",
        str(product),
        "--count",
        "3",
        "--output",
        str(tmp_path / "b"),
    ]
    subprocess.run([*call, "--synthesis", "cutpaste", "--seed", "5", "--size", "64"], check=True, capture_output=True)
    assert manifest.read_text() == (tmp_path / "b" / manifest.name).read_text()
    first = json.loads(manifest.read_text().splitlines()[0])
    pictures = [path for path in manifest.parent.rglob("*.png") if "test" in path.parts]
    assert (len(pictures), first["seed"]) == (3, 5)
