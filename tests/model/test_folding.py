"""Folded networks are the same functions."""

import pytest
import timm
import torch
from torch import Tensor, nn

from realnet import presets
from realnet.model.folding import Product, fold, fold_batch_norms, use_products
from realnet.model.network import RealNet
from realnet.model.subspace import Gram, Subspace, set_subspace


def stirred(network: nn.Module) -> nn.Module:
    """With statistics and affine maps that matter."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.3, generator=generator)
    return network.eval()


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "wide_resnet50_2"])
def test_backbones_lose_all_their_batch_norms_and_give_the_same(name: str) -> None:
    network = stirred(timm.create_model(name, pretrained=False, features_only=True, out_indices=(1, 2, 3)))
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = network(image)
        count = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        assert fold_batch_norms(network, torch.rand(1, 3, 32, 32)) == count > 10
        assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        for old, new in zip(before, network(image), strict=True):
            torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-4 * float(old.abs().max()))


class Shared(nn.Module):
    """One convolution in two places, a BatchNorm without convolution, one after another layer, one of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.once = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 3, bias=False)
        self.first, self.alone, self.after_relu = nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.BatchNorm2d(4)
        self.own, self.last, self.plain = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False)
        self.batch = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.twice(self.alone(x))) + self.twice(x)
        x = self.plain(self.own(self.after_relu(self.once(x).relu())))
        return self.batch(self.last(x))


def test_what_may_not_be_folded_stays() -> None:
    network = stirred(Shared())
    image = torch.rand(2, 3, 8, 8)
    before = network(image)
    assert fold_batch_norms(network, image) == 1
    assert isinstance(network.plain, nn.Identity)
    for stays in (network.first, network.alone, network.after_relu, network.batch):
        assert isinstance(stays, nn.BatchNorm2d)
    torch.testing.assert_close(network(image), before)


def test_no_hook_stays_behind() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    fold_batch_norms(network, torch.rand(1, 3, 2, 2))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_1x1_convolution_is_a_product(channels_last: bool) -> None:
    network = nn.Sequential(nn.Conv2d(5, 7, 1), nn.ReLU(), nn.Conv2d(7, 6, 1, bias=False), nn.Conv2d(6, 6, 3, groups=2))
    x = torch.randn(2, 5, 9, 4)
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    with torch.no_grad():
        before = network(x)
        use_products(network)
        assert [type(module) for module in network] == [Product, nn.ReLU, Product, nn.Conv2d]
        torch.testing.assert_close(network(x), before)


def test_a_folded_inspector_judges_alike() -> None:
    config = presets["lite"].model.model_copy(update={"image_size": 64})
    model = stirred(RealNet(config, pretrained=False))
    assert isinstance(model, RealNet)
    generator = torch.Generator().manual_seed(0)
    for network in model.reconstruction.networks:
        assert isinstance(network, Subspace)
        maps = torch.randn(70, network.mean.numel(), generator=generator)
        set_subspace(network, *Gram(maps).fit(range(70), 1.0, 256))
        assert len(network.basis) > 2 * 32, "in several parts"
    model.to(memory_format=torch.channels_last)
    image = torch.rand(3, 3, 64, 64, generator=generator).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        before = model.judge(image)
        fold(model)
        after = model.judge(image)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.backbone.modules())
    torch.testing.assert_close(after.anomaly_map, before.anomaly_map, atol=1e-4, rtol=0)
    torch.testing.assert_close(after.score, before.score, atol=1e-4, rtol=0)
