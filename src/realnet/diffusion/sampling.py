"""Strength-controllable Diffusion Anomaly Synthesis: Algorithm 1, and Algorithm S1 for DDIM."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from realnet.diffusion.process import (
    at,
    deterministic_step,
    diffuse,
    learned_log_variance,
    perturbed_sample,
    posterior_mean,
    predicted_image,
    predicted_noise,
)
from realnet.diffusion.schedule import Schedule

Network = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]
Guide = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Sampler = Literal["iddpm", "ddim"]
Perturbation = Literal["beta", "posterior", "learned"]


def image_noise(
    seed: int, numbers: Sequence[int], shape: tuple[int, int, int], device: torch.device | str
) -> Callable[[], Tensor]:
    """Standard normal noise ``[B, 3, H, W]`` a call, of which image number n's share depends on the seed and n only.

    ``shape`` is ``(3, H, W)``; ``device`` is where it is handed out: it is always drawn on the CPU, so that devices
    agree.
    """
    states = [np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] for number in numbers]
    generators = [torch.Generator().manual_seed(int(state >> 1)) for state in states]
    return lambda: torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(device)


@torch.no_grad()
def synthesise(
    network: Network,
    schedule: Schedule,
    noise: Callable[[], Tensor],
    strength: Tensor,
    category: Tensor | None = None,
    start: Tensor | None = None,
    sampler: Sampler = "iddpm",
    perturbation: Perturbation = "learned",
    guide: Guide | None = None,
) -> Tensor:
    """Images of the product, the more anomalous the larger ``strength``; 0 gives good ones.

    ``iddpm`` is Algorithm 1: x_{t-1} ~ N(mu_theta, (1 + s) Sigma_theta) (Eq. 2). ``ddim`` is Algorithm S1:
    x_{t-1} ~ N(the deterministic step, s Sigma), Sigma being beta_t, beta~_t (``posterior``) or Sigma_theta
    (``learned``). The predicted image is kept within -1..1 at every step, and the last step adds no noise, as is
    usual in both.

    Args:
        network: epsilon and v of ``x_t``, the timestep of training and the category; see `Denoiser`.
        schedule: the steps to be run, see `respaced`.
        noise: standard normal ``[B, 3, S, S]``, called once for the beginning and once a step but the last.
        strength: s >= 0, ``[B]``; about 0.1 to 0.2 for iddpm, 0.01 to 0.03 for ddim.
        category: ``[B]``, for a network that is conditioned.
        start: good images in -1..1 ``[B, 3, S, S]``, noised up to the schedule's last step, to begin with instead
            of pure noise: the structure stays, and ``schedule`` may end before T.
        perturbation: which Sigma ``ddim`` scales.
        guide: gradient of log p(category | x_t), see `guidance_gradient`; it moves the mean by Sigma times itself.

    Returns:
        x_0 ``[B, 3, S, S]`` in -1..1.
    """
    last = len(schedule) - 1
    x = noise()
    if start is not None:
        x = diffuse(schedule, start, _filled(last, x), x)
    for i in range(last, -1, -1):
        index = _filled(i, x)
        t = schedule.timesteps[index.cpu()].to(x.device)
        epsilon, v = network(x, t, category)
        epsilon, v = epsilon.float(), v.float()
        gradient = None if guide is None else guide(x, t, category)
        if sampler == "ddim" and gradient is not None:
            epsilon = epsilon - at((1 - schedule.alphas_bar).sqrt(), index, x) * gradient
        image = predicted_image(schedule, x, index, epsilon).clamp(-1, 1)
        if sampler == "iddpm":
            log_variance = learned_log_variance(schedule, index, v)
            mean = posterior_mean(schedule, image, x, index)
            if gradient is not None:
                mean = mean + log_variance.exp() * gradient
            x = perturbed_sample(mean, log_variance, strength, noise()) if i > 0 else mean
        else:
            mean = deterministic_step(schedule, image, index, predicted_noise(schedule, x, index, image))
            scale = strength.to(x)[:, None, None, None]
            variance = perturbation_variance(schedule, index, v, perturbation)
            x = mean + (scale * variance).sqrt() * noise() if i > 0 else mean
    return x.clamp(-1, 1)


def perturbation_variance(schedule: Schedule, index: Tensor, v: Tensor, kind: Perturbation) -> Tensor:
    """The Sigma of Algorithm S1: beta_t, beta~_t or Sigma_theta; broadcasts against ``v`` ``[B, 3, H, W]``."""
    if kind == "learned":
        return learned_log_variance(schedule, index, v).exp()
    return at(schedule.betas if kind == "beta" else schedule.posterior_variances, index, v)


def _filled(value: int, like: Tensor) -> Tensor:
    return torch.full((like.shape[0],), value, dtype=torch.long, device=like.device)
