"""The one configuration tree: typed, validated before anything starts, saved with every model and result."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from realnet.errors import UserError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpacityRange = tuple[Fraction, Fraction]
SynthesisName = Literal["dtd", "nsa", "cutpaste", "sia", "mix"]


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class BackboneConfig(_Node):
    """The frozen feature extractor phi.

    ``taps`` are the timm feature indices handed on, finest first; ``weights`` a local file instead of timm's hub;
    ``standardise`` brings each feature to zero mean and unit deviation over the good images.
    """

    name: str = "wide_resnet50_2"
    taps: tuple[int, ...] = (1, 2, 3, 4)
    weights: Path | None = None
    standardise: bool = False


class SelectionConfig(_Node):
    """AFS (Eq. 4) and its alternatives of Tab. 5a; ``dimensions`` are the paper's m_k, ignored by ``none``."""

    method: Literal["afs", "rdr", "rlpr", "none"] = "afs"
    dimensions: tuple[Annotated[int, Field(ge=1)], ...] = (256, 512, 512, 256)
    batches: int = Field(64, ge=1)
    batch_size: int = Field(16, ge=1)


class ReconstructionConfig(_Node):
    """The networks G_k: their arrangement (App. C.4: A independent, B aligned, C neighbouring) and their kind.

    ``width`` is the base width as a share of m_k, ``residual_blocks`` the number a level (``simple``: of its stack).
    """

    architecture: Literal["A", "B", "C"] = "A"
    network: Literal["unet", "simple", "slim"] = "unet"
    width: float = Field(0.5, gt=0)
    multipliers: tuple[Annotated[int, Field(ge=1)], ...] = (1, 2, 4)
    residual_blocks: int = Field(2, ge=1)
    attention_at: tuple[int, ...] = (2, 4)
    head_channels: int = Field(64, ge=1)


class ResidualsConfig(_Node):
    """RRS: which share P of the residual channels is handed to the discriminator, ranked by what."""

    mode: Literal["max", "mean", "max&mean", "off"] = "max&mean"
    retention: float = Field(1 / 3, gt=0, le=1)
    momentum: float = Field(0.9, gt=0, le=1)


class DiscriminatorConfig(_Node):
    """The discriminator's widths; ``stride`` is the grid it works on (the paper: the finest residual's)."""

    residual_layers: int = Field(2, ge=0)
    widths: tuple[int, int, int, int] = (128, 32, 8, 4)
    stride: int | None = None


class ModelConfig(_Node):
    """Everything that shapes the network and the score it gives."""

    image_size: int = Field(256, ge=32, multiple_of=32)
    image_score: Literal["max", "pooled16"] = "max"
    backbone: BackboneConfig = BackboneConfig()
    afs: SelectionConfig = SelectionConfig()
    reconstruction: ReconstructionConfig = ReconstructionConfig()
    rrs: ResidualsConfig = ResidualsConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()

    @model_validator(mode="after")
    def _one_dimension_a_tap(self) -> "ModelConfig":
        if self.afs.method != "none" and len(self.afs.dimensions) != len(self.backbone.taps):
            raise ValueError(
                f"model.afs.dimensions names {len(self.afs.dimensions)} widths for "
                f"{len(self.backbone.taps)} model.backbone.taps; give one a tap"
            )
        return self


class MixtureConfig(_Node):
    """Weights of the parts of ``mix``; ``dtd`` and ``sia`` count only where their folder is given."""

    nsa: float = Field(1.0, ge=0)
    cutpaste: float = Field(0.5, ge=0)
    scar: float = Field(0.5, ge=0)
    texture: float = Field(1.0, ge=0)
    structure: float = Field(1.0, ge=0)
    dtd: float = Field(2.0, ge=0)
    sia: float = Field(2.0, ge=0)


class SynthesisConfig(_Node):
    """How anomalies are made of good images (Eq. 3).

    ``source`` names the kind, ``directory`` the folder of textures (dtd) or generated images (sia);
    ``opacity`` is the range of delta (None: 0.2..1 for dtd, 0.5..1 for sia, the source's own otherwise);
    ``foreground`` is ``auto``, ``none`` (whole image) or the paper's choice of a known category by its name.
    """

    source: SynthesisName = "mix"
    directory: Path | None = None
    opacity: OpacityRange | None = None
    foreground: str = "auto"
    mixture: MixtureConfig = MixtureConfig()


class TrainingConfig(_Node):
    """Optimisation. ``steps`` ends training where ``epochs`` would not; both count batches of ``batch_size``."""

    batch_size: int = Field(16, ge=2, multiple_of=2)
    learning_rate: float = Field(1e-4, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    epochs: int = Field(1000, ge=1)
    steps: int | None = Field(None, ge=1)
    reconstruction_weight: float = Field(1.0, ge=0)
    segmentation_weight: float = Field(1.0, ge=0)
    validation_share: float = Field(0.1, gt=0, lt=0.5)
    validation_every: int = Field(100, ge=1)
    patience: int = Field(20, ge=1)
    cache_gigabytes: float = Field(4.0, ge=0)
    workers: int = Field(0, ge=0)


class Config(_Node):
    """The whole tree, as saved in ``config.yaml`` of a run."""

    preset: str = "paper"
    seed: int = Field(0, ge=0)
    model: ModelConfig = ModelConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    training: TrainingConfig = TrainingConfig()
