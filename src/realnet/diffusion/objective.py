"""The training objective: Eq. 1, S2 and S3. Values are means over elements, in nats, one an image."""

import math

import torch
from torch import Tensor

from realnet.diffusion.process import at, learned_log_variance, posterior_mean, reverse_mean
from realnet.diffusion.schedule import Schedule


def simple_loss(epsilon: Tensor, predicted: Tensor) -> Tensor:
    """L_simple = ||epsilon - epsilon_theta(x_t, t)||^2 (Eq. 1) of ``[B, 3, H, W]`` both: ``[B]``."""
    return (epsilon - predicted).square().mean((1, 2, 3))


def gaussian_divergence(mean_a: Tensor, log_variance_a: Tensor, mean_b: Tensor, log_variance_b: Tensor) -> Tensor:
    """D_KL(N(mean_a, exp(log_variance_a)) || N(mean_b, exp(log_variance_b))), element by element."""
    return 0.5 * (
        log_variance_b
        - log_variance_a
        - 1
        + torch.exp(log_variance_a - log_variance_b)
        + (mean_a - mean_b).square() * torch.exp(-log_variance_b)
    )


def discretised_log_likelihood(x_0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log p of the grey level of ``x_0`` (one of 256 in -1..1): the normal's mass between its neighbours' midpoints.

    The lowest and highest level take the tails (Ho et al. 2020, Eq. 13).
    """
    scale = torch.exp(-0.5 * log_variance)
    above = _normal_cdf(scale * (x_0 - mean + 1 / 255))
    below = _normal_cdf(scale * (x_0 - mean - 1 / 255))
    upper = torch.where(x_0 > 0.999, torch.ones_like(above), above)
    lower = torch.where(x_0 < -0.999, torch.zeros_like(below), below)
    return (upper - lower).clamp_min(1e-12).log()


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def variational_term(schedule: Schedule, x_0: Tensor, x_t: Tensor, index: Tensor, epsilon: Tensor, v: Tensor) -> Tensor:
    """L_{t-1} of Eq. S3: D_KL(q(x_{t-1}|x_t, x_0) || p_theta(x_{t-1}|x_t)), or -log p_theta(x_0|x_1) at t = 1, ``[B]``.

    ``epsilon`` and ``v`` are the network's; a detached epsilon trains the variance only. Worked out in float32 whatever
    the network's precision: variances reach 1e-5.
    """
    epsilon, v = epsilon.float(), v.float()
    mean = reverse_mean(schedule, x_t, index, epsilon)
    log_variance = learned_log_variance(schedule, index, v)
    true_mean = posterior_mean(schedule, x_0, x_t, index)
    true_log_variance = at(schedule.log_posterior_variances, index, x_t)
    divergence = gaussian_divergence(true_mean, true_log_variance, mean, log_variance).mean((1, 2, 3))
    surprise = -discretised_log_likelihood(x_0, mean, log_variance).mean((1, 2, 3))
    return torch.where(index.to(x_0.device) == 0, surprise, divergence)


def hybrid_loss(
    schedule: Schedule,
    x_0: Tensor,
    x_t: Tensor,
    index: Tensor,
    epsilon: Tensor,
    predicted: Tensor,
    v: Tensor,
    weight: float,
) -> tuple[Tensor, Tensor]:
    """L_hybrid = L_simple + gamma L_vlb (Eq. S2), with the gradient of mu_theta stopped in L_vlb: both parts, ``[B]``.

    L_vlb, a sum over all t, is estimated by T times the term of the one t that was drawn. L_T has no parameter.
    ``epsilon`` is the true noise, ``predicted`` and ``v`` are what the network says, ``weight`` is gamma.
    """
    term = variational_term(schedule, x_0, x_t, index, predicted.detach(), v)
    return simple_loss(epsilon, predicted.float()), weight * len(schedule) * term
