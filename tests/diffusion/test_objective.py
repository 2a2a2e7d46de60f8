"""The objective against torch.distributions, sums over all grey levels, and brute force; where gradients stop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from realnet.diffusion.objective import (
    discretised_log_likelihood,
    gaussian_divergence,
    hybrid_loss,
    simple_loss,
    variational_term,
)
from realnet.diffusion.process import diffuse
from realnet.diffusion.schedule import Schedule, linear_betas, respaced

WHOLE = Schedule(linear_betas(1000), torch.arange(1000))
FEW = respaced(WHOLE, 6)


def draw(seed: int, count: int = 3) -> Tensor:
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def grey(seed: int, count: int = 3) -> Tensor:
    """Images of 256 levels in -1..1."""
    levels = torch.randint(0, 256, (count, 3, 4, 4), generator=torch.Generator().manual_seed(seed))
    return levels / 127.5 - 1


def test_the_simple_loss_by_a_loop() -> None:
    a, b = draw(0), draw(1)
    pairs = [zip(p.flatten().tolist(), q.flatten().tolist(), strict=True) for p, q in zip(a, b, strict=True)]
    expected = [sum((p - q) ** 2 for p, q in pair) / 48 for pair in pairs]
    assert simple_loss(a, b).tolist() == pytest.approx(expected, rel=1e-5)


NUMBERS = st.floats(-3, 3)


@given(NUMBERS, st.floats(-8, 3), NUMBERS, st.floats(-8, 3))
@settings(max_examples=60, deadline=None)
def test_the_divergence_of_two_normals(mean_a: float, log_a: float, mean_b: float, log_b: float) -> None:
    numbers = [torch.tensor(x, dtype=torch.float64) for x in (mean_a, log_a, mean_b, log_b)]
    expected = kl_divergence(Normal(numbers[0], (numbers[1] / 2).exp()), Normal(numbers[2], (numbers[3] / 2).exp()))
    torch.testing.assert_close(gaussian_divergence(*numbers), expected, rtol=1e-9, atol=1e-9)


@given(st.floats(-1.5, 1.5), st.floats(-9, 2))
@settings(max_examples=40, deadline=None)
def test_the_levels_probabilities_sum_to_one(mean: float, log_variance: float) -> None:
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    p = discretised_log_likelihood(levels, torch.full_like(levels, mean), torch.full_like(levels, log_variance)).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-8)


def test_the_probability_of_a_level_is_the_mass_around_it() -> None:
    level, mean, deviation = 100, -0.2, 0.01
    x = torch.tensor(level / 127.5 - 1, dtype=torch.float64)
    normal = Normal(torch.tensor(mean, dtype=torch.float64), deviation)
    grid = torch.linspace(float(x) - 1 / 255, float(x) + 1 / 255, 10_001, dtype=torch.float64)
    expected = torch.trapezoid(normal.log_prob(grid).exp(), grid)
    found = discretised_log_likelihood(x, normal.mean, torch.tensor(2 * math.log(deviation), dtype=torch.float64))
    assert float(found.exp()) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_the_end_levels_take_the_tails(side: float) -> None:
    x = torch.tensor(side)
    assert float(discretised_log_likelihood(x, 5 * x, torch.tensor(-4.0))) == pytest.approx(0, abs=1e-6)
    assert float(discretised_log_likelihood(-x, 5 * x, torch.tensor(-4.0))) == pytest.approx(math.log(1e-12))


def brute_term(schedule: Schedule, x_0: Tensor, x_t: Tensor, i: int, epsilon: Tensor, v: Tensor) -> float:
    """Eq. S3 for one image, the mean over elements; from the definitions, in double precision."""
    x_0, x_t, epsilon, v = (x.double() for x in (x_0, x_t, epsilon, v))
    beta, bar = float(schedule.betas[i]), float(schedule.alphas_bar[i])
    before = float(schedule.alphas_bar[i - 1]) if i else 1.0
    of_first = (1 - float(schedule.alphas_bar[0])) / (1 - float(schedule.alphas_bar[1])) * float(schedule.betas[1])
    tilde = (1 - before) / (1 - bar) * beta if i else of_first
    model = Normal(
        (x_t - beta / math.sqrt(1 - bar) * epsilon) / math.sqrt(1 - beta),
        torch.exp(v * math.log(beta) + (1 - v) * math.log(tilde)).sqrt(),
    )
    if i == 0:
        upper = torch.where(x_0 > 0.999, 1.0, model.cdf(x_0 + 1 / 255))
        lower = torch.where(x_0 < -0.999, 0.0, model.cdf(x_0 - 1 / 255))
        return float(-(upper - lower).clamp_min(1e-12).log().mean())
    mean = (math.sqrt(before) * beta * x_0 + math.sqrt(1 - beta) * (1 - before) * x_t) / (1 - bar)
    return float(kl_divergence(Normal(mean, math.sqrt(tilde)), model).mean())


@pytest.mark.parametrize("schedule", [WHOLE, FEW], ids=["whole", "few"])
def test_the_variational_terms_by_brute_force(schedule: Schedule) -> None:
    last = len(schedule) - 1
    index = torch.tensor([0, 1, last])
    x_0, noise = grey(0), draw(1)
    x_t = diffuse(schedule, x_0, index, noise)
    predicted, v = noise + 0.1 * draw(2), draw(3).sigmoid()
    terms = variational_term(schedule, x_0, x_t, index, predicted, v)
    expected = [brute_term(schedule, x_0[b], x_t[b], i, predicted[b], v[b]) for b, i in enumerate(index.tolist())]
    assert terms.tolist() == pytest.approx(expected, rel=2e-3)


def test_the_perfect_prediction_costs_nothing() -> None:
    index = torch.tensor([1, 3, 5])
    x_0, noise = grey(0), draw(1)
    x_t = diffuse(FEW, x_0, index, noise)
    none = torch.zeros_like(x_0)
    assert variational_term(FEW, x_0, x_t, index, noise, none).abs().max() < 1e-6
    assert (variational_term(FEW, x_0, x_t, index, noise + 0.1, none) > 1e-4).all()
    assert (variational_term(FEW, x_0, x_t, index, noise, none + 0.5)[:2] > 1e-3).all()  # at last beta~ is beta


def hybrid(weight: float, predicted: Tensor, v: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    x_0, noise = grey(0), draw(1)
    return hybrid_loss(FEW, x_0, diffuse(FEW, x_0, index, noise), index, noise, predicted, v, weight)


INDEX = torch.tensor([0, 2, 5])


def test_the_hybrid_loss_is_made_of_both() -> None:
    x_0, noise = grey(0), draw(1)
    predicted, v = 0.8 * noise, draw(2).sigmoid()
    simple, variational = hybrid(0.001, predicted, v, INDEX)
    assert torch.equal(simple, simple_loss(noise, predicted))
    term = variational_term(FEW, x_0, diffuse(FEW, x_0, INDEX, noise), INDEX, predicted, v)
    torch.testing.assert_close(variational, 0.001 * 6 * term)  # the sum over T, estimated by one of its terms


def test_the_variational_part_trains_the_variance_only() -> None:
    predicted = (0.8 * draw(1)).requires_grad_()
    v = draw(2).sigmoid().requires_grad_()
    simple, variational = hybrid(0.001, predicted, v, INDEX)
    of_noise, of_v = torch.autograd.grad(variational.sum(), [predicted, v], allow_unused=True)
    assert of_noise is None or not of_noise.any(), "the mean's gradient is stopped"
    assert (of_v.abs().sum((1, 2, 3)) > 0).all()
    of_noise, of_v = torch.autograd.grad(simple.sum(), [predicted, v], allow_unused=True)
    torch.testing.assert_close(of_noise, 2 * (predicted.detach() - draw(1)) / 48)
    assert of_v is None or not of_v.any()


def test_a_too_small_variance_is_pushed_up() -> None:
    """Where the mean is off, Eq. S3 wants more than beta~: descending on v must raise it."""
    v = torch.zeros_like(draw(1)).requires_grad_()
    _, variational = hybrid(1.0, torch.zeros_like(draw(1)), v, torch.tensor([1, 2, 3]))
    (gradient,) = torch.autograd.grad(variational.sum(), v)
    assert (gradient.mean((1, 2, 3)) < 0).all()


def test_without_weight_the_simple_loss_is_left() -> None:
    predicted, v = (0.8 * draw(1)).requires_grad_(), draw(2).sigmoid().requires_grad_()
    simple, variational = hybrid(0.0, predicted, v, INDEX)
    assert simple.min() > 0 and torch.equal(variational.detach(), torch.zeros(3))
    (simple + variational).sum().backward()
    assert predicted.grad is not None and predicted.grad.any()
    assert v.grad is None or not v.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_predictions_in_half_precision(dtype: torch.dtype) -> None:
    """They are rounded when they arrive; nothing is rounded after."""
    predicted, v = (0.8 * draw(1)).to(dtype), draw(2).sigmoid().to(dtype)
    halves, floats = hybrid(0.001, predicted, v, INDEX), hybrid(0.001, predicted.float(), v.float(), INDEX)
    for half, whole in zip(halves, floats, strict=True):
        assert half.dtype == torch.float32
        assert torch.equal(half, whole)


def test_gradients_are_finite_at_both_ends() -> None:
    x_0, noise = grey(0), draw(1)
    index = torch.tensor([0, 999, 0])
    v = draw(2).requires_grad_()
    far = 50 * draw(3)
    _, variational = hybrid_loss(WHOLE, x_0, diffuse(WHOLE, x_0, index, noise), index, noise, far, v, 0.001)
    variational.sum().backward()
    assert variational.isfinite().all() and v.grad is not None and v.grad.isfinite().all()
