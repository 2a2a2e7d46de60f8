"""The discriminator, the losses, the whole network and the image score."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from realnet import RealNet
from realnet.config import Config, DiscriminatorConfig
from realnet.errors import UserError
from realnet.model.discriminator import Discriminator
from realnet.model.losses import realnet_loss, reconstruction_loss, segmentation_loss
from realnet.model.network import image_score
from realnet.overriding import override
from tests.model.brute import SOLVED, bilinear, perturb, tiny


@pytest.fixture(scope="module")
def model() -> RealNet:
    network = RealNet(tiny(), pretrained=False)
    perturb(network)
    return network.eval()


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (50, 70)])
def test_the_discriminator_gives_two_logits_a_pixel(size: tuple[int, int]) -> None:
    for residual_layers in (0, 2):
        network = Discriminator(12, DiscriminatorConfig(residual_layers=residual_layers, widths=(8, 6, 4, 3)))
        assert network(torch.rand(2, 12, 9, 7), size).shape == (2, 2, *size)
        assert sum(p.ndim == 4 for p in network.parameters()) == 2 * residual_layers + 5


def test_the_discriminator_s_layers() -> None:
    """Two residual layers (3x3, 1x1), 128 + BatchNorm, 32, 8, twice the size, 4, 2."""
    network = Discriminator(6, DiscriminatorConfig(widths=(8, 6, 4, 3))).eval()
    perturb(network)
    weights = network.state_dict()
    x = torch.rand(2, 6, 5, 7)
    h = x
    for layer in ("residual.0.body", "residual.1.body"):
        inner = F.conv2d(h.relu(), weights[f"{layer}.1.weight"], padding=1)
        h = h + F.conv2d(inner.relu(), weights[f"{layer}.3.weight"])
    h = F.conv2d(h.relu(), weights["entry.0.weight"], weights["entry.0.bias"], padding=1)
    mean, variance = weights["entry.1.running_mean"], weights["entry.1.running_var"]
    h = F.batch_norm(h, mean, variance, weights["entry.1.weight"], weights["entry.1.bias"]).relu()
    for layer in ("body.0", "body.2"):
        h = F.conv2d(h, weights[f"{layer}.weight"], weights[f"{layer}.bias"], padding=1).relu()
    h = bilinear(h, (10, 14))
    h = F.conv2d(h, weights["head.0.weight"], weights["head.0.bias"], padding=1).relu()
    h = F.conv2d(h, weights["head.2.weight"], weights["head.2.bias"], padding=1)
    torch.testing.assert_close(network(x, (20, 31)), bilinear(h, (20, 31)), atol=1e-5, rtol=1e-4)


def test_every_residual_channel_counts_for_the_discriminator() -> None:
    network = Discriminator(6, DiscriminatorConfig(widths=(8, 6, 4, 3)))
    perturb(network)
    x = torch.rand(2, 6, 8, 8, requires_grad=True)
    network(x, (32, 32)).square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().amax((0, 2, 3)) > 0).all()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters() if p.ndim > 1)


def layers(seed: int) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 3, 4, 5, generator=g), torch.randn(2, 4, 2, 2, generator=g)]


def brute_force_reconstruction(reconstructions: list[Tensor], targets: list[Tensor]) -> float:
    total = 0.0
    for r, t in zip(reconstructions, targets, strict=True):
        squares = [(a - b) ** 2 for a, b in zip(r.flatten().tolist(), t.flatten().tolist(), strict=True)]
        total += sum(squares) / len(squares)
    return total


def brute_force_segmentation(logits: Tensor, mask: Tensor) -> float:
    total = 0.0
    for b in range(logits.shape[0]):
        for i in range(logits.shape[2]):
            for j in range(logits.shape[3]):
                normal, anomalous = (math.exp(v) for v in logits[b, :, i, j].tolist())
                total -= math.log((anomalous if mask[b, 0, i, j] else normal) / (normal + anomalous))
    return total / mask.numel()


def test_equations_5_and_6() -> None:
    reconstructions, targets = layers(0), layers(1)
    logits = torch.randn(2, 2, 4, 4)
    mask = torch.rand(2, 1, 4, 4) > 0.5
    recon = brute_force_reconstruction(reconstructions, targets)
    seg = brute_force_segmentation(logits, mask)
    assert float(reconstruction_loss(reconstructions, targets)) == pytest.approx(recon, rel=1e-5)
    assert float(segmentation_loss(logits, mask)) == pytest.approx(seg, rel=1e-5)
    assert [float(x) for x in realnet_loss(reconstructions, targets, logits, mask)] == pytest.approx(
        [recon + seg, recon, seg], rel=1e-5
    )
    weighted = realnet_loss(reconstructions, targets, logits, mask.float(), (0.5, 3.0))
    assert [float(x) for x in weighted] == pytest.approx([0.5 * recon + 3 * seg, recon, seg], rel=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (96, 96), (256, 320)])
def test_the_map_has_the_image_s_size_and_is_a_probability(model: RealNet, size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        anomaly_map = model(image)
        logits, _ = model.discriminate(model.select(image), size)
    assert anomaly_map.shape == (2, 1, *size)
    assert 0 <= float(anomaly_map.min()) < float(anomaly_map.max()) <= 1
    odds = (logits[:, 1:] - logits[:, :1]).exp()
    torch.testing.assert_close(anomaly_map, odds / (1 + odds))


@pytest.mark.parametrize(
    "shape", [(1, 3, 48, 64), (1, 3, 64, 65), (1, 4, 64, 64), (1, 1, 64, 64), (3, 64, 64), (64, 64)]
)
def test_other_shapes_are_refused(model: RealNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[B, 3, H, W\] with H and W divisible by 32"):
        model(torch.rand(shape))


@pytest.mark.parametrize("architecture", ["A", "B", "C"])
@pytest.mark.parametrize("network", ["unet", "simple"])
@pytest.mark.parametrize("mode", ["max&mean", "off"])
def test_architectures_networks_and_modes_train_together(architecture: str, network: str, mode: str) -> None:
    config = tiny(
        f"model.reconstruction.architecture={architecture}",
        f"model.reconstruction.network={network}",
        "model.reconstruction.residual_blocks=1",
        "model.reconstruction.head_channels=8",
        "model.reconstruction.width=0.5",
        f"model.rrs.mode={mode}",
    )
    module = RealNet(config, pretrained=False).train()
    perturb(module.reconstruction)
    perturb(module.discriminator)
    image = torch.rand(2, 3, 64, 64)
    targets = module.select(image)
    logits, reconstructions = module.discriminate(module.select(image.flip(0)), (64, 64))
    loss, _, _ = realnet_loss(reconstructions, targets, logits, torch.rand(2, 1, 64, 64) > 0.5)
    loss.backward()
    weights = [(n, p) for part in (module.reconstruction, module.discriminator) for n, p in part.named_parameters()]
    assert all(p.grad is not None and p.grad.abs().max() > 0 for _, p in weights if p.ndim > 1)


def test_the_residual_is_the_squared_distance_to_the_reconstruction(model: RealNet) -> None:
    seen: list[Tensor] = []
    hook = model.rrs.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        features = model.select(torch.rand(1, 3, 64, 64))
        model.discriminate(features, (64, 64))
        reconstructions = model.reconstruction(features)
    hook.remove()
    # The grid is the first tap's: its 8 channels of the global residual are as they were.
    torch.testing.assert_close(seen[0][:, :8], (features[0] - reconstructions[0]).square())


def test_initial_weights_and_selections_are_drawn_by_the_seed() -> None:
    def drawn(config: Config, seed: int | None = None) -> list[Tensor]:
        network = RealNet(config, pretrained=False, seed=seed)
        return [t for n, t in network.state_dict().items() if not n.startswith("backbone") and t.ndim > 1]

    config = tiny("model.afs.method=rdr")
    first, again, other = drawn(config), drawn(config, seed=0), drawn(override(config, ["seed=5"]))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(other, drawn(config, seed=5), strict=True))


def test_a_model_part_alone_is_a_configuration_too() -> None:
    network = RealNet(tiny().model, pretrained=False)
    assert network.config == tiny().model


def test_the_score_max_is_the_largest_pixel() -> None:
    maps = torch.rand(3, 1, 32, 48)
    assert image_score(maps, "max").tolist() == [max(m.flatten().tolist()) for m in maps]


def test_the_score_pooled16_is_the_largest_16_by_16_average() -> None:
    maps = torch.rand(2, 1, 20, 24)
    expected = [
        max(float(m[0, i : i + 16, j : j + 16].mean()) for i in range(20 - 15) for j in range(24 - 15)) for m in maps
    ]
    assert image_score(maps, "pooled16").tolist() == pytest.approx(expected, rel=1e-5)


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(ValueError, match="use max, pooled16 or top"):
        image_score(torch.rand(1, 1, 32, 32), "mean")


def test_the_score_top_is_the_mean_of_the_largest_pixels() -> None:
    maps = torch.rand(2, 1, 40, 50)
    expected = [sum(sorted(m.flatten().tolist())[-12:]) / 12 for m in maps]
    assert image_score(maps, "top").tolist() == pytest.approx(expected, rel=1e-5)


def test_a_subspace_takes_one_size() -> None:
    network = RealNet(tiny(*SOLVED), pretrained=False).eval()
    with torch.no_grad():
        found = network.judge(torch.rand(2, 3, 64, 64))
        with pytest.raises(ValueError, match="give 64x64 pixels, not 64x96"):
            network(torch.rand(2, 3, 64, 96))
    assert found.anomaly_map.shape == (2, 1, 64, 64)
    assert found.score.shape == (2,)


def test_layer_weights_are_one_a_reconstruction() -> None:
    with pytest.raises(UserError, match="has 2 weights for 4 reconstructions"):
        RealNet(tiny(*SOLVED, "model.discriminator.layer_weights=[1, 2]"), pretrained=False)
