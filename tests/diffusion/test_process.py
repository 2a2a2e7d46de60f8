"""The equations of the process against each other, Bayes' rule, and draws."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from realnet.diffusion.process import (
    deterministic_step,
    diffuse,
    learned_log_variance,
    perturbed_sample,
    posterior_mean,
    predicted_image,
    predicted_noise,
    reverse_mean,
)
from realnet.diffusion.schedule import Schedule, cosine_betas, linear_betas, respaced


def schedule(kind: str = "linear", steps: int = 1000) -> Schedule:
    return Schedule(linear_betas(steps) if kind == "linear" else cosine_betas(steps), torch.arange(steps))


def draw(seed: int, count: int = 4, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 3, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype)


INDEX = torch.tensor([0, 1, 400, 998])


def test_noised_by_the_closed_form_with_each_image_s_own_timestep() -> None:
    made = schedule()
    x_0, epsilon = draw(0), draw(1)
    x_t = diffuse(made, x_0, INDEX, epsilon)
    for b, t in enumerate(INDEX.tolist()):
        bar = math.prod((1 - made.betas[: t + 1]).tolist())
        torch.testing.assert_close(x_t[b], math.sqrt(bar) * x_0[b] + math.sqrt(1 - bar) * epsilon[b])


def test_noised_as_in_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    x_0, epsilon = draw(0).float(), draw(1).float()
    theirs = diffusers.DDPMScheduler().add_noise(x_0, epsilon, INDEX)
    torch.testing.assert_close(diffuse(schedule(), x_0, INDEX, epsilon), theirs, rtol=1e-4, atol=1e-4)


@given(st.sampled_from(["linear", "cosine"]), st.integers(2, 300), st.integers(1, 300), st.data())
@settings(max_examples=40, deadline=None)
def test_there_and_back(kind: str, steps: int, count: int, data: st.DataObject) -> None:
    made = respaced(schedule(kind, steps), count)
    index = torch.tensor(data.draw(st.lists(st.integers(0, len(made) - 1), min_size=3, max_size=3)))
    x_0, epsilon = draw(0, 3), draw(1, 3)
    x_t = diffuse(made, x_0, index, epsilon)
    torch.testing.assert_close(predicted_image(made, x_t, index, epsilon), x_0, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(predicted_noise(made, x_t, index, x_0), epsilon, rtol=1e-6, atol=1e-6)
    two_ways = reverse_mean(made, x_t, index, epsilon), posterior_mean(made, x_0, x_t, index)
    torch.testing.assert_close(*two_ways, rtol=1e-6, atol=1e-6)


def test_steps_one_by_one_add_up_to_the_closed_form() -> None:
    """q(x_t | x_{t-1}) = N(sqrt(alpha_t) x_{t-1}, beta_t), composed: factor and variance of x_t given x_0."""
    made = schedule("cosine", 20)
    factor, variance = 1.0, 0.0
    one, zero = torch.ones(1, 3, 2, 2, dtype=torch.float64), torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    for i, beta in enumerate(made.betas.tolist()):
        factor, variance = math.sqrt(1 - beta) * factor, (1 - beta) * variance + beta
        index = torch.tensor([i])
        assert float(diffuse(made, one, index, zero)[0, 0, 0, 0]) == pytest.approx(factor)
        assert float(diffuse(made, zero, index, one)[0, 0, 0, 0] ** 2) == pytest.approx(variance)


@pytest.mark.parametrize("i", [1, 5, 18])
@pytest.mark.parametrize(("x_0", "x_t"), [(0.4, -0.9), (-1.0, 0.3)])
def test_the_posterior_by_bayes_rule(i: int, x_0: float, x_t: float) -> None:
    """q(x_{t-1} | x_t, x_0) is q(x_t | x_{t-1}) q(x_{t-1} | x_0), normalised on a fine grid."""
    made = schedule("linear", 20)
    beta, before = float(made.betas[i]), float(made.alphas_bar_before[i])
    x = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    log_density = -((x_t - math.sqrt(1 - beta) * x).square() / (2 * beta)) - (
        (x - math.sqrt(before) * x_0).square() / (2 * (1 - before))
    )
    weights = log_density.softmax(0)
    mean = float((weights * x).sum())
    variance = float((weights * (x - mean).square()).sum())
    full = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    found = posterior_mean(made, x_0 * full, x_t * full, torch.tensor([i]))
    torch.testing.assert_close(found, mean * full, rtol=1e-6, atol=1e-6)
    assert float(made.posterior_variances[i]) == pytest.approx(variance, rel=1e-5)


def test_the_first_step_s_posterior_is_the_image() -> None:
    x_0 = draw(0)
    torch.testing.assert_close(posterior_mean(schedule(), x_0, draw(1), torch.zeros(4, dtype=torch.long)), x_0)


def test_the_variance_lies_between_the_two_geometrically() -> None:
    made = schedule()
    like = torch.ones(4, 3, 2, 2, dtype=torch.float64)
    low, high = made.posterior_variances[INDEX].clone(), made.betas[INDEX]
    low[0] = made.posterior_variances[1]
    for v, expected in ((0.0, low), (1.0, high), (0.5, (low * high).sqrt()), (2.0, high.square() / low)):
        found = learned_log_variance(made, INDEX, v * like).exp()
        torch.testing.assert_close(found, expected[:, None, None, None] * like)


def test_each_pixel_has_a_v_of_its_own() -> None:
    made, v = schedule(), draw(3)
    found = learned_log_variance(made, INDEX, v)
    beta, posterior = float(made.betas[400]), float(made.posterior_variances[400])
    expected = float(v[2, 1, 0, 1]) * math.log(beta) + (1 - float(v[2, 1, 0, 1])) * math.log(posterior)
    assert float(found[2, 1, 0, 1]) == pytest.approx(expected)


def test_no_strength_is_plain_sampling() -> None:
    mean, log_variance, noise = draw(0), draw(1), draw(2)
    plain = mean + log_variance.exp().sqrt() * noise
    torch.testing.assert_close(perturbed_sample(mean, log_variance, torch.zeros(4), noise), plain)


@given(st.lists(st.floats(0, 5), min_size=4, max_size=4))
@settings(max_examples=30, deadline=None)
def test_the_variance_is_scaled_by_one_plus_strength(strengths: list[float]) -> None:
    mean, log_variance, noise = draw(0), draw(1), draw(2)
    strength = torch.tensor(strengths, dtype=torch.float64)
    moved = perturbed_sample(mean, log_variance, strength, noise) - mean
    expected = (1 + strength)[:, None, None, None] * log_variance.exp() * noise.square()
    torch.testing.assert_close(moved.square(), expected)
    assert torch.equal(moved.sign(), noise.sign())


def test_the_variance_of_many_draws() -> None:
    """Eq. 2: the sum of a plain step, N(mu, Sigma), and a perturbation, N(0, s Sigma)."""
    generator = torch.Generator().manual_seed(0)
    strength, variance = torch.tensor([0.0, 0.2, 1.0]), 0.3
    noise = torch.randn(3, 3, 200, 200, generator=generator)
    mean, log_variance = torch.full_like(noise, 0.7), torch.full_like(noise, math.log(variance))
    drawn = perturbed_sample(mean, log_variance, strength, noise)
    torch.testing.assert_close(drawn.var((1, 2, 3)), (1 + strength) * variance, rtol=0.02, atol=0)
    torch.testing.assert_close(drawn.mean((1, 2, 3)), torch.full((3,), 0.7), rtol=0, atol=0.01)


def test_the_deterministic_step_keeps_image_and_noise() -> None:
    """Algorithm S1's mean is x_{t-1} of the same image and the same noise; at t = 1, the image."""
    made, x_0, epsilon = schedule(), draw(0), draw(1)
    found = deterministic_step(made, x_0, INDEX, epsilon)
    torch.testing.assert_close(found[1:], diffuse(made, x_0, INDEX - 1, epsilon)[1:])
    torch.testing.assert_close(found[0], x_0[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_image_s_type_is_kept(dtype: torch.dtype) -> None:
    made, x = schedule(), draw(0).to(dtype)
    for result in (
        diffuse(made, x, INDEX, x),
        predicted_image(made, x, INDEX, x),
        predicted_noise(made, x, INDEX, x),
        reverse_mean(made, x, INDEX, x),
        posterior_mean(made, x, x, INDEX),
        learned_log_variance(made, INDEX, x),
        perturbed_sample(x, x, torch.zeros(4), x),
        deterministic_step(made, x, INDEX, x),
    ):
        assert result.dtype == dtype and result.shape == x.shape


def test_a_place_in_the_schedule_is_never_read_back() -> None:
    """What lies on the meta device has no values to be read: as on a GPU, that would wait for all work before it."""
    x = torch.empty(4, 3, 2, 2, device="meta")
    found = diffuse(schedule(), x, torch.empty(4, dtype=torch.long, device="meta"), x)
    assert found.device.type == "meta" and found.shape == x.shape
