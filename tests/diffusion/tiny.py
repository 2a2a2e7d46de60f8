"""Miniature diffusion models: 32x32 pixels folded by four, sixteen channels, a few steps; seconds together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor

from realnet.data import open_dataset
from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.diffusion_presets import diffusion_presets
from realnet.diffusion.model_folder import DiffusionModel, load_diffusion, make_denoiser
from realnet.diffusion.noisy_batches import NoisedBatches
from realnet.diffusion.training_run import train_diffusion
from realnet.overriding import override
from realnet.progress import Watcher
from realnet.training.checkpoint import Progress
from realnet.training.launch import Launch

# Images of twice the network's side are made, from good ones noised a little.
FIELDS = (
    "output_size=64",
    "denoiser.image_size=32",
    "denoiser.patch=4",
    "denoiser.width=16",
    "denoiser.multipliers=[1,2]",
    "denoiser.components=4",
    "process.steps=20",
    "process.start=0.4",
    "training.steps=6",
    "training.batch_size=2",
    "training.report_every=3",
    "training.report_images=4",
    "training.sampling_steps=2",
)


def tiny(*fields: str, seed: int = 0) -> DiffusionConfig:
    """Preset lite made tiny, with ``fields`` set beside."""
    return override(diffusion_presets["lite"], [*FIELDS, f"seed={seed}", *fields])


def plain(*fields: str, seed: int = 0) -> DiffusionConfig:
    """The paper's kind: noise is put out, and images are made from nothing else."""
    return tiny("output_size=32", "denoiser.output=noise", "process.start=1", *fields, seed=seed)


def run(
    data: Path,
    output: Path,
    config: DiffusionConfig,
    *,
    category: str | None = None,
    resume: bool = False,
    precision: str = "32-true",
    init: Path | None = None,
    watcher: Watcher | None = None,
) -> Progress:
    """Train on the CPU."""
    launch = Launch("cpu", precision=precision, resume=resume)
    return train_diffusion(open_dataset(data, category), config, output, launch, init, watcher)


def flags(*fields: str) -> list[str]:
    """The configuration of `tiny` for the command line."""
    return ["--preset", "lite", *(part for field in (*FIELDS, *fields) for part in ("--set", field))]


def untrained(config: DiffusionConfig, names: Sequence[str] = ("widget",), folder: Path = Path()) -> DiffusionModel:
    """A model that says something of its own: its last layer is not zero, as it is at the start of training."""
    denoiser = make_denoiser(config).eval()
    with torch.no_grad():
        for parameter in denoiser.unet.conv_out.parameters():
            parameter.normal_(0, 0.2, generator=torch.Generator().manual_seed(5))
    return DiffusionModel(folder, config, denoiser, tuple(names), "0" * 64)


def squares(count: int, size: int = 32, seed: int = 0) -> list[np.ndarray]:
    """Simple images: a square of some brightness on grey, uint8 ``[size, size, 3]``."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        image = np.full((size, size, 3), 100, np.uint8)
        image[size // 4 : -size // 4, size // 4 : -size // 4] = rng.integers(180, 240)
        images.append(image)
    return images


def batches(
    config: DiffusionConfig, images: Sequence[np.ndarray] | None = None, rank: int = 0, world_size: int = 1
) -> NoisedBatches:
    """Of simple images, the second half of them of a category of their own."""
    images = squares(6) if images is None else images
    categories = [int(number >= len(images) / 2) for number in range(len(images))]
    return NoisedBatches(images, categories, config, rank, world_size)


def cpu() -> Fabric:
    """One process on the CPU."""
    return Fabric(accelerator="cpu", devices=1)


def weights(model: Path) -> dict[str, Tensor]:
    """The tensors of a finished model."""
    return load_diffusion(model).denoiser.state_dict()
