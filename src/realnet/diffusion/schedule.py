"""The variances of the diffusion process, and fewer steps out of many."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from realnet.diffusion.config import ProcessConfig

# A variance of one would leave nothing of the image: the cosine schedule is cut off before (IDDPM, Sec. 3.2).
_LARGEST_BETA = 0.999


def linear_betas(steps: int) -> Tensor:
    """beta_1 .. beta_T, float64, rising from 1e-4 to 0.02 at T = 1000 (Ho et al. 2020); times 1000 / T otherwise."""
    scale = 1000 / steps
    return torch.linspace(1e-4 * scale, min(0.02 * scale, _LARGEST_BETA), steps, dtype=torch.float64)


def cosine_betas(steps: int) -> Tensor:
    """beta_t, float64, by alpha-bar ~ cos^2((t / T + 0.008) / 1.008 * pi / 2) (Nichol & Dhariwal 2021, Eq. 17)."""
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    alpha_bar = torch.cos((share + 0.008) / 1.008 * math.pi / 2).square()
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp_max(_LARGEST_BETA)


@dataclass(frozen=True)
class Schedule:
    """beta_t of a process, with what follows from it. Index i stands for the paper's t = i + 1.

    Args:
        betas: float64 ``[n]`` in 0..1.
        timesteps: int64 ``[n]``, the timestep of training that each one stands for: what the network is told.
        known: float64 ``[n]``, alpha-bar_t where it is known beforehand: the product of 1 - beta_t loses its digits
            where hardly anything of the image is left.
    """

    betas: Tensor
    timesteps: Tensor
    known: Tensor | None = None

    def __len__(self) -> int:
        return len(self.betas)

    @cached_property
    def alphas(self) -> Tensor:
        """alpha_t = 1 - beta_t."""
        return 1 - self.betas

    @cached_property
    def alphas_bar(self) -> Tensor:
        """alpha-bar_t, the product of alpha_1 .. alpha_t: the share of the image's variance left in x_t."""
        return self.alphas.cumprod(0) if self.known is None else self.known

    @cached_property
    def alphas_bar_before(self) -> Tensor:
        """alpha-bar_{t-1}; 1 at t = 1."""
        return torch.cat([self.alphas_bar.new_ones(1), self.alphas_bar[:-1]])

    @cached_property
    def posterior_variances(self) -> Tensor:
        """beta~_t = (1 - alpha-bar_{t-1}) / (1 - alpha-bar_t) beta_t, of q(x_{t-1} | x_t, x_0); 0 at t = 1 (App. B)."""
        return (1 - self.alphas_bar_before) / (1 - self.alphas_bar) * self.betas

    @cached_property
    def log_posterior_variances(self) -> Tensor:
        """log beta~_t; at t = 1, where that is minus infinity, the next one's (IDDPM), or beta's own if alone."""
        variances = self.posterior_variances.clone()
        variances[0] = variances[1] if len(variances) > 1 else self.betas[0]
        return variances.log()


def make_schedule(config: ProcessConfig) -> Schedule:
    """The process of training: all T timesteps."""
    betas = linear_betas(config.steps) if config.schedule == "linear" else cosine_betas(config.steps)
    return Schedule(betas, torch.arange(config.steps))


def respaced(schedule: Schedule, count: int, highest: int | None = None) -> Schedule:
    """``count`` timesteps spread evenly over the first ``highest`` of ``schedule`` (default: all), both ends included.

    The new betas keep alpha-bar at the timesteps that remain: beta' = 1 - alpha-bar_t / alpha-bar_{t before}
    (Nichol & Dhariwal 2021, Sec. 4). ``count`` above ``highest`` gives ``highest``; a count of one keeps the last.
    """
    highest = len(schedule) if highest is None else highest
    if not 1 <= highest <= len(schedule) or count < 1:
        raise ValueError(f"cannot take {count} of the first {highest} timesteps of {len(schedule)}")
    count = min(count, highest)
    spread = torch.linspace(0, highest - 1, count, dtype=torch.float64)
    kept = spread.round().long() if count > 1 else torch.tensor([highest - 1])
    alphas_bar = schedule.alphas_bar[kept]
    before = torch.cat([alphas_bar.new_ones(1), alphas_bar[:-1]])
    return Schedule(1 - alphas_bar / before, schedule.timesteps[kept], alphas_bar)
