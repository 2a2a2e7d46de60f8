"""RRS (Sec. 3.3) against loops over the samples."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from realnet.config import RrsConfig
from realnet.model.rrs import RRS, global_residual, selected_share, top_channels
from tests.model.brute import bilinear, perturb

WIDTHS = (5, 4, 3)


def residual(seed: int = 0, batch: int = 4) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    scale = torch.rand(batch, sum(WIDTHS), 1, 1, generator=g) * 10
    return scale * torch.rand(batch, sum(WIDTHS), 6, 7, generator=g).pow(4)


def selection(mode: str, retention: float = 0.5, momentum: float = 0.9) -> RRS:
    config = {"mode": mode, "retention": retention, "momentum": momentum}
    module = RRS(sum(WIDTHS), RrsConfig.model_validate(config))
    perturb(module)
    return module


def test_coarse_residuals_are_upsampled_with_aligned_corners_and_concatenated() -> None:
    layers = [torch.rand(2, 3, 8, 12), torch.rand(2, 2, 4, 6), torch.rand(2, 1, 2, 3), torch.rand(2, 2, 1, 1)]
    together = global_residual(layers, (8, 12))
    expected = torch.cat([layers[0], *(bilinear(layer, (8, 12)) for layer in layers[1:])], 1)
    torch.testing.assert_close(together, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_top_channels_of_each_sample(pooling: str) -> None:
    x = residual()
    index = top_channels(x, 5, pooling)
    for sample, chosen in zip(x, index, strict=True):
        scores = [float(c.max() if pooling == "max" else c.mean()) for c in sample]
        assert chosen.tolist() == sorted(range(len(scores)), key=lambda c: -scores[c])[:5]


def test_max_finds_small_spots_and_mean_large_spans() -> None:
    x = torch.zeros(1, 3, 8, 8)
    x[0, 0, 3, 3] = 9
    x[0, 1] = 1
    assert top_channels(x, 1, "max").item() == 0
    assert top_channels(x, 1, "mean").item() == 1


def brute_force(module: RRS, x: Tensor, mode: str, r: int) -> Tensor:
    """Eval mode: per sample, rank by the normalised, hand on the others."""
    mean, var = module.ranking.running_mean, module.ranking.running_var
    assert mean is not None
    assert var is not None
    samples = []
    for sample in x:
        channels = range(len(sample))
        ranked = [(sample[c] - mean[c]) / math.sqrt(float(var[c]) + module.ranking.eps) for c in channels]
        by_max = sorted(channels, key=lambda c: -float(ranked[c].max()))
        by_mean = sorted(channels, key=lambda c: -float(ranked[c].mean()))
        if mode == "max&mean":
            chosen = by_max[: r // 2] + by_mean[: r - r // 2]
        elif mode == "off":
            chosen = list(channels)
        else:
            chosen = (by_max if mode == "max" else by_mean)[:r]
        samples.append(torch.stack([sample[c] for c in chosen]))
    return torch.stack(samples)


@pytest.mark.parametrize("mode", ["max", "mean", "max&mean", "off"])
@pytest.mark.parametrize("retention", [0.25, 0.4, 0.75])
def test_selection_of_each_mode(mode: str, retention: float) -> None:
    module = selection(mode, retention).eval()
    r = 12 if mode == "off" else round(12 * retention)
    x = residual()
    out = module(x)
    assert out.shape[1] == module.r == r
    assert torch.equal(out, brute_force(module, x, mode, r)), "the residuals handed on are not normalised"


@pytest.mark.parametrize(
    ("mode", "retention", "r"),
    [
        ("max&mean", 1 / 3, 4),
        ("max", 1 / 3, 4),
        ("mean", 0.01, 2),
        ("max&mean", 0.25, 3),
        ("max", 1.0, 12),
        ("off", 0.1, 12),
    ],
)
def test_how_many_are_retained(mode: str, retention: float, r: int) -> None:
    assert selection(mode, retention).r == r


def test_channels_are_ranked_by_their_own_statistics() -> None:
    """A channel that is always large says nothing; one that is large for its kind does."""
    x = torch.full((1, 12, 4, 4), 1.0)
    x[:, 0] = 100
    x[:, 5] = 3
    module = selection("max", 0.01).eval()
    module.ranking.running_mean = x[0, :, 0, 0].clone()
    module.ranking.running_mean[5] = 0.5
    module.ranking.running_var = torch.ones(12)
    assert torch.equal(module(x)[:, :1], x[:, 5:6])


def test_the_ranking_learns_its_statistics_in_training_only() -> None:
    module = selection("max&mean", momentum=0.9)
    x = residual()
    assert module.ranking.running_mean is not None
    before = module.ranking.running_mean.clone()
    module.eval()(x)
    assert torch.equal(module.ranking.running_mean, before)
    module.train()(x)
    torch.testing.assert_close(module.ranking.running_mean, 0.1 * before + 0.9 * x.mean((0, 2, 3)))


def test_training_ranks_by_the_batch_and_keeps_gradients() -> None:
    module = selection("mean", 0.25).train()
    x = residual().requires_grad_()
    out = module(x)
    normal = F.batch_norm(x.detach(), None, None, training=True)
    index = top_channels(normal, 3, "mean")
    assert torch.equal(out.detach(), torch.stack([s[i] for s, i in zip(x.detach(), index, strict=True)]))
    out.sum().backward()
    assert x.grad is not None
    for sample, chosen in zip(x.grad, index, strict=True):
        assert {c for c in range(12) if sample[c].any()} == set(chosen.tolist())
    assert list(module.parameters()) == []


@pytest.mark.parametrize("mode", ["max", "mean", "max&mean", "off"])
@pytest.mark.parametrize("retention", [0.2, 0.5, 1.0])
def test_the_share_of_a_layer_by_a_loop(mode: str, retention: float) -> None:
    x = residual()
    typical = torch.rand(12, generator=torch.Generator().manual_seed(3)) + 0.5
    kept = selected_share(x, typical, mode, retention)
    r = max(2, round(12 * retention))
    for sample, own in zip(x, kept[:, :, 0, 0], strict=True):
        largest = sorted(range(12), key=lambda c: -float(sample[c].max() / typical[c]))
        mean = sorted(range(12), key=lambda c: -float(sample[c].mean()))
        expected = {
            "max": set(largest[:r]),
            "mean": set(mean[:r]),
            "max&mean": set(largest[: r // 2]) | set(mean[: r - r // 2]),
            "off": set(range(12)),
        }[mode]
        assert {c for c in range(12) if own[c]} == expected


def test_a_layer_of_one_channel_is_handed_on() -> None:
    for mode in ("max", "mean", "max&mean", "off"):
        assert selected_share(torch.rand(3, 1, 4, 4), torch.ones(1), mode, 0.3).sum() == 3
