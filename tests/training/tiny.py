"""Miniature trainings: 64x64 images, eight channels a layer, a few steps; under a second each."""

from pathlib import Path

from realnet.config import Config
from realnet.data import open_dataset
from realnet.overriding import override
from realnet.presets import presets
from realnet.progress import Watcher
from realnet.training.checkpoint import Progress
from realnet.training.run import Launch, train

# Networks that are trained, in the place of what preset lite solves.
TRAINED = (
    "model.reconstruction.network=simple",
    "model.reconstruction.residual_blocks=1",
    "model.discriminator.kind=paper",
    "model.discriminator.residual_layers=1",
    "model.discriminator.widths=[16,8,8,4]",
    "model.image_score=max",
)
FIELDS = (
    "model.image_size=64",
    "model.backbone.taps=[1,2,3,4]",
    "model.afs.dimensions=[8,8,8,8]",
    "model.afs.batches=1",
    "model.afs.batch_size=4",
    "model.discriminator.layer_weights=null",
    "model.discriminator.width=8",
    "training.batch_size=4",
    "training.fresh_anomalies=2",
    "training.anomaly_window=8",
    "training.defects=12",
    "training.augmentation=weak",
    "training.steps=6",
    "training.validation_every=3",
)


def tiny(*fields: str, seed: int = 0) -> Config:
    """Preset lite made tiny, with ``fields`` set beside."""
    return override(presets["lite"], [*FIELDS, f"seed={seed}", *fields])


def run(
    data: Path,
    output: Path,
    config: Config,
    *,
    category: str | None = None,
    resume: bool = False,
    time_budget: float | None = None,
    precision: str = "32-true",
    watcher: Watcher | None = None,
) -> Progress:
    """Train on the CPU."""
    launch = Launch("cpu", precision=precision, time_budget=time_budget, resume=resume)
    return train(open_dataset(data, category), config, output, launch, watcher).progress


def flags(*fields: str) -> list[str]:
    """The same configuration for the command line."""
    return ["--preset", "lite", *(part for field in (*FIELDS, *fields) for part in ("--set", field))]
