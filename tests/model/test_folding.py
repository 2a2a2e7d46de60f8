"""Folded networks are the same functions."""

import pytest
import timm
import torch
from torch import Tensor, nn

from realnet.model.folding import fold_batch_norms


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
