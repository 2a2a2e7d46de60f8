"""Training of the diffusion model: Eq. S2 by Adam, with averaged weights."""

import math
from collections.abc import Callable
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from lightning.fabric import Fabric
from torch import Tensor, nn

from realnet.acceleration import fuses
from realnet.diffusion.config import DenoiserTrainingConfig, DiffusionConfig, ProcessConfig
from realnet.diffusion.denoiser import Denoiser
from realnet.diffusion.noisy_batches import NoisedBatches
from realnet.diffusion.objective import hybrid_loss
from realnet.diffusion.process import diffuse
from realnet.diffusion.schedule import make_schedule
from realnet.training.checkpoint import CHECKPOINT_FILE, Progress, load_checkpoint
from realnet.training.engine import Control, Optimisation, mean_losses, run_steps

# Judges the averaged weights at a step and returns what goes into the log.
Judge = Callable[[int], dict[str, Any]]


class NoisePrediction(nn.Module):
    """A forward pass that ends in the loss, so that Fabric's precision and DDP wrap all of it."""

    def __init__(self, denoiser: Denoiser, process: ProcessConfig) -> None:
        super().__init__()
        self.denoiser, self.schedule, self.weight = denoiser, make_schedule(process), process.variance_weight

    def forward(self, images: Tensor, index: Tensor, epsilon: Tensor, category: Tensor | None) -> tuple[Tensor, ...]:
        """L_hybrid, L_simple and gamma L_vlb (Eq. S2), means over the batch."""
        x_t = diffuse(self.schedule, images, index, epsilon)
        t = self.schedule.timesteps.to(index.device)[index]
        predicted, v = self.denoiser(x_t, t, category)
        simple, variational = hybrid_loss(self.schedule, images, x_t, index, epsilon, predicted, v, self.weight)
        simple, variational = simple.mean(), variational.mean()
        return simple + variational, simple, variational


def learning_rate(config: DenoiserTrainingConfig, step: int, fraction: float) -> float:
    """The rate of step ``step`` (from 0), at ``fraction`` (0..1) of the steps or the time budget."""
    rate = config.learning_rate * min(1.0, (step + 1) / (config.warm_up + 1))
    return rate if config.schedule == "constant" else rate * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))


def start_share(config: DenoiserTrainingConfig, step: int) -> float:
    """How much of the averaged weights after ``step`` steps is still what the first step left, 0..1."""
    # The average begins with the first step's weights.
    return math.prod(min(config.ema, n / (9 + n)) if config.ema_warm_up else config.ema for n in range(2, step + 1))


def optimise(
    fabric: Fabric,
    denoiser: Denoiser,
    batches: NoisedBatches,
    judge: Judge,
    config: DiffusionConfig,
    identity: str,
    control: Control,
) -> Progress:
    """Train ``denoiser`` in place; on return it holds the averaged weights.

    Continues from the checkpoint in ``control.folder`` where there is one. Arguments as of
    `realnet.training.loop.optimise`; ``judge`` is called with the averaged weights in place, in the first process only.
    The batches of a step are divided evenly among the processes.
    """
    settings = config.training
    module = NoisePrediction(denoiser, config.process)
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.learning_rate, fused=fuses(fabric))
    progress = Progress(identity=identity)
    # Warmed up, the decay after n steps is at most (1 + n) / (10 + n). Of all tensors at once: one by one, hundreds of
    # small kernels a step keep a GPU waiting.
    least = 0.0 if settings.ema_warm_up else settings.ema
    average = EMAModel(denoiser.parameters(), decay=settings.ema, min_decay=least, foreach=True)
    if (control.folder / CHECKPOINT_FILE).is_file():
        kept, progress = load_checkpoint(control.folder, module, optimizer)
        average.shadow_params = [kept[name] for name, _ in denoiser.named_parameters()]
        average.optimization_step = progress.step
    average.to(fabric.device)
    if not progress.finished:

        def note(progress: Progress, rate: float) -> None:
            if fabric.is_global_zero:
                _note(progress, rate, _judged(judge, denoiser, average, progress.step))

        denoiser.train()
        share = settings.accumulate // fabric.world_size
        work = Optimisation(
            module, optimizer, lambda step: batches.starting_at(step * share, fabric.device), settings.steps,
            lambda step, fraction: learning_rate(settings, step, fraction), note, settings.report_every,
            lambda: dict(zip(dict(denoiser.named_parameters()), average.shadow_params, strict=True)),
            share, settings.clip, lambda: average.step(denoiser.parameters()),
        )  # fmt: skip
        run_steps(fabric, work, progress, control)
    average.copy_to(denoiser.parameters())
    denoiser.eval()
    return progress


def _judged(judge: Judge, denoiser: Denoiser, average: EMAModel, step: int) -> dict[str, Any]:
    """What ``judge`` says of the averaged weights; the trained ones are put back."""
    average.store(denoiser.parameters())
    average.copy_to(denoiser.parameters())
    denoiser.eval()
    try:
        return judge(step)
    finally:
        average.restore(denoiser.parameters())
        denoiser.train()


def _note(progress: Progress, rate: float, judged: dict[str, Any]) -> None:
    _, simple, variational = mean_losses(progress)
    progress.log.append(
        {
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            "learning_rate": rate,
            "simple_loss": simple,
            "variational_loss": variational,
            **judged,
        }
    )
