"""The equations of the diffusion process, one function each.

Everywhere: ``x_0`` ``[B, 3, H, W]`` is an image in -1..1, ``x_t`` its noised form, ``index`` int64 ``[B]`` the place in
the schedule (the paper's t - 1), ``epsilon`` ``[B, 3, H, W]`` noise or its prediction. Coefficients are worked out in
float64 and applied in the type of ``x_t``.
"""

import torch
from torch import Tensor

from realnet.diffusion.schedule import Schedule


def at(values: Tensor, index: Tensor, like: Tensor) -> Tensor:
    """``values[index]`` as ``[B, 1, 1, 1]``, in type and place of ``like``.

    The few values go to where the index is: reading the index back would make the processor wait for a GPU.
    """
    return values.to(like.dtype).to(like.device, non_blocking=True)[index.to(like.device)][:, None, None, None]


def diffuse(schedule: Schedule, x_0: Tensor, index: Tensor, epsilon: Tensor) -> Tensor:
    """x_t ~ q(x_t | x_0) = N(sqrt(alpha-bar_t) x_0, (1 - alpha-bar_t) I) (Sec. 3.1)."""
    return at(schedule.alphas_bar.sqrt(), index, x_0) * x_0 + at((1 - schedule.alphas_bar).sqrt(), index, x_0) * epsilon


def predicted_image(schedule: Schedule, x_t: Tensor, index: Tensor, epsilon: Tensor) -> Tensor:
    """x_0 = (x_t - sqrt(1 - alpha-bar_t) epsilon) / sqrt(alpha-bar_t): `diffuse` solved for the image (Alg. S1)."""
    return (
        at((1 / schedule.alphas_bar).sqrt(), index, x_t) * x_t
        - at((1 / schedule.alphas_bar - 1).sqrt(), index, x_t) * epsilon
    )


def predicted_noise(schedule: Schedule, x_t: Tensor, index: Tensor, x_0: Tensor) -> Tensor:
    """Epsilon = (x_t - sqrt(alpha-bar_t) x_0) / sqrt(1 - alpha-bar_t): `diffuse` solved for the noise."""
    return (x_t - at(schedule.alphas_bar.sqrt(), index, x_t) * x_0) / at((1 - schedule.alphas_bar).sqrt(), index, x_t)


def reverse_mean(schedule: Schedule, x_t: Tensor, index: Tensor, epsilon: Tensor) -> Tensor:
    """mu_theta(x_t, t) = (x_t - beta_t / sqrt(1 - alpha-bar_t) epsilon) / sqrt(alpha_t) (Sec. 3.1)."""
    share = schedule.betas / (1 - schedule.alphas_bar).sqrt()
    return (x_t - at(share, index, x_t) * epsilon) * at(1 / schedule.alphas.sqrt(), index, x_t)


def posterior_mean(schedule: Schedule, x_0: Tensor, x_t: Tensor, index: Tensor) -> Tensor:
    """The mean of q(x_{t-1} | x_t, x_0) (Ho et al. 2020, Eq. 7); with `predicted_image` for x_0, `reverse_mean`."""
    alphas_bar, before = schedule.alphas_bar, schedule.alphas_bar_before
    of_image = before.sqrt() * schedule.betas / (1 - alphas_bar)
    of_noisy = schedule.alphas.sqrt() * (1 - before) / (1 - alphas_bar)
    return at(of_image, index, x_t) * x_0 + at(of_noisy, index, x_t) * x_t


def learned_log_variance(schedule: Schedule, index: Tensor, v: Tensor) -> Tensor:
    """log Sigma_theta = v log beta_t + (1 - v) log beta~_t (Eq. S1); ``v`` ``[B, 3, H, W]``, 0..1 between the two."""
    return v * at(schedule.betas.log(), index, v) + (1 - v) * at(schedule.log_posterior_variances, index, v)


def perturbed_sample(mean: Tensor, log_variance: Tensor, strength: Tensor, noise: Tensor) -> Tensor:
    """x'_{t-1} ~ N(mu_theta, (1 + s) Sigma_theta) (Eq. 2), ``[B, 3, H, W]`` all; strength s >= 0, ``[B]``, 0: plain."""
    return mean + (1 + strength).sqrt().to(mean)[:, None, None, None] * torch.exp(0.5 * log_variance) * noise


def deterministic_step(schedule: Schedule, x_0: Tensor, index: Tensor, epsilon: Tensor) -> Tensor:
    """The mean of Algorithm S1 (DDIM): sqrt(alpha-bar_{t-1}) x_0 + sqrt(1 - alpha-bar_{t-1}) epsilon."""
    before = schedule.alphas_bar_before
    return at(before.sqrt(), index, x_0) * x_0 + at((1 - before).sqrt(), index, x_0) * epsilon
