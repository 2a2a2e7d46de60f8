"""A diffusion model as a folder: configuration, averaged weights, what it was trained on; nothing pickled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from realnet.data import GoodImages, list_images, read_image
from realnet.data.samples import spread
from realnet.diffusion.classifier import ClassifierConfig, NoisyClassifier
from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.denoiser import Denoiser
from realnet.diffusion.schedule import make_schedule
from realnet.errors import UserError
from realnet.files import file_sha256, read_json
from realnet.model.saving import read_weights
from realnet.overriding import from_yaml, reading
from realnet.synthesis import write_image

CONFIG_FILE, WEIGHTS_FILE, FACTS_FILE = "config.yaml", "denoiser.safetensors", "model.json"
CLASSIFIER_FILE, CLASSIFIER_CONFIG = "classifier.safetensors", "classifier.json"
STARTS_FOLDER = "good"
# So many good images a category are kept with the model, to start sampling from.
MOST_STARTS = 500


@dataclass(frozen=True)
class DiffusionModel:
    """A trained model ready to sample from: network in eval mode, what it knows, and its hash."""

    folder: Path
    config: DiffusionConfig
    denoiser: Denoiser
    categories: tuple[str, ...]
    sha256: str
    classifier: NoisyClassifier | None = None

    def category_number(self, name: str | None) -> int:
        """The number of category ``name`` (None: the only one); UserError for one that the model was not trained on."""
        if name is None and len(self.categories) == 1:
            return 0
        if name not in self.categories:
            what = "knows several categories" if name is None else f"was not trained on {name}"
            raise UserError(f"{self.folder} {what}: give --category, one of {', '.join(self.categories)}.")
        return self.categories.index(name)

    def starts(self, category: str) -> GoodImages | None:
        """The good images that sampling begins with; None where it begins with noise; UserError where they are gone."""
        if self.config.process.start >= 1:
            return None
        folder = self.folder / STARTS_FOLDER / category
        if not folder.is_dir():
            raise UserError(
                f"{folder} is missing, and this model starts from good images: copy it back or train again."
            )
        return GoodImages(list_images([folder]), self.config.size, 2**29)


def make_denoiser(config: DiffusionConfig) -> Denoiser:
    """A network as ``config`` says, with fresh weights drawn by its seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        denoiser = Denoiser(config.denoiser, make_schedule(config.process).alphas_bar)
        # Nothing said at first: what is learned first is then the noise, not the initialisation.
        nn.init.zeros_(denoiser.unet.conv_out.weight)
        nn.init.zeros_(denoiser.unet.conv_out.bias)
    return denoiser


def save_starts(
    folder: Path, category: str, images: Sequence[Path], size: int, levels: tuple[float, float] | None = None
) -> None:
    """Keep good images with the model, at the side ``size``, read by ``levels``; what is there stays."""
    for number in spread(len(images), MOST_STARTS):
        path = folder / STARTS_FOLDER / category / f"{number:05d}.png"
        if not path.exists():
            write_image(path, read_image(images[number], size, levels))


def load_diffusion_config(folder: Path) -> DiffusionConfig:
    """The configuration of the diffusion model in ``folder``; UserError where there is none or it is damaged."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{folder} is no diffusion model: it has no {CONFIG_FILE}. Give the --output of `sdas train`.")
    with reading(path, "restore it", "is no configuration of a diffusion model"):
        return from_yaml(DiffusionConfig, path.read_text(encoding="utf-8"))


def load_diffusion(folder: Path, device: str | torch.device = "cpu", guided: bool = False) -> DiffusionModel:
    """Load a trained diffusion model, ``guided`` with its classifier; UserError where one is unfinished or damaged."""
    config = load_diffusion_config(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise UserError(f"{folder} has no {WEIGHTS_FILE}: its training has not finished. Continue it with --resume.")
    names = read_categories(folder)
    denoiser = Denoiser(config.denoiser, make_schedule(config.process).alphas_bar)
    denoiser.load_state_dict(read_weights(path, denoiser))
    classifier = None
    if guided:
        if not (folder / CLASSIFIER_FILE).is_file():
            raise UserError(f"{folder} has no classifier to guide by: train one with `realnet sdas classifier`.")
        with reading(folder / CLASSIFIER_CONFIG, "restore it, or train the classifier again"):
            settings = ClassifierConfig.model_validate(read_json(folder / CLASSIFIER_CONFIG))
        classifier = NoisyClassifier(settings)
        classifier.load_state_dict(read_weights(folder / CLASSIFIER_FILE, classifier))
        classifier = classifier.to(device).eval()
    denoiser = denoiser.to(device).to(memory_format=torch.channels_last).eval()
    return DiffusionModel(folder, config, denoiser, names, file_sha256(path), classifier)


def read_categories(folder: Path) -> tuple[str, ...]:
    """The categories that the diffusion model in ``folder`` was trained on; UserError where they cannot be read."""
    path = folder / FACTS_FILE
    with reading(path, "restore it or train again", "is missing or damaged"):
        names = read_json(path).get("categories")
    if not isinstance(names, list) or not names or not all(_plain(name) for name in names):
        raise UserError(f"{path} names no categories: restore it or train again.")
    return tuple(names)


def _plain(name: Any) -> bool:
    """Whether a category's name is one folder's name: it becomes a path."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")
