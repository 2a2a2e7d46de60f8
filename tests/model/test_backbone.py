"""The frozen backbones: taps, freezing, standardisation."""

import pytest
import torch
from torch import Tensor, nn

from realnet.config import BackboneConfig
from realnet.errors import UserError
from realnet.model.backbone import Backbone
from realnet.model.network import RealNet
from tests.model.brute import perturb, tiny

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def backbone(name: str, taps: tuple[int, ...] = (1, 2, 3, 4), standardise: bool = False) -> Backbone:
    return Backbone(BackboneConfig(name=name, taps=taps, standardise=standardise), pretrained=False)


@pytest.mark.parametrize(
    ("name", "taps", "channels", "strides"),
    [
        ("wide_resnet50_2", (1, 2, 3, 4), (256, 512, 1024, 2048), (4, 8, 16, 32)),
        ("resnet18", (1, 2, 3, 4), (64, 128, 256, 512), (4, 8, 16, 32)),
        ("resnet34", (1, 2, 3, 4), (64, 128, 256, 512), (4, 8, 16, 32)),
        ("resnet50", (1, 2, 3, 4), (256, 512, 1024, 2048), (4, 8, 16, 32)),
        ("tf_efficientnet_b4", (0, 1, 2, 3), (24, 32, 56, 160), (2, 4, 8, 16)),
        ("tf_efficientnet_lite0", (1, 2, 3, 4), (24, 40, 112, 320), (4, 8, 16, 32)),
        ("mobilenetv3_small_100", (1, 2, 3, 4), (16, 24, 48, 576), (4, 8, 16, 32)),
        ("convnext_atto", (0, 1, 2, 3), (40, 80, 160, 320), (4, 8, 16, 32)),
        ("regnetx_002", (1, 2, 3), (24, 56, 152), (4, 8, 16)),
    ],
)
def test_taps(name: str, taps: tuple[int, ...], channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
    with torch.device("meta"):
        network = backbone(name, taps)
        features = network(torch.rand(2, 3, 96, 160))
    assert network.channels == channels
    assert network.strides == strides
    assert [tuple(f.shape) for f in features] == [
        (2, c, 96 // s, 160 // s) for c, s in zip(channels, strides, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "taps"),
    [("resnet18", (1, 2, 3, 4)), ("convnext_atto", (0, 1, 2, 3)), ("regnetx_002", (0, 1, 2, 3, 4))],
)
def test_other_networks_make_a_whole_model(name: str, taps: tuple[int, ...]) -> None:
    dimensions = [8, 10, 12, 14, 16][: len(taps)]
    model = RealNet(
        tiny(f"model.backbone.name={name}", f"model.backbone.taps={list(taps)}", f"model.afs.dimensions={dimensions}"),
        pretrained=False,
    ).eval()
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 96)).shape == (1, 1, 64, 96)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [("resnet18", *IMAGENET), ("tf_efficientnet_lite0", (127 / 255,) * 3, (128 / 255,) * 3)],
)
def test_images_are_normalised_as_the_weights_were_trained(
    name: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    network = backbone(name)
    image = torch.rand(1, 3, 64, 64)
    normalised = torch.stack([(image[:, c] - mean[c]) / std[c] for c in range(3)], 1)
    with torch.no_grad():
        expected = network.network(normalised)
    for a, b in zip(network(image), expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_it_stays_in_eval_mode_and_frozen_inside_a_training_model() -> None:
    model = RealNet(tiny(), pretrained=False).train()
    assert model.discriminator.training
    assert not any(module.training for module in model.backbone.modules())
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    before = {name: t.clone() for name, t in model.backbone.state_dict().items()}
    image = torch.rand(2, 3, 64, 64, requires_grad=True)
    assert not any(feature.requires_grad for feature in model.backbone(image))
    model(image).sum().backward()
    assert image.grad is None
    assert all(torch.equal(before[name], t) for name, t in model.backbone.state_dict().items())


def features_of(network: Backbone, batches: list[Tensor]) -> list[list[Tensor]]:
    return [network.extract(batch) for batch in batches]


def test_standardised_features_have_zero_mean_and_unit_deviation_over_the_good_images() -> None:
    network = backbone("resnet18", standardise=True)
    perturb(network)
    batches = [torch.rand(n, 3, 64, 64) for n in (3, 1, 2)]
    network.fit_statistics(iter(features_of(network, batches)))
    every = [network(batch) for batch in batches]
    for k in range(4):
        values = torch.cat([features[k].transpose(0, 1).flatten(1) for features in every], 1)
        raw = torch.cat([f[k].transpose(0, 1).flatten(1) for f in features_of(network, batches)], 1)
        moving = raw.std(1) > 0.2 * raw.std(1).mean()
        assert moving.float().mean() > 0.5
        torch.testing.assert_close(values[moving].mean(1), torch.zeros(int(moving.sum())), atol=1e-3, rtol=0)
        deviation = values[moving].std(1, correction=0)
        torch.testing.assert_close(deviation, torch.ones(int(moving.sum())), atol=1e-2, rtol=0)


def test_a_channel_that_never_moves_does_not_become_noise() -> None:
    network = backbone("mobilenetv3_small_100", standardise=True)
    features = [torch.randn(2, c, 4, 4) for c in network.channels]
    features[0][:, 3] = 7.0
    network.fit_statistics([features])
    features[0][:, 3] += 1e-6
    assert float(network.standardised(features)[0][:, 3].abs().max()) < 1e-3
    assert float(network.get_buffer("mean_0")[3]) == 7.0


def test_without_standardisation_the_features_are_the_network_s() -> None:
    network = backbone("mobilenetv3_small_100")
    image = torch.rand(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(network(image), network.extract(image), strict=True))
    assert not [name for name in network.state_dict() if name.startswith(("mean_", "std_"))]


@pytest.mark.parametrize(
    ("name", "taps", "what"),
    [
        ("resnet19", (1, 2, 3, 4), r"'resnet19'.*Networks of a similar name: "),
        ("no such thing", (1, 2, 3, 4), "'no such thing'"),
        ("resnet18", (1, 2, 3, 9), r"taps \(1, 2, 3, 9\).*Its taps are 0 to 4, of strides 2, 4, 8, 16, 32"),
        ("convnext_atto", (1, 2, 3, 4), "Its taps are 0 to 3, of strides 4, 8, 16, 32"),
        ("resnet18", (2, 1, 3, 4), "finest first"),
        ("resnet18", (1, 1, 2, 3), "one a resolution"),
        ("vit_tiny_patch16_224", (1, 2, 3, 4), "one a resolution"),
        ("local-dir:nowhere", (1,), "local-dir:nowhere"),
    ],
)
def test_what_no_backbone_can_be_made_of(name: str, taps: tuple[int, ...], what: str) -> None:
    with pytest.raises(UserError, match=what), torch.device("meta"):
        backbone(name, taps)


def test_a_network_of_another_layout_is_refused_at_its_first_image() -> None:
    class ChannelsLast(nn.Module):
        """Some of timm's transformers give ``[B, h, w, C]``."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> list[Tensor]:
            return [feature.permute(0, 2, 3, 1) for feature in self.network(image)]

    network = backbone("mobilenetv3_small_100")
    network(torch.rand(1, 3, 96, 64))
    network.network = ChannelsLast(network.network)
    with pytest.raises(UserError, match=r"not 16 channels at stride 4.*model\.backbone\.name"):
        network(torch.rand(1, 3, 96, 64))
