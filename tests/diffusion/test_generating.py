"""Sets of anomaly images: the same whatever interrupted them, each with its origin."""

import hashlib
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from realnet.data import open_dataset, read_image
from realnet.diffusion.classifier_training import train_classifier
from realnet.diffusion.generating import (
    Request,
    sample_numbers,
    sample_set,
    start_of,
    strength_of,
    to_images,
)
from realnet.diffusion.model_folder import DiffusionModel, load_diffusion
from realnet.errors import UserError
from realnet.synthesis.sia import generated_images
from tests.cli.process import Started
from tests.diffusion.tiny import plain, squares, tiny, untrained

REQUEST = Request(0.1, 0.2, steps=2, seed=3, batch=4)


@pytest.fixture(scope="module")
def model(diffusion: Path) -> DiffusionModel:
    return load_diffusion(diffusion)


@pytest.fixture(scope="module")
def whole(model: DiffusionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of six, to be read only."""
    output = tmp_path_factory.mktemp("sets") / "SIA"
    sample_set(model, "widget", REQUEST, 6, output)
    return output / "widget"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def images(model: DiffusionModel, request: Request, strength: float = 0.0, count: int = 3) -> np.ndarray:
    """Images 0 .. count - 1, all from the same good image where the model needs one."""
    starts = None if model.config.process.start >= 1 else squares(1, model.config.size) * count
    numbers = list(range(count))
    return to_images(sample_numbers(model, request, numbers, [0] * count, [strength] * count, starts))


def test_the_manifest_names_the_origin_of_each(model: DiffusionModel, whole: Path, diffusion: Path) -> None:
    assert set(content(whole)) == {"sia.json", "manifest.jsonl", *(f"{n:06d}.png" for n in range(6))}
    digest = hashlib.sha256((diffusion / "denoiser.safetensors").read_bytes()).hexdigest()
    names = sorted(path.name for path in (diffusion / "good" / "widget").iterdir())
    for number, line in enumerate(lines(whole)):
        assert line == {
            "number": number,
            "file": f"{number:06d}.png",
            "category": "widget",
            "seed": 3,
            "strength": strength_of(REQUEST, number),
            "steps": 2,
            "sampler": "iddpm",
            "good": names[start_of(REQUEST, number, len(names))],
            "model_sha256": digest,
        }
        with Image.open(whole / line["file"]) as image:
            assert (image.size, image.mode) == ((64, 64), "RGB")
    assert json.loads((whole / "sia.json").read_text())["perturbation"] == "learned"
    assert generated_images(whole.parent, None, whole.parent) == whole.parent, "training finds it"


def test_each_image_has_a_strength_of_its_own() -> None:
    drawn = [strength_of(REQUEST, number) for number in range(500)]
    assert 0.1 <= min(drawn) < 0.101 < 0.199 < max(drawn) <= 0.2
    assert np.mean(drawn) == pytest.approx(0.15, abs=0.005)
    assert len(set(drawn)) == 500
    assert strength_of(replace(REQUEST, seed=4), 0) != drawn[0]
    assert strength_of(Request(0.3, 0.3), 7) == 0.3
    starts = [start_of(REQUEST, number, 5) for number in range(500)]
    assert set(starts) == set(range(5))


def test_the_strength_in_the_manifest_is_the_images_own(model: DiffusionModel, whole: Path) -> None:
    """Made again from the manifest's line alone."""
    wanted = lines(whole)[:4]
    goods = [read_image(model.folder / "good" / "widget" / line["good"]) for line in wanted]
    numbers, strengths = [line["number"] for line in wanted], [line["strength"] for line in wanted]
    made = to_images(sample_numbers(model, REQUEST, numbers, [0] * 4, strengths, goods))
    for line, image in zip(wanted, made, strict=True):
        assert np.array_equal(read_image(whole / line["file"]), image)


@pytest.mark.parametrize("lost", [["manifest.jsonl"], ["000001.png", "000005.png"], [f"{n:06d}.png" for n in range(6)]])
def test_what_is_missing_is_made_again(model: DiffusionModel, whole: Path, tmp_path: Path, lost: list[str]) -> None:
    folder = tmp_path / "widget"
    folder.mkdir()
    for name, data in content(whole).items():
        if name not in lost:
            (folder / name).write_bytes(data)
    sample_set(model, "widget", REQUEST, 6, tmp_path)
    assert content(folder) == content(whole)


def test_what_is_there_is_not_made_again(model: DiffusionModel, tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "widget"
    folder.mkdir()
    for name, data in content(whole).items():
        (folder / name).write_bytes(data)
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    (folder / "000002.png").unlink()
    done: list[int] = []
    sample_set(model, "widget", REQUEST, 6, tmp_path, done.append)
    again = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    assert [name for name in times if times[name] != again[name]] == ["000002.png"]
    assert done == [5, 6]


@pytest.mark.skipif(os.name != "posix", reason="sends signals as POSIX has them")
def test_after_kill_9_the_same_set_comes_out(diffusion: Path, whole: Path, tmp_path: Path) -> None:
    call: list[str | Path] = ["sdas", "sample", diffusion, "--count", "6", "--output", tmp_path / "SIA"]
    call += ["--seed", "3", "--steps", "2", "--batch-size", "4", "--strength", f"{REQUEST.low}:{REQUEST.high}"]
    started = Started(call, tmp_path)
    folder = tmp_path / "SIA" / "widget"
    end = time.monotonic() + 240
    while not (folder / "000000.png").is_file():
        assert time.monotonic() < end, "waited in vain"
        assert started.process.is_alive(), started.files[1].read_text()
        time.sleep(0.001)
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait().status == -signal.SIGKILL
    assert not (folder / "manifest.jsonl").exists(), "it says that a set is whole"
    there = {path.name: path.read_bytes() for path in folder.glob("0*.png")}
    assert there.items() <= content(whole).items(), "an image is whole or is not there"

    again = Started(call, tmp_path).wait()
    assert (again.status, again.err) == (0, "")
    left = {name: data for name, data in content(folder).items() if ".part" not in name}
    assert left == content(whole)


@pytest.mark.parametrize("count", [1, 4, 5])
def test_a_larger_set_begins_with_the_smaller(model: DiffusionModel, whole: Path, tmp_path: Path, count: int) -> None:
    seen: list[int] = []
    hook = model.denoiser.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    sample_set(model, "widget", REQUEST, count, tmp_path)
    hook.remove()
    assert set(seen) == {4}, "a network's rounding depends on how many it sees at a time"
    small = content(tmp_path / "widget")
    assert sorted(small) == [*(f"{n:06d}.png" for n in range(count)), "manifest.jsonl", "sia.json"]
    assert lines(tmp_path / "widget") == lines(whole)[:count]
    assert all(data == content(whole)[name] for name, data in small.items() if name != "manifest.jsonl")
    sample_set(model, "widget", REQUEST, 6, tmp_path)
    assert content(tmp_path / "widget") == content(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"high": 0.3},
        {"steps": 3},
        {"batch": 2},
        {"sampler": "ddim"},
        {"perturbation": "beta"},
        {"guidance": 1.0},
    ],
)
def test_other_settings_are_not_mixed_into_a_set(model: DiffusionModel, whole: Path, change: dict[str, Any]) -> None:
    before = content(whole)
    with pytest.raises(UserError, match="holds images of another model, seed, strength, batch or number of steps"):
        sample_set(model, "widget", replace(REQUEST, **change), 6, whole.parent)
    assert content(whole) == before


def test_a_smaller_count_does_not_disown_images(model: DiffusionModel, whole: Path) -> None:
    before = content(whole)
    with pytest.raises(UserError, match="holds 6 images of this set already: ask for as many or more, not 5"):
        sample_set(model, "widget", REQUEST, 5, whole.parent)
    assert content(whole) == before


def test_folders_that_are_no_set(model: DiffusionModel, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another model, seed"):
        sample_set(replace(model, sha256="1" * 64), "widget", REQUEST, 6, whole.parent)
    (tmp_path / "widget").mkdir()
    (tmp_path / "widget" / "holiday.jpg").write_text("mine")
    with pytest.raises(UserError, match="is not empty and holds no images of this command"):
        sample_set(model, "widget", REQUEST, 1, tmp_path)
    (tmp_path / "widget" / "sia.json").write_text("{")
    with pytest.raises(UserError, match="choose another --output"):
        sample_set(model, "widget", REQUEST, 1, tmp_path)
    with pytest.raises(UserError, match="is a file: choose a folder"):
        sample_set(untrained(plain(), ["holiday.jpg"]), "holiday.jpg", REQUEST, 1, tmp_path / "widget")
    assert sorted(path.name for path in (tmp_path / "widget").iterdir()) == ["holiday.jpg", "sia.json"]


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    """But for rounding: batches of other sizes are other sets."""
    model = untrained(plain())
    together = images(model, REQUEST, 0.2).astype(int)
    alone = to_images(sample_numbers(model, REQUEST, [2], [0], [0.2])).astype(int)
    assert np.abs(together[2] - alone[0]).max() <= 1
    assert np.abs(together[0] - together[1]).max() > 50


@pytest.mark.parametrize("config", [plain(), tiny()], ids=["from noise", "from good images"])
def test_strength_zero_is_reproducible_and_strength_changes_it(config: Any) -> None:
    model = untrained(config)
    calm = images(model, replace(REQUEST, steps=5))
    assert np.array_equal(calm, images(model, replace(REQUEST, steps=5)))
    assert not np.array_equal(calm, images(model, replace(REQUEST, steps=5, seed=4)))
    changes = [
        np.abs(images(model, replace(REQUEST, steps=5), strength).astype(int) - calm).mean()
        for strength in (0.1, 0.4, 1.6)
    ]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_samples_start_from_the_good_image() -> None:
    """The network knows nothing of it, and still the picture is there."""
    model = untrained(tiny("process.steps=1000", "process.start=0.02"))
    (good,) = squares(1, 64)
    made = images(model, REQUEST).astype(float)
    assert np.corrcoef(made.mean(0).ravel(), good.ravel())[0, 1] > 0.9


def test_every_way_of_sampling_is_another() -> None:
    model = untrained(plain())
    ways = [replace(REQUEST, steps=5)]
    ways += [replace(ways[0], sampler="ddim", perturbation=kind) for kind in ("beta", "posterior", "learned")]
    strong = [images(model, way, 0.5) for way in ways]
    assert len({made.tobytes() for made in strong}) == 4
    calm = [images(model, way) for way in ways]
    assert len({made.tobytes() for made in calm}) == 2, "without strength, ddim has nothing to perturb"


def test_levels_are_rounded_to_the_nearest() -> None:
    levels = torch.arange(256)
    exact = (levels / 127.5 - 1).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    for offset in (0.0, 0.4 / 127.5, -0.4 / 127.5):
        assert np.array_equal(to_images(exact + offset)[0, ..., 1].ravel(), levels.numpy())
    beyond = torch.tensor([-1.5, 1.5]).view(2, 1, 1, 1).expand(2, 3, 2, 2)
    assert to_images(beyond)[:, 0, 0, 0].tolist() == [0, 255]
    channels = torch.tensor([-1.0, 0.2, 1.0]).view(1, 3, 1, 1).bfloat16()
    assert to_images(channels)[0, 0, 0].tolist() == [0, 153, 255]


def test_two_categories_are_two_sets(conditioned: Path, tmp_path: Path) -> None:
    model = load_diffusion(conditioned)
    for name in model.categories:
        sample_set(model, name, REQUEST, 2, tmp_path)
    for name in ("bolt", "nut"):
        assert [(line["category"], line["good"]) for line in lines(tmp_path / name)] == [(name, None)] * 2
    assert model.category_number("nut") == 1
    with pytest.raises(UserError, match="knows several categories: give --category, one of bolt, nut"):
        model.category_number(None)
    with pytest.raises(UserError, match="was not trained on screw: give --category, one of bolt, nut"):
        sample_set(model, "screw", REQUEST, 1, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_category_reaches_the_network() -> None:
    model = untrained(plain("denoiser.categories=2"), ("bolt", "nut"))
    with torch.no_grad():
        model.denoiser.unet.class_embedding.weight.mul_(3)
    made = [to_images(sample_numbers(model, replace(REQUEST, steps=5), [0], [number], [0.0])) for number in (0, 1)]
    assert not np.array_equal(*made)


def test_guidance_moves_the_samples(conditioned: Path, pair: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in conditioned.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="has no classifier to guide by: train one with `realnet sdas classifier`"):
        load_diffusion(folder, guided=True)
    train_classifier(load_diffusion(folder), open_dataset(pair), 1)
    guided = load_diffusion(folder, guided=True)
    for sampler in ("iddpm", "ddim"):
        request = replace(REQUEST, steps=5, sampler=sampler)
        free = images(guided, request)
        pulled = images(guided, replace(request, guidance=100.0))
        assert not np.array_equal(free, pulled)
        assert np.array_equal(free, images(replace(guided, classifier=None), request))
