"""The classifier of noised images: shapes, pooling, gradient, and that it learns."""

import sys
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from realnet.diffusion.classifier import (
    AttentionPool,
    ClassifierConfig,
    NoisyClassifier,
    classifier_loss,
    guidance_gradient,
)
from realnet.diffusion.denoiser import parameter_count
from realnet.errors import UserError

pytest.importorskip("diffusers")


def config(**changes: Any) -> ClassifierConfig:
    settings = {
        "image_size": 16,
        "width": 16,
        "multipliers": (1, 2),
        "residual_blocks": 1,
        "attention_at": (2,),
        "head_channels": 8,
        "categories": 2,
    }
    return ClassifierConfig(**{**settings, **changes})


def make(**changes: Any) -> NoisyClassifier:
    torch.manual_seed(0)
    return NoisyClassifier(config(**changes))


def images(count: int = 3, side: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


T = torch.tensor([0, 400, 999])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"categories": 7},
        {"patch": 2},
        {"patch": 4, "image_size": 32},
        {"multipliers": (1,), "attention_at": ()},
        {"multipliers": (1, 1, 3), "groups": 5, "residual_blocks": 2},
    ],
)
def test_shapes(changes: dict[str, Any]) -> None:
    classifier = make(**changes).eval()
    logits = classifier(images(side=classifier.config.image_size), T)
    assert logits.shape == (3, classifier.config.categories)
    assert logits.dtype == torch.float32 and logits.isfinite().all()


def test_the_size_of_the_default_network() -> None:
    with torch.device("meta"):
        classifier = NoisyClassifier(ClassifierConfig(categories=1000))
    assert parameter_count(classifier) == 54_096_360


def test_image_timestep_and_every_parameter_count() -> None:
    classifier = make(residual_blocks=2).eval()
    x = images()
    logits = classifier(x, T)
    assert not torch.allclose(logits, classifier(x, T + 100), atol=1e-4)
    assert not torch.allclose(logits, classifier(x.flip(0), T), atol=1e-4)
    assert torch.allclose(logits[1:2], classifier(x[1:2], T[1:2]), atol=1e-5), "images do not mix"
    logits.square().sum().backward()
    assert [n for n, p in classifier.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"categories": 1}, "categories"),
        ({"image_size": 18, "multipliers": (1, 1, 1)}, "classifier.image_size=18 must be a multiple of 4"),
        ({"image_size": 20, "patch": 4}, "must be a multiple of 8 with patch 4"),
        ({"patch": 3}, "patch"),
        ({"depth": 3}, "depth"),
    ],
)
def test_configurations_that_are_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        config(**changes)


def test_categories_have_to_be_named() -> None:
    with pytest.raises(ValidationError, match="categories"):
        ClassifierConfig()  # type: ignore[call-arg]


def test_without_diffusers_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match="need the package diffusers"):
        make()


def test_the_pool_is_attention_of_the_mean() -> None:
    torch.manual_seed(0)
    pool = AttentionPool(8, 2, 4, 3)
    x = torch.randn(2, 8, 2, 2)
    expected = []
    for image in x:
        grid = [image[:, i, j] for i in range(2) for j in range(2)]
        tokens = torch.stack([sum(grid, torch.zeros(8)) / 4, *grid]) + pool.places
        query, key, value = pool.query(tokens[0]), pool.key_value(tokens)[:, :8], pool.key_value(tokens)[:, 8:]
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            weights = torch.softmax(key[:, head] @ query[head] / 2, 0)
            heads.append((weights[:, None] * value[:, head]).sum(0))
        expected.append(pool.out(torch.cat(heads)))
    torch.testing.assert_close(pool(x), torch.stack(expected))
    assert not torch.allclose(pool(x), pool(x.flip(3)), atol=1e-4), "places matter"


@pytest.mark.parametrize(("channels", "head_channels", "heads"), [(8, 64, 1), (96, 64, 1), (30, 4, 6), (64, 16, 4)])
def test_heads_divide_the_channels(channels: int, head_channels: int, heads: int) -> None:
    assert AttentionPool(channels, 1, head_channels, 2).heads == heads


def test_the_loss_is_cross_entropy_of_each_image() -> None:
    classifier = make(categories=3).eval()
    category = torch.tensor([2, 0, 1])
    x = images()
    loss = classifier_loss(classifier, x, T, category)
    logits = classifier(x, T)
    expected = torch.stack([-logits[i].softmax(0)[category[i]].log() for i in range(3)])
    torch.testing.assert_close(loss, expected)


class Bright(nn.Module):
    """Two categories: p of the second is the sigmoid of the pixels' sum times ``weight``."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        logit = self.weight * x.sum((1, 2, 3))
        return torch.stack([torch.zeros_like(logit), logit], 1)


def test_the_gradient_in_closed_form() -> None:
    x, category = 0.1 * images(side=2), torch.tensor([0, 1, 1])
    gradient = guidance_gradient(Bright(0.5), x, T, category, scale=3.0)
    p = torch.sigmoid(0.5 * x.sum((1, 2, 3)))
    expected = 3.0 * 0.5 * (category - p)  # d log p / d logit is 1 - p of the second category, -p of the first
    torch.testing.assert_close(gradient, expected[:, None, None, None].expand_as(x))


def test_the_gradient_against_differences() -> None:
    classifier = make().double().eval()
    x, category = images().double(), torch.tensor([0, 1, 1])
    gradient = guidance_gradient(classifier, x, T, category)
    direction = images(seed=1).double()

    def log_p(x: Tensor) -> Tensor:
        with torch.no_grad():
            return classifier(x, T).double().log_softmax(1)[torch.arange(3), category]

    slope = (log_p(x + 1e-2 * direction) - log_p(x - 1e-2 * direction)) / 2e-2
    torch.testing.assert_close((gradient * direction).sum((1, 2, 3)), slope, rtol=1e-2, atol=1e-4)


def test_the_gradient_leaves_everything_else_alone() -> None:
    classifier, x, category = make().eval(), images(), torch.tensor([0, 1, 1])
    with torch.no_grad():
        gradient = guidance_gradient(classifier, x, T, category)
    assert gradient.shape == x.shape and not gradient.requires_grad and gradient.abs().sum() > 0
    assert not x.requires_grad and all(parameter.grad is None for parameter in classifier.parameters())
    assert torch.equal(2 * gradient, guidance_gradient(classifier, x, T, category, scale=2.0))


def test_it_learns_two_categories_and_its_gradient_leads_there() -> None:
    classifier = make(image_size=16, patch=2)
    optimiser = torch.optim.Adam(classifier.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(0)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        category = torch.arange(16) % 2
        bright = (2.0 * category - 1)[:, None, None, None]
        x = 0.5 * bright + 0.5 * torch.randn(16, 3, 16, 16, generator=generator)
        return x, torch.randint(0, 1000, (16,), generator=generator), category

    for _ in range(12):
        loss = classifier_loss(classifier, *batch()).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    classifier.eval()
    x, t, category = batch()
    assert (classifier(x, t).argmax(1) == category).all()
    wanted = 1 - category
    before = classifier_loss(classifier, x, t, wanted)
    gradient = guidance_gradient(classifier, x, t, wanted)
    moved = x + 0.5 * gradient / gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
    assert (classifier_loss(classifier, moved, t, wanted) < before).all()
