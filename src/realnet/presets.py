"""The presets: complete, typed configurations by name."""

from collections.abc import Mapping
from types import MappingProxyType

from realnet.config import (
    AfsConfig,
    BackboneConfig,
    Config,
    DiscriminatorConfig,
    ModelConfig,
    ReconstructionConfig,
    SynthesisConfig,
    TrainingConfig,
)
from realnet.errors import UserError

# All good images are trained on, for all epochs, and the last state is kept: no image is left to choose one by.
_TRAINING = TrainingConfig(validation_share=0, select="last")


def _paper(name: str, backbone: BackboneConfig, dimensions: tuple[int, ...]) -> Config:
    """Sec. 4.1 and App. B; where they are silent, the released code. docs/paper.md names the source of each field."""
    return Config(
        preset=name,
        model=ModelConfig(backbone=backbone, afs=AfsConfig(dimensions=dimensions)),
        synthesis=SynthesisConfig(source="sia", foreground="known"),
        training=_TRAINING,
    )


def _closed_form(name: str, afs: AfsConfig, steps: int) -> Config:
    """Made for two CPU cores; see benchmarks/TRIALS.md for what was tried."""
    return Config(
        preset=name,
        model=ModelConfig(
            image_score="top",
            backbone=BackboneConfig(name="tf_efficientnet_lite0", taps=(2, 3, 4), standardise=True),
            afs=afs,
            reconstruction=ReconstructionConfig(network="subspace"),
            discriminator=DiscriminatorConfig(
                kind="evidence", layer_weights=(0.65, 1.0, 0.4), general=0.75, heads=2 if steps else 1
            ),
        ),
        synthesis=SynthesisConfig(faint=0.5),
        training=TrainingConfig(learning_rate=2e-3, weight_decay=1e-2, schedule="cosine", steps=steps),
    )


presets: Mapping[str, Config] = MappingProxyType(
    {
        "paper": _paper("paper", BackboneConfig(), (256, 512, 512, 256)),
        "paper-half": _paper("paper-half", BackboneConfig(), (128, 256, 256, 128)),
        "resnet34": _paper("resnet34", BackboneConfig(name="resnet34"), (64, 128, 256, 128)),
        "efficientnet-b4": _paper(
            "efficientnet-b4", BackboneConfig(name="efficientnet_b4", taps=(0, 1, 2, 3)), (24, 32, 56, 160)
        ),
        # App. C.5: ResNet50 and DTD; the simple reconstruction and no foreground are the released code's.
        "multiclass": Config(
            preset="multiclass",
            model=ModelConfig(
                backbone=BackboneConfig(name="resnet50"),
                reconstruction=ReconstructionConfig(network="simple", residual_blocks=2),
            ),
            synthesis=SynthesisConfig(source="dtd", foreground="none"),
            training=_TRAINING,
        ),
        "lite": _closed_form("lite", AfsConfig(dimensions=(40, 112, 320), batches=8), 300),
        # Nothing is learned of the product and no channel left out: defects only serve to choose the augmentation.
        "instant": _closed_form("instant", AfsConfig(method="none", dimensions=(40, 112, 320)), 0),
    }
)


def preset_called(name: str) -> Config:
    """The preset of that name; UserError for another."""
    if name not in presets:
        raise UserError(f"There is no preset {name!r}; choose one of {', '.join(presets)}.")
    return presets[name]
