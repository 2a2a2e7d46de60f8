"""The presets are the paper's settings, and nobody can change them by accident."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, cast

import pytest
from pydantic import ValidationError

from realnet.config import Config
from realnet.presets import presets

NAMES = ["paper", "paper-half", "resnet34", "efficientnet-b4", "multiclass", "lite"]


def test_six_presets_by_name() -> None:
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


@pytest.mark.parametrize(
    ("name", "network", "dimensions"),
    [
        ("paper", "wide_resnet50_2", (256, 512, 512, 256)),
        ("paper-half", "wide_resnet50_2", (128, 256, 256, 128)),
        ("resnet34", "resnet34", (64, 128, 256, 128)),
        ("efficientnet-b4", "tf_efficientnet_b4", (24, 32, 56, 160)),
        ("multiclass", "resnet50", (256, 512, 512, 256)),
    ],
)
def test_backbones_and_dimensions_of_the_paper(name: str, network: str, dimensions: tuple[int, ...]) -> None:
    model = presets[name].model
    assert (model.backbone.name, model.afs.dimensions) == (network, dimensions)


@pytest.mark.parametrize("name", NAMES[:5])
def test_settings_of_section_4_1(name: str) -> None:
    config = presets[name]
    model, training = config.model, config.training
    assert model.image_size == 256
    assert model.image_score == "max"
    assert (model.afs.method, model.afs.batches, model.afs.batch_size) == ("afs", 64, 16)
    assert model.reconstruction.architecture == "A"
    assert model.reconstruction.network != "subspace"
    assert (model.rrs.mode, model.rrs.retention, model.rrs.momentum) == ("max&mean", pytest.approx(1 / 3), 0.9)
    assert model.discriminator.kind == "paper"
    assert (model.discriminator.residual_layers, model.discriminator.widths) == (2, (128, 32, 8, 4))
    assert (training.batch_size, training.learning_rate, training.epochs, training.steps) == (16, 1e-4, 1000, None)
    assert (training.weight_decay, config.synthesis.faint) == (0, 0)
    assert (training.reconstruction_weight, training.segmentation_weight) == (1, 1)
    assert training.schedule == "constant"
    assert (training.fresh, training.window) == (8, 8), "every defect serves once"
    assert training.select == "validation", "never by test images"


@pytest.mark.parametrize("name", NAMES[:4])
def test_the_u_net_of_appendix_c4(name: str) -> None:
    network = presets[name].model.reconstruction
    assert (network.network, network.width, network.multipliers) == ("unet", 0.5, (1, 2, 4))
    assert (network.residual_blocks, network.attention_at, network.head_channels) == (2, (2, 4), 64)


def test_features_are_standardised_for_other_backbones_than_the_paper_s_resnets() -> None:
    standardised = {name for name, config in presets.items() if config.model.backbone.standardise}
    assert standardised == {"efficientnet-b4", "lite"}


def test_efficientnet_b4_uses_the_finer_strides() -> None:
    assert presets["efficientnet-b4"].model.backbone.taps == (0, 1, 2, 3)


def test_the_multi_class_recipe_of_appendix_c5() -> None:
    config = presets["multiclass"]
    assert config.model.reconstruction.network == "simple"
    assert (config.synthesis.source, config.synthesis.foreground) == ("dtd", "none")


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
