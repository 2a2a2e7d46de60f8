"""The classifier that guides sampling."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from realnet.data import open_dataset
from realnet.diffusion.classifier_training import train_classifier
from realnet.diffusion.model_folder import CONFIG_FILE, DiffusionModel, load_diffusion
from realnet.diffusion.process import diffuse
from realnet.diffusion.schedule import make_schedule
from realnet.errors import UserError
from realnet.model.saving import save_weights
from realnet.overriding import as_yaml
from realnet.training.batches import to_tensor
from tests.data.layouts import save
from tests.diffusion.tiny import plain, untrained

STEPS = 40


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two categories that are told apart at a glance."""
    root = tmp_path_factory.mktemp("shades")
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 210)):
        for number in range(4):
            image = np.clip(rng.normal(level, 10, (32, 32, 3)), 0, 255).astype(np.uint8)
            save(root / name / "train" / "good" / f"{number}.png", image)
            save(root / name / "test" / "good" / f"{number}.png", image)
    return root


@pytest.fixture(scope="module")
def guided(shades: Path, tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    """With a trained classifier."""
    folder = tmp_path_factory.mktemp("guided")
    model = untrained(plain("denoiser.categories=2"), ("dark", "light"), folder)
    (folder / CONFIG_FILE).write_text(as_yaml(model.config))
    save_weights(folder / "denoiser.safetensors", model.denoiser)
    (folder / "model.json").write_text(json.dumps({"categories": ["dark", "light"]}))
    reports: list[int] = []
    loss = train_classifier(model, open_dataset(shades), STEPS, 3e-3, reports.append)
    assert reports == list(range(1, STEPS + 1))
    assert loss < 0.7 * math.log(2), "chance is log 2"
    assert json.loads((folder / "classifier_training.json").read_text())["loss_nats"] == loss
    return load_diffusion(folder, guided=True)


@torch.no_grad()
def test_it_tells_noised_images_of_two_categories_apart(guided: DiffusionModel) -> None:
    assert guided.classifier is not None
    assert not guided.classifier.training
    images = to_tensor([np.full((32, 32, 3), level, np.uint8) for level in (40, 210)]).mul(2).sub(1)
    noise = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for place in (0, 5):
        index = torch.full((2,), place)
        x_t = diffuse(make_schedule(guided.config.process), images, index, noise)
        assert guided.classifier(x_t, index).argmax(1).tolist() == [0, 1]


def test_the_same_call_gives_the_same_classifier(guided: DiffusionModel, shades: Path, tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        shutil.copytree(guided.folder, tmp_path / name)
        torch.manual_seed(len(written))  # means nothing to it
        train_classifier(load_diffusion(tmp_path / name), open_dataset(shades), 2)
        written.append((tmp_path / name / "classifier.safetensors").read_bytes())
    assert written[0] == written[1]
    assert written[0] != (guided.folder / "classifier.safetensors").read_bytes()


def test_one_category_needs_no_classifier(diffusion: Path, product: Path) -> None:
    with pytest.raises(UserError, match="knows one category only: there is nothing a classifier could guide towards"):
        train_classifier(load_diffusion(diffusion), open_dataset(product), 1)
    assert not list(diffusion.glob("classifier*"))


def test_every_category_of_the_model_must_be_there(guided: DiffusionModel, shades: Path) -> None:
    with pytest.raises(UserError, match=r"The data has no category light, which .* was trained on"):
        train_classifier(guided, open_dataset(shades, "dark"), 1)


def test_a_damaged_classifier(guided: DiffusionModel, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(guided.folder, folder)
    whole = (folder / "classifier.safetensors").read_bytes()
    (folder / "classifier.safetensors").write_bytes(whole[:-100])
    with pytest.raises(UserError, match=r"classifier\.safetensors is damaged or no safetensors file"):
        load_diffusion(folder, guided=True)
    assert load_diffusion(folder).classifier is None, "without guidance it is not needed"
    (folder / "classifier.safetensors").write_bytes(whole)
    (folder / "classifier.json").write_text('{"categories": 1}')
    with pytest.raises(UserError, match=r"classifier\.json is damaged \(categories"):
        load_diffusion(folder, guided=True)
