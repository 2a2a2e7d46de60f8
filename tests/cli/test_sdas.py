"""``realnet sdas`` from end to end on miniature data, and what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.process import Finished
from tests.cli.test_commands import succeed
from tests.cli.test_errors import assert_refused
from tests.data.layouts import make_mvtec
from tests.diffusion.conftest import conditioned, diffusion, pair  # noqa: F401 - fixtures
from tests.diffusion.tiny import flags
from tests.training.tiny import flags as inspector_flags

Call = Callable[..., Finished]


def sheet(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_from_good_images_to_an_inspector(realnet: Call, product: Path, tmp_path: Path) -> None:
    model, sia, run = tmp_path / "model", tmp_path / "SIA", tmp_path / "run"
    call: list[str | Path] = ["sdas", "train", product, "--output", model, "--device", "cpu", "--seed", "4"]
    out = succeed(realnet(*call, *flags(), "--time-budget", "5m"))
    for part in ("0.2 M parameters", "Step 3: readiness", "Trained 6 steps", f"Next: realnet sdas grid {model}"):
        assert part in out
    assert json.loads((model / "model.json").read_text())["provenance"]["seed"] == 4

    call = ["sdas", "grid", model, "--strengths", "0,0.5", "--rows", "3", "--steps", "2"]
    succeed(realnet(*call, "--output", tmp_path / "a.png"))
    succeed(realnet(*call, "--output", tmp_path / "b.png"))
    succeed(realnet(*call, "--output", tmp_path / "c.png", "--sampler", "ddim", "--perturbation", "beta"))
    drawn = [sheet(tmp_path / f"{name}.png") for name in "abc"]
    assert drawn[0].shape == (20 + 3 * 164 + 4, 3 * 164 + 4, 3), "good images, s = 0, s = 0.5"
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])

    call = ["sdas", "sample", model, "--count", "6", "--output", sia, "--strength", "0.1:0.2"]
    assert f"Next: realnet train DATA --synthesis sia --source {sia}" in succeed(realnet(*call))
    lines = [json.loads(line) for line in (sia / "widget" / "manifest.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == sorted(path.name for path in (sia / "widget").glob("*.png"))
    assert all(0.1 <= line["strength"] <= 0.2 for line in lines)

    call = ["train", product, "--output", run, "--device", "cpu", "--synthesis", "sia", "--source", sia]
    succeed(realnet(*call, *inspector_flags()))

    call = ["sdas", "strength", model, run, "--strengths", "0,0.2,1", "--rows", "2", "--output", tmp_path / "s.png"]
    judged = succeed(realnet(*call))
    rows = [line for line in judged.splitlines() if line.rstrip(" │").endswith("%")]
    assert len(rows) == 3
    assert sheet(tmp_path / "s.png").shape == (20 + 4 * 132 + 4, 4 * 132 + 4, 3), "each image over its heat map"
    assert str(tmp_path / "s.png") in judged

    good = product / "widget" / "train" / "good"
    call = ["sdas", "quality", sia / "widget", good, "--data", product, "--size", "64", "--repeats", "1"]
    shown = succeed(realnet(*call, "--json", tmp_path / "quality.json"))
    measured = json.loads((tmp_path / "quality.json").read_text())
    assert list(measured) == [str(sia / "widget"), str(good)]
    assert str(sia / "widget")[:20] in shown.replace("\n", "")


def test_the_usual_strength(realnet: Call, diffusion: Path, tmp_path: Path) -> None:  # noqa: F811
    for sampler, low, high in (("iddpm", 1.0, 3.0), ("ddim", 0.1, 0.45)):
        call = ["sdas", "sample", diffusion, "--count", "4", "--output", tmp_path / sampler, "--sampler", sampler]
        assert f"s from {low:g} to {high:g}" in succeed(realnet(*call))
        manifest = next((tmp_path / sampler).glob("*/manifest.jsonl")).read_text()
        drawn = [json.loads(line)["strength"] for line in manifest.splitlines()]
        assert all(low <= s <= high for s in drawn) and len(set(drawn)) == 4
    succeed(realnet("sdas", "grid", diffusion, "--rows", "1", "--output", tmp_path / "grid.png"))
    assert sheet(tmp_path / "grid.png").shape[1] == 6 * 164 + 4, "good image, s = 0, 1, 2, 3, 6"


def test_two_products_and_guidance(realnet: Call, conditioned: Path, pair: Path, tmp_path: Path) -> None:  # noqa: F811
    model = Path(shutil.copytree(conditioned, tmp_path / "model"))
    assert "Classifier of 2 categories: loss" in succeed(realnet("sdas", "classifier", model, pair, "--steps", "2"))
    call: list[str | Path] = ["sdas", "sample", model, "--count", "1", "--steps", "2", "--category"]
    out = succeed(realnet(*call, "all", "--output", tmp_path / "SIA", "--guidance", "50"))
    assert "1 images of bolt" in out
    assert "1 images of nut" in out
    succeed(realnet(*call, "nut", "--output", tmp_path / "other"))
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["nut"]
    guided, free = (sheet(tmp_path / name / "nut" / "000000.png") for name in ("SIA", "other"))
    assert not np.array_equal(guided, free)


def test_interrupted_and_resumed(realnet: Call, product: Path, diffusion: Path, tmp_path: Path) -> None:  # noqa: F811
    """A call with --resume on a finished model says what it is; other settings are refused."""
    model = Path(shutil.copytree(diffusion, tmp_path / "model"))
    call = ["sdas", "train", product, "--output", model, "--device", "cpu", "--resume", *flags()]
    assert "Trained 6 steps" in succeed(realnet(*call))
    assert_refused(realnet(*call, "--seed", "1"), "its good images or its settings differ from this call's")
    assert_refused(realnet(*call[:-1], "training.steps=9"), "differ from this call's")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


# {model} knows widget and starts from good images, {pair} knows bolt and nut; {run} is an inspector of widget,
# {data} its data set; {out} does not exist before the call and not after it.
WRONG_CALLS: dict[str, tuple[str, str]] = {
    "preset": (
        "train {data} --preset litte --output {out}",
        "no preset 'litte' of sdas; choose one of paper, gpu, cpu",
    ),
    "field": ("train {data} --preset lite --set denoiser.size=64 --output {out}", "no field denoiser.size"),
    "sizes": ("train {data} --preset lite --set output_size=100 --output {out}", "output_size=100 must be a multiple"),
    "no start": ("train {data} --preset lite --set process.start=1 --output {out}", "process.start below 1"),
    "patch": ("train {data} --preset lite --set denoiser.patch=3 --output {out}", "denoiser.patch"),
    "data": ("train {data}/nowhere --output {out}", "nowhere does not exist; check the path."),
    "category": ("train {data} --category wodget --output {out}", "has no category wodget"),
    "duration": ("train {data} --time-budget soon --output {out}", "'soon' is no duration"),
    "device of training": ("train {data} --preset lite --device abacus --output {out}", "no device 'abacus'"),
    "init": ("train {data} --preset lite --init {out}.pt --output {out}", "cannot start from {out}.pt"),
    "output in use": ("train {data} --preset lite --output {model}", "already holds a diffusion model"),
    "output of something else": ("train {data} --preset lite --output {data}", "is not empty (it holds widget)"),
    "an inspector as output": ("train {data} --output {run}", "config.yaml is no configuration of a diffusion model"),
    "memory": (
        "train {data} --preset paper --device cpu --set training.batch_size=100000 --output {out}",
        "GiB: lower training.batch_size=100000 and raise training.accumulate, or choose a smaller preset",
    ),
    "strengths the wrong way": (
        "sample {model} --count 1 --strength 0.2:0.1 --output {out}",
        "'0.2:0.1' is no strength: write 0.1, or 0.1:0.2, with numbers from 0 on, the lower first.",
    ),
    "negative": ("sample {model} --count 1 --strength -1 --output {out}", "'-1' is no strength"),
    "not a number": ("sample {model} --count 1 --strength nan --output {out}", "'nan' is no strength"),
    "three": ("sample {model} --count 1 --strength 0:0.1:0.2 --output {out}", "'0:0.1:0.2' is no strength"),
    "commas": ("grid {model} --strengths 0,,1 --output {out}.png", "'0,,1' is no strength: write 0,0.1,0.2, with"),
    "missing": ("sample {out} --count 1 --output {out}", "does not exist. Give the --output folder of `realnet sdas"),
    "no model": ("sample {empty} --count 1 --output {out}", "is no diffusion model: it has no config.yaml."),
    "an inspector": ("sample {run} --count 1 --output {out}", "is no configuration of a diffusion model"),
    "count": ("sample {model} --count 0 --output {out}", "Invalid value for '--count'"),
    "steps": ("sample {model} --count 1 --steps 0 --output {out}", "Invalid value for '--steps'"),
    "unknown category": (
        "sample {model} --count 1 --category screw --output {out}",
        "was not trained on screw: give --category, one of widget.",
    ),
    "which category": ("sample {pair} --count 1 --output {out}", "knows several categories: give --category, one of"),
    "sampler": ("sample {model} --count 1 --sampler plms --output {out}", "no sampler 'plms': use iddpm or ddim."),
    "perturbation": ("grid {model} --perturbation none --output {out}.png", "no perturbation 'none': use beta"),
    "guidance": (
        "sample {pair} --category nut --count 1 --guidance 2 --output {out}",
        "has no classifier to guide by: train one with `realnet sdas classifier`.",
    ),
    "device": ("sample {model} --count 1 --device abacus --output {out}", "no device 'abacus' here"),
    "images below a file": ("sample {model} --count 1 --output {data}/widget/license.txt", "Cannot write"),
    "images of something else": (
        "sample {model} --count 1 --output {data}",
        "is not empty and holds no images of this command",
    ),
    "grid's kind": ("grid {model} --output {out}.jpg", "written as PNG: name --output something.png, not out.jpg."),
    "strength's kind": ("strength {model} {run} --output {out}.gif", "written as PNG"),
    "rows": ("grid {model} --rows 0 --output {out}.png", "Invalid value for '--rows'"),
    "sheet below a file": ("grid {model} --output {data}/widget/license.txt/a.png --rows 1 --steps 1", "Cannot write"),
    "no inspector": ("strength {model} {empty} --output {out}.png", "is no trained run: it has no config.yaml."),
    "one category": ("classifier {model} {data} --steps 1", "knows one category only"),
    "other data": ("classifier {pair} {data} --steps 1", "The data has no category bolt, which"),
    "no images to judge": ("quality {empty} --data {data}", "holds no images"),
    "no defects to compare with": ("quality {data} --data {data}/widget/train/good", "has no good test images"),
    "command": ("smaple {model}", "No such command 'smaple'."),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_wrong_calls(
    realnet: Call,
    product: Path,
    trained: Path,
    diffusion: Path,  # noqa: F811
    conditioned: Path,  # noqa: F811
    empty: Path,
    tmp_path: Path,
    case: str,
) -> None:
    call, sentence = WRONG_CALLS[case]
    places = {"data": product, "run": trained, "model": diffusion, "pair": conditioned, "empty": empty}
    places["out"] = tmp_path / "out"
    kept = (product, trained, diffusion, conditioned)
    before = {path: path.stat().st_mtime_ns for folder in kept for path in folder.rglob("*")}
    finished = realnet("sdas", *(part.format(**places) for part in call.split()))
    expected = [sentence.format(**places)]
    if case == "no defects to compare with":
        expected.append("has no defective test images")
    assert_refused(finished, *expected)
    assert list(tmp_path.iterdir()) == []
    assert list(empty.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for folder in kept for path in folder.rglob("*")} == before


def test_other_settings_in_the_same_folder(realnet: Call, diffusion: Path, tmp_path: Path) -> None:  # noqa: F811
    call: list[str | Path] = ["sdas", "sample", diffusion, "--output", tmp_path, "--steps", "1", "--batch-size", "1"]
    succeed(realnet(*call, "--count", "1"))
    succeed(realnet(*call, "--count", "2"))
    assert_refused(realnet(*call, "--count", "2", "--seed", "1"), "holds images of another model, seed, strength")
    names = {path.name for path in (tmp_path / "widget").iterdir()}
    assert names == {"000000.png", "000001.png", "manifest.jsonl", "sia.json"}


def test_damaged_models(realnet: Call, diffusion: Path, tmp_path: Path) -> None:  # noqa: F811
    model = Path(shutil.copytree(diffusion, tmp_path / "model"))
    call: list[str | Path] = ["sdas", "sample", model, "--count", "1", "--output", tmp_path / "out"]
    shutil.rmtree(model / "good")
    assert_refused(realnet(*call), "this model starts from good images: copy it back or train again.")
    whole = (model / "denoiser.safetensors").read_bytes()
    (model / "denoiser.safetensors").write_bytes(whole[:-100])
    assert_refused(realnet(*call), "denoiser.safetensors is damaged or no safetensors file")
    (model / "denoiser.safetensors").unlink()
    assert_refused(realnet(*call), "its training has not finished. Continue it with --resume.")
    assert not (tmp_path / "out").exists()


def test_each_damaged_image_is_named(realnet: Call, tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set")
    for name in ("000.png", "001.png"):
        file = data / "widget" / "train" / "good" / name
        file.write_bytes(file.read_bytes()[:80])
    finished = realnet("sdas", "train", data, "--output", tmp_path / "model", *flags())
    assert_refused(finished, "000.png", "001.png")
    assert not (tmp_path / "model").exists()
