"""The reconstruction networks: shapes, start, attention, norms, gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from realnet.config import ReconstructionConfig
from realnet.model.unet import ResidualBlock, SelfAttention, SimpleUNet, UNet, group_norm, pad_to_multiple
from tests.model.brute import perturb

NETWORKS = [UNet, SimpleUNet]
CONFIG = ReconstructionConfig(residual_blocks=1, head_channels=8)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 7), (8, 10), (9, 4)])
def test_any_size_is_reconstructed_at_that_size(network: type[nn.Module], size: tuple[int, int]) -> None:
    model = network(24, CONFIG).eval()
    perturb(model)
    out = model(torch.randn(2, 24, *size))
    assert out.shape == (2, 24, *size)
    assert out.isfinite().all()


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("multipliers", [(1,), (1, 2), (1, 1, 2, 3)])
def test_any_number_of_levels(network: type[nn.Module], multipliers: tuple[int, ...]) -> None:
    config = ReconstructionConfig(residual_blocks=2, multipliers=multipliers, width=0.3, head_channels=8)
    assert network(20, config).eval()(torch.randn(1, 20, 6, 11)).shape == (1, 20, 6, 11)


def test_the_output_starts_at_zero() -> None:
    model = UNet(16, CONFIG)
    assert torch.equal(model(torch.randn(2, 16, 8, 8)), torch.zeros(2, 16, 8, 8))


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients_reach_every_weight(network: type[nn.Module]) -> None:
    model = network(24, CONFIG)
    perturb(model)
    model(torch.randn(2, 24, 8, 8)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if parameter.ndim > 1:  # biases before a norm, and of the keys, cancel out
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("network", NETWORKS)
def test_fine_structure_passes_by_the_skip_connections(network: type[nn.Module]) -> None:
    # What a low-resolution bottleneck alone cannot carry: one pixel changes its own place most.
    model = network(16, CONFIG).eval()
    perturb(model)
    x = torch.randn(1, 16, 16, 16)
    y = x.clone()
    y[:, :, 5, 9] += 1
    change = (model(y) - model(x)).square().sum(1)[0]
    row, column = divmod(int(change.argmax()), 16)
    assert abs(row - 5) <= 2
    assert abs(column - 9) <= 2


@pytest.mark.parametrize(("channels", "head_channels"), [(16, 8), (24, 24), (10, 64), (20, 8), (25, 8)])
def test_attention_is_softmax_of_scaled_products(channels: int, head_channels: int) -> None:
    attention = SelfAttention(channels, head_channels)
    perturb(attention)
    x = torch.randn(2, channels, 3, 4)
    d = channels // attention.heads
    qkv_bias, out_bias = attention.qkv.bias, attention.out.bias
    assert qkv_bias is not None and out_bias is not None
    normal = F.group_norm(x, attention.norm.num_groups, attention.norm.weight, attention.norm.bias)
    expected = torch.empty(2, channels, 12)
    for b in range(2):
        qkv = attention.qkv.weight[:, :, 0] @ normal[b].flatten(1) + qkv_bias[:, None]
        for head in range(attention.heads):
            q, k, v = qkv[head * 3 * d : (head + 1) * 3 * d].split(d)
            for i in range(12):
                weight = ((q[:, i] @ k) / math.sqrt(d)).exp()
                expected[b, head * d : (head + 1) * d, i] = v @ (weight / weight.sum())
        expected[b] = attention.out.weight[:, :, 0] @ expected[b] + out_bias[:, None]
    torch.testing.assert_close(attention(x), x + expected.reshape(x.shape), atol=1e-5, rtol=1e-4)


def test_attention_starts_as_the_identity_with_64_channels_a_head() -> None:
    attention = SelfAttention(256, 64)
    x = torch.randn(1, 256, 2, 2)
    assert attention.heads == 4
    assert torch.equal(attention(x), x)


def test_group_counts() -> None:
    assert [group_norm(c).num_groups for c in (24, 56, 160, 64, 512, 37)] == [24, 28, 32, 32, 32, 1]


@settings(max_examples=30, deadline=None)
@given(channels=st.integers(1, 400))
def test_the_group_count_is_the_largest_that_divides(channels: int) -> None:
    groups = group_norm(channels).num_groups
    assert channels % groups == 0
    assert all(channels % more for more in range(groups + 1, 33))


@pytest.mark.parametrize(("resample", "size"), [("down", (4, 3)), ("up", (16, 12)), (None, (8, 6))])
def test_residual_blocks_resample_both_paths(resample: str | None, size: tuple[int, int]) -> None:
    block = ResidualBlock(6, 10, resample)
    x = torch.randn(1, 6, 8, 6)
    assert block(x).shape == (1, 10, *size)
    for parameter in block.conv.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(block(x), block.skip(block.resample_x(x)))
    if resample == "down":
        torch.testing.assert_close(block(x), block.skip(F.avg_pool2d(x, 2)))


@settings(max_examples=20, deadline=None)
@given(h=st.integers(1, 9), w=st.integers(1, 9), multiple=st.sampled_from([1, 2, 4, 8]))
def test_padding_repeats_the_edge_and_is_cropped_away(h: int, w: int, multiple: int) -> None:
    x = torch.randn(1, 2, h, w)
    padded = pad_to_multiple(x, multiple)
    assert padded.shape[2] % multiple == padded.shape[3] % multiple == 0
    assert padded.shape[2] - h < multiple
    assert padded.shape[3] - w < multiple
    assert torch.equal(padded[..., :h, :w], x)
    assert torch.equal(padded[:, :, -1, -1], x[:, :, -1, -1])


def test_the_simple_network_has_instance_norm() -> None:
    assert {type(m) for m in SimpleUNet(8, CONFIG).modules() if "Norm" in type(m).__name__} == {nn.InstanceNorm2d}
