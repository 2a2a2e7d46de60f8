"""The training loop of the diffusion model: Eq. S2 by Adam, with averaged weights, resumable at any step."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from lightning.fabric import Fabric
from torch import Tensor, nn

from realnet.acceleration import fuses
from realnet.diffusion.config import DenoiserTrainingConfig, DiffusionConfig
from realnet.diffusion.denoiser import Denoiser
from realnet.diffusion.noisy_batches import NoisedBatches
from realnet.diffusion.objective import hybrid_loss
from realnet.diffusion.process import diffuse
from realnet.diffusion.schedule import Schedule, make_schedule
from realnet.training.checkpoint import CHECKPOINT_FILE, load_checkpoint, save_checkpoint
from realnet.training.launch import Clock
from realnet.training.loop import CHECKPOINT_SECONDS


@dataclass
class Progress:
    """The part of the state that is no tensor. ``seconds`` counts all attempts together."""

    step: int = 0
    seconds: float = 0.0
    finished: bool = False
    losses: list[float] = field(default_factory=lambda: [0.0, 0.0])
    averaged: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    identity: str = ""


Report = Callable[[Progress, int], None]
# Judges the averaged weights at a step and returns what goes into the log.
Judge = Callable[[int], dict[str, Any]]


class NoisePrediction(nn.Module):
    """A forward pass that ends in the loss, so that Fabric's precision and DDP wrap all of it."""

    def __init__(self, denoiser: Denoiser, schedule: Schedule, weight: float) -> None:
        super().__init__()
        self.denoiser, self.schedule, self.weight = denoiser, schedule, weight

    def forward(self, images: Tensor, index: Tensor, epsilon: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor]:
        """L_simple and gamma L_vlb (Eq. S2), means over the batch."""
        x_t = diffuse(self.schedule, images, index, epsilon)
        t = self.schedule.timesteps.to(index.device)[index]
        predicted, v = self.denoiser(x_t, t, category)
        simple, variational = hybrid_loss(self.schedule, images, x_t, index, epsilon, predicted, v, self.weight)
        return simple.mean(), variational.mean()


def learning_rate(config: DenoiserTrainingConfig, step: int, fraction: float) -> float:
    """The rate of step ``step`` (from 0), at ``fraction`` (0..1) of the steps or the time budget."""
    rate = config.learning_rate * min(1.0, (step + 1) / (config.warm_up + 1))
    return rate if config.schedule == "constant" else rate * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))


def make_average(denoiser: Denoiser, config: DenoiserTrainingConfig) -> EMAModel:
    """The averaged weights; warmed up, the decay after n steps is at most (1 + n) / (10 + n)."""
    least = 0.0 if config.ema_warm_up else config.ema
    return EMAModel(denoiser.parameters(), decay=config.ema, min_decay=least)


def start_share(config: DenoiserTrainingConfig, step: int) -> float:
    """How much of the averaged weights after ``step`` steps is still what the first step left, 0..1."""
    share = 1.0
    for n in range(2, step + 1):  # the average begins with the first step's weights
        decay = min(config.ema, n / (9 + n)) if config.ema_warm_up else config.ema
        share *= decay
        if share < 1e-6:
            return 0.0
    return share


def optimise(
    fabric: Fabric,
    denoiser: Denoiser,
    batches: NoisedBatches,
    judge: Judge,
    config: DiffusionConfig,
    folder: Path,
    identity: str,
    time_budget: float | None = None,
    spent: float = 0.0,
    report: Report | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Train ``denoiser`` in place; on return it holds the averaged weights.

    Continues from the checkpoint in ``folder`` where there is one. Arguments as of `realnet.training.loop.optimise`;
    ``judge`` is called with the averaged weights in place, in the first process only. The batches of a step are divided
    evenly among the processes.
    """
    settings, steps = config.training, config.training.steps
    module = NoisePrediction(denoiser, make_schedule(config.process), config.process.variance_weight)
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.learning_rate, fused=fuses(fabric))
    progress, average = Progress(identity=identity), make_average(denoiser, settings)
    if (folder / CHECKPOINT_FILE).is_file():
        kept, progress = load_checkpoint(folder, module, optimizer, Progress)
        average.shadow_params = [kept[name] for name, _ in denoiser.named_parameters()]
        average.optimization_step = progress.step
    average.to(fabric.device)
    if progress.finished:
        average.copy_to(denoiser.parameters())
        denoiser.eval()
        return progress
    wrapped, optimizer = fabric.setup(module, optimizer)
    clock = Clock(progress.seconds + spent, time_budget)
    denoiser.train()
    saved = time.monotonic()
    share = settings.accumulate // fabric.world_size
    source = batches.starting_at(progress.step * share, fabric.device)
    while not progress.finished:
        # Under DDP the first process's clock and Ctrl-C count: all must take the same steps at the same rate.
        fraction = fabric.broadcast(max(progress.step / steps, clock.fraction()))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(settings, progress.step, fraction)
        optimizer.zero_grad(set_to_none=True)
        for part in range(share):
            with fabric.no_backward_sync(wrapped, enabled=part < share - 1):
                simple, variational = wrapped(*next(source))
                fabric.backward((simple + variational) / share)
            progress.losses[0] += simple.item()
            progress.losses[1] += variational.item()
            progress.averaged += 1
        fabric.clip_gradients(wrapped, optimizer, max_norm=settings.clip, error_if_nonfinite=False)
        optimizer.step()
        average.step(denoiser.parameters())
        progress.step += 1
        over, stopping = fabric.broadcast((clock.over(), stop()))
        progress.finished = progress.step >= steps or over
        progress.seconds = clock.seconds()
        due = progress.step % settings.report_every == 0 or progress.finished
        if due and fabric.is_global_zero:
            _note(progress, optimizer.param_groups[0]["lr"], _judged(judge, denoiser, average, progress.step))
        progress.seconds = clock.seconds()
        if fabric.is_global_zero and (due or stopping or time.monotonic() - saved > CHECKPOINT_SECONDS):
            names = [name for name, _ in denoiser.named_parameters()]
            save_checkpoint(folder, module, dict(zip(names, average.shadow_params, strict=True)), optimizer, progress)
            saved = time.monotonic()
        if report:
            report(progress, steps)
        if stopping:
            raise KeyboardInterrupt
    fabric.barrier()
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
    count = max(1, progress.averaged)
    progress.log.append(
        {
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            "learning_rate": rate,
            "simple_loss": progress.losses[0] / count,
            "variational_loss": progress.losses[1] / count,
            **judged,
        }
    )
    progress.losses, progress.averaged = [0.0, 0.0], 0
