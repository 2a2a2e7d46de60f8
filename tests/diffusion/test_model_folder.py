"""A diffusion model as a folder: what it is loaded from, and the one sentence where that is wrong."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from realnet.data import read_image
from realnet.diffusion.model_folder import (
    file_sha256,
    load_diffusion,
    load_diffusion_config,
    make_denoiser,
    save_starts,
)
from realnet.errors import UserError
from realnet.model.saving import save_weights
from tests.data.layouts import make_good
from tests.diffusion.tiny import plain, tiny, untrained

WEIGHTS = "denoiser.safetensors"


@pytest.fixture
def copied(diffusion: Path, tmp_path: Path) -> Path:
    """A model that may be damaged."""
    return Path(shutil.copytree(diffusion, tmp_path / "model"))


def test_what_was_saved_is_loaded(copied: Path) -> None:
    model = untrained(tiny(), folder=copied)
    assert model.denoiser.prior is not None
    model.denoiser.prior.mean.fill_(0.25)
    save_weights(copied / WEIGHTS, model.denoiser)
    loaded = load_diffusion(copied)
    assert (loaded.config, loaded.categories, loaded.classifier) == (tiny(), ("widget",), None)
    assert loaded.sha256 == file_sha256(copied / WEIGHTS)
    assert not loaded.denoiser.training
    x, t = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 7])
    with torch.no_grad():
        for ours, theirs in zip(loaded.denoiser(x, t), model.denoiser(x, t), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_fresh_weights_are_the_seeds() -> None:
    torch.manual_seed(1)  # means nothing to it
    states = [make_denoiser(config).state_dict() for config in (plain(), plain(), plain(seed=1))]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["unet.conv_in.weight"], states[2]["unet.conv_in.weight"])
    assert not states[0]["unet.conv_out.weight"].any(), "it says nothing at first"


def test_good_images_are_kept_at_the_size_that_is_made(tmp_path: Path) -> None:
    files = make_good(tmp_path / "in", 3, np.random.default_rng(0))
    save_starts(tmp_path, "widget", files, 32)
    kept = sorted((tmp_path / "good" / "widget").iterdir())
    assert len(kept) == 3
    for file, path in zip(files, kept, strict=True):
        assert np.array_equal(read_image(path), read_image(file, 32))
    kept[1].write_bytes(b"as it is")
    save_starts(tmp_path, "widget", files, 32)
    assert kept[1].read_bytes() == b"as it is"


def test_of_many_good_images_some_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realnet.diffusion.model_folder.MOST_STARTS", 3)
    save_starts(tmp_path, "widget", make_good(tmp_path / "in", 9, np.random.default_rng(0)), 32)
    assert sorted(path.stem for path in (tmp_path / "good" / "widget").iterdir()) == ["00000", "00004", "00008"]


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def cut(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def write_categories(folder: Path, names: Any) -> None:
    (folder / "model.json").write_text(json.dumps({"categories": names}))


def set_field(folder: Path, before: str, after: str) -> None:
    text = (folder / "config.yaml").read_text()
    assert before in text
    (folder / "config.yaml").write_text(text.replace(before, after))


def fill(name: str, value: float) -> Callable[[Path], None]:
    return lambda folder: change_weights(folder, lambda tensors: tensors[name].view(-1)[3:4].fill_(value))


NO_NAMES = "model.json names no categories: restore it or train again."
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no configuration": (lambda f: (f / "config.yaml").unlink(), "is no diffusion model: it has no config.yaml. Give"),
    "configuration": (
        lambda f: (f / "config.yaml").write_text("model: [1"),
        "config.yaml is no configuration of a diffusion model (",
    ),
    "another run's configuration": (
        lambda f: (f / "config.yaml").write_text("model: {image_size: 64}"),
        "config.yaml is no configuration of a diffusion model (",
    ),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "its training has not finished. Continue it with --resume."),
    "half the weights": (cut, "denoiser.safetensors is damaged or no safetensors file"),
    "other weights": (
        lambda f: change_weights(f, lambda tensors: tensors.pop("unet.conv_in.bias")),
        "denoiser.safetensors does not belong to its config.yaml: unet.conv_in.bias and 0 more differ.",
    ),
    "another width": (
        lambda f: set_field(f, "width: 16", "width: 24"),
        "denoiser.safetensors does not belong to its config.yaml: ",
    ),
    "not finite": (fill("unet.conv_in.weight", float("nan")), "not finite in unet.conv_in.weight. Train again"),
    "infinite estimate": (fill("prior.mean", float("inf")), "not finite in prior.mean. Train again"),
    "no facts": (lambda f: (f / "model.json").unlink(), "model.json is missing or damaged"),
    "facts": (lambda f: (f / "model.json").write_text("{"), "model.json is missing or damaged"),
    "a list of facts": (lambda f: (f / "model.json").write_text("[]"), "model.json is missing or damaged"),
    "no names": (lambda f: write_categories(f, []), NO_NAMES),
    "a name": (lambda f: write_categories(f, "widget"), NO_NAMES),
    "a number": (lambda f: write_categories(f, [3]), NO_NAMES),
    "a path": (lambda f: write_categories(f, ["../../elsewhere"]), NO_NAMES),
    "an absolute path": (lambda f: write_categories(f, ["/etc"]), NO_NAMES),
    "a Windows path": (lambda f: write_categories(f, ["widget", "..\\x"]), NO_NAMES),
    "the folder above": (lambda f: write_categories(f, [".."]), NO_NAMES),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_models(copied: Path, damage: str) -> None:
    harm, sentence = DAMAGES[damage]
    harm(copied)
    with pytest.raises(UserError) as raised:
        load_diffusion(copied)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert str(copied) in str(raised.value)


def test_nothing_is_unpickled(copied: Path, tmp_path: Path) -> None:
    (copied / WEIGHTS).write_bytes(pickle.dumps(Bomb(tmp_path / "executed")))
    with pytest.raises(UserError, match="is damaged or no safetensors file"):
        load_diffusion(copied)
    assert not (tmp_path / "executed").exists()


def test_a_model_without_the_images_it_starts_from(copied: Path) -> None:
    shutil.rmtree(copied / "good")
    model = load_diffusion(copied)
    with pytest.raises(UserError, match=r"good/widget is missing, and this model starts from good images"):
        model.starts("widget")
    assert untrained(plain(), folder=copied).starts("widget") is None, "from noise none are needed"


def test_an_empty_folder_of_start_images(copied: Path) -> None:
    for path in (copied / "good" / "widget").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="good/widget"):
        load_diffusion(copied).starts("widget")


def test_an_older_configuration_is_completed(copied: Path) -> None:
    """A field that has a default may be missing."""
    lines = (copied / "config.yaml").read_text().splitlines()
    kept = [line for line in lines if "flip" not in line]
    assert len(kept) == len(lines) - 1
    (copied / "config.yaml").write_text("\n".join(kept))
    assert load_diffusion_config(copied) == tiny()
