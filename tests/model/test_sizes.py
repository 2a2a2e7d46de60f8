"""The paper's sizes (Tab. S4) and the released model's counts, on the meta device: no memory, no arithmetic."""

import pytest
import torch
from torch import nn

from realnet.model.network import RealNet
from realnet.model.unet import SelfAttention
from realnet.overriding import override
from realnet.presets import presets


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def on_meta(preset: str, *assignments: str) -> RealNet:
    with torch.device("meta"):
        return RealNet(override(presets[preset], list(assignments)), pretrained=False)


@pytest.mark.parametrize(
    ("preset", "backbone", "reconstruction", "discriminator", "total"),
    [
        ("paper", 66_834_240, 518_236_160, 5_872_662, 590.94),
        ("paper-half", 66_834_240, 129_643_520, 1_645_590, 198.12),
    ],
)
def test_parameter_counts_of_the_paper(
    preset: str, backbone: int, reconstruction: int, discriminator: int, total: float
) -> None:
    model = on_meta(preset)
    assert count(model.backbone) == backbone
    assert count(model.reconstruction) == reconstruction
    assert count(model.discriminator) == discriminator
    assert round(count(model) / 1e6, 2) == total
    assert count(model.afs) == count(model.rrs) == 0, "AFS and RRS have nothing to learn"


@pytest.mark.parametrize(
    ("preset", "architecture", "gibibytes"),
    [("paper", "A", 2.20), ("paper", "B", 7.22), ("paper", "C", 3.75), ("paper-half", "A", 0.74)],
)
def test_model_sizes_of_table_s4(preset: str, architecture: str, gibibytes: float) -> None:
    model = on_meta(preset, f"model.reconstruction.architecture={architecture}")
    assert count(model) * 4 / 2**30 == pytest.approx(gibibytes, abs=0.006)


@pytest.mark.parametrize("preset", presets)
def test_every_preset_maps_an_image_to_a_map_of_its_size(preset: str) -> None:
    model = on_meta(preset).eval()
    # A subspace is tied to the size of its images; networks take any.
    for size in ((256, 256),) if model.reconstruction.solved else ((512, 512), (96, 160)):
        with torch.device("meta"):
            assert model(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_attention_sits_at_downsampling_2_and_4_and_in_the_middle() -> None:
    model = on_meta("paper")
    network = model.reconstruction.networks[1]
    attentions = [module for module in network.modules() if isinstance(module, SelfAttention)]
    # Two blocks a level down, three up, at two levels, and the middle one.
    assert len(attentions) == 2 * 2 + 2 * 3 + 1
    assert {attention.heads for attention in attentions} == {2 * 256 // 64, 4 * 256 // 64}


def test_the_retained_channels_of_the_paper() -> None:
    selection = on_meta("paper").rrs
    assert selection.r == 512
