"""The presets are the paper's settings, and nobody can change them by accident."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, cast

import pytest
import timm
from pydantic import ValidationError

from realnet.config import Config, MixtureConfig
from realnet.model.backbone import weights_tag
from realnet.presets import presets

NAMES = ["paper", "paper-half", "resnet34", "efficientnet-b4", "multiclass", "lite", "instant"]


def test_presets_by_name() -> None:
    assert isinstance(presets, Mapping)
    assert list(presets) == NAMES
    assert all(isinstance(config, Config) and config.preset == name for name, config in presets.items())


def test_presets_are_read_only() -> None:
    table = cast(dict[str, Any], presets)
    with pytest.raises(TypeError):
        table["paper"] = presets["lite"]
    with pytest.raises(TypeError):
        del table["paper"]
    with pytest.raises(ValidationError, match="frozen"):
        presets["paper"].model.rrs.retention = 0.5  # type: ignore[misc]


RELEASE = "released code"
UNUSED = "has no effect here"

# Every field of `paper` and where its value is from: a section of the paper, or the released code where it is silent.
PAPER: dict[str, tuple[Any, str]] = {
    "preset": ("paper", "its name"),
    "seed": (0, "ours"),
    "data.levels": (None, "ours: the paper's images have 8 bits"),
    "model.image_size": (256, "Sec. 4.1"),
    "model.tile": (None, "Sec. 4.1: whole images"),
    "model.view.polygons": ((), "Sec. 4.1: whole images"),
    "model.view.align": ("none", "Sec. 4.1: images as they are"),
    "model.view.reference": (None, UNUSED),
    "model.view.match": (0.5, UNUSED),
    "model.view.reach": (0.2, UNUSED),
    "model.image_score": ("max", "Sec. 3.3 (the released evaluator averages 16x16 pixels before)"),
    "model.backbone.name": ("wide_resnet50_2", "Sec. 4.1"),
    "model.backbone.taps": ((1, 2, 3, 4), "Sec. 3.2: the last output of each resolution"),
    "model.backbone.tag": (None, RELEASE + ": RELEASED_TAGS; Sec. 4.1 says ImageNet"),
    "model.backbone.weights": (None, "ours: downloaded"),
    "model.backbone.standardise": (False, RELEASE),
    "model.afs.method": ("afs", "Sec. 3.2"),
    "model.afs.align": ("mask", "Eq. 4"),
    "model.afs.dimensions": ((256, 512, 512, 256), "Sec. 4.1"),
    "model.afs.batches": (64, "Sec. 4.1"),
    "model.afs.batch_size": (16, "Sec. 4.1"),
    "model.reconstruction.architecture": ("A", "App. C.4"),
    "model.reconstruction.network": ("unet", "App. C.4"),
    "model.reconstruction.width": (0.5, RELEASE + "; the sizes of Tab. S4 agree"),
    "model.reconstruction.multipliers": ((1, 2, 4), RELEASE + "; the sizes of Tab. S4 agree"),
    "model.reconstruction.residual_blocks": (2, RELEASE + "; the sizes of Tab. S4 agree"),
    "model.reconstruction.attention_at": ((2, 4), RELEASE),
    "model.reconstruction.head_channels": (64, RELEASE),
    "model.reconstruction.variance": (0.95, UNUSED),
    "model.reconstruction.components": (256, UNUSED),
    "model.reconstruction.fit_images": (800, UNUSED),
    "model.rrs.mode": ("max&mean", "Sec. 3.3"),
    "model.rrs.retention": (1 / 3, "Sec. 4.1"),
    "model.rrs.momentum": (0.1, "ours: App. B gives none, the released code's 0.9 rests on one batch"),
    "model.discriminator.kind": ("paper", "App. B: an MLP with upsampling layers"),
    "model.discriminator.residual_layers": (2, RELEASE),
    "model.discriminator.widths": ((128, 32, 8, 4), RELEASE),
    "model.discriminator.layer_weights": (None, UNUSED),
    "model.discriminator.heads": (2, UNUSED),
    "model.discriminator.width": (64, UNUSED),
    "model.discriminator.channel_dropout": (0.1, UNUSED),
    "model.discriminator.learned": (1.0, UNUSED),
    "model.discriminator.general": (0.0, UNUSED),
    "synthesis.source": ("sia", "Sec. 4.1"),
    "synthesis.directory": (None, "the user's: --source"),
    "synthesis.generated": (None, UNUSED),
    "synthesis.opacity": (None, "App. B: 0.5 to 1, the source's own (DTD 0.2 to 1: released code)"),
    "synthesis.foreground": ("known", "Sec. 3.1: by a threshold; which one: released code"),
    "synthesis.faint": (0.0, "App. B: opacity is uniform"),
    **{f"synthesis.mixture.{name}": (weight, UNUSED) for name, weight in MixtureConfig().model_dump().items()},
    "training.batch_size": (16, "Sec. 4.1; half of it anomalous: App. B"),
    "training.fresh_anomalies": (None, RELEASE + ": each defect serves once"),
    "training.anomaly_window": (None, RELEASE + ": each defect serves once"),
    "training.learning_rate": (1e-4, RELEASE),
    "training.weight_decay": (0.0, RELEASE + ": Adam"),
    "training.schedule": ("constant", RELEASE),
    "training.epochs": (1000, RELEASE),
    "training.steps": (None, RELEASE + ": whole epochs"),
    "training.select": ("last", "ours: the released code keeps the best on test images, --select oracle"),
    "training.reconstruction_weight": (1.0, "Eq. 6"),
    "training.segmentation_weight": (1.0, "Eq. 6"),
    "training.keep_features": (True, UNUSED),
    "training.false_alarms": (0.01, "ours: the paper has no threshold"),
    "training.validation_share": (0.0, "Sec. 4.1: every good image is trained on"),
    "training.validation_every": (100, "ours: of the log"),
    "training.patience": (20, UNUSED),
    "training.cache_gigabytes": (4.0, "ours: memory"),
    "training.workers": (0, "ours: speed"),
    "training.folds": (4, UNUSED),
    "training.defects": (480, UNUSED),
    "training.augmentation": ("auto", UNUSED),
    "training.tolerance.shift": (0.0, UNUSED),
    "training.tolerance.rotation": (0.0, UNUSED),
    "training.tolerance.light": (0.0, UNUSED),
}

# What the others change of it.
CHANGES: dict[str, dict[str, tuple[Any, str]]] = {
    "paper": {},
    "paper-half": {"model.afs.dimensions": ((128, 256, 256, 128), "Tab. S3")},
    "resnet34": {
        "model.backbone.name": ("resnet34", "Tab. S3"),
        "model.afs.dimensions": ((64, 128, 256, 128), "Tab. S3"),
    },
    "efficientnet-b4": {
        "model.backbone.name": ("efficientnet_b4", "Tab. S3"),
        "model.backbone.taps": ((0, 1, 2, 3), RELEASE + "; they have the 24, 32, 56, 160 channels of Tab. S3"),
        "model.afs.dimensions": ((24, 32, 56, 160), "Tab. S3"),
    },
    "multiclass": {
        "model.backbone.name": ("resnet50", "App. C.5"),
        "model.reconstruction.network": ("simple", RELEASE),
        "synthesis.source": ("dtd", "App. C.5"),
        "synthesis.foreground": ("none", RELEASE),
    },
}


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_of_a_preset_of_the_paper_has_a_source(name: str) -> None:
    expected = PAPER | {"preset": (name, "its name")} | CHANGES[name]
    assert leaves(presets[name].model_dump()) == {path: value for path, (value, _) in expected.items()}
    assert all(source for _, source in expected.values())


@pytest.mark.parametrize("name", CHANGES)
def test_a_defect_of_the_paper_serves_once(name: str) -> None:
    assert (presets[name].training.fresh, presets[name].training.window) == (8, 8)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("paper", "wide_resnet50_2.racm_in1k"),
        ("paper-half", "wide_resnet50_2.racm_in1k"),
        ("resnet34", "resnet34.bt_in1k"),
        ("efficientnet-b4", "efficientnet_b4.ra2_in1k"),
        ("multiclass", "resnet50.a1_in1k"),
    ],
)
def test_backbones_have_the_weights_of_the_released_code(name: str, weights: str) -> None:
    backbone = presets[name].model.backbone
    assert f"{backbone.name}.{weights_tag(backbone)}" == weights
    assert timm.is_model_pretrained(weights)


def test_lite_is_small() -> None:
    model = presets["lite"].model
    assert model.backbone.name == "tf_efficientnet_lite0", "whose weights are a package, so that it works offline"
    assert model.reconstruction.network == "subspace", "solved, not trained"
    assert model.discriminator.kind == "evidence"
    assert presets["lite"].training.steps is not None, "it ends on a CPU"


@pytest.mark.parametrize("line", ["", "import realnet.presets; "])
def test_the_package_hands_out_the_mapping(line: str) -> None:
    program = f"{line}from realnet import presets; assert presets['paper'].preset == 'paper'"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
