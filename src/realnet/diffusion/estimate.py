"""What training will need, said before it starts: memory, images seen, time."""

import os
import time
from dataclasses import dataclass

import torch
from lightning.fabric import Fabric
from torch import Tensor

from realnet.diffusion.config import DenoiserConfig, DiffusionConfig
from realnet.diffusion.denoiser import Denoiser, parameter_count
from realnet.diffusion.denoiser_training import NoisePrediction
from realnet.diffusion.noisy_batches import NoisedBatch
from realnet.errors import UserError

# Weights, their gradients, Adam's two moments, and the averaged weights.
_COPIES = 5


@dataclass(frozen=True)
class Estimate:
    """``memory`` in bytes for a batch on one device, ``step_seconds`` for a whole step, ``images`` a step takes."""

    parameters: int
    memory: int
    step_seconds: float
    images: int

    def sentence(self, steps: int, done: int, time_budget: float | None) -> str:
        """What a user asks first."""
        seconds = (steps - done) * self.step_seconds
        count = steps - done
        if time_budget is not None and time_budget < seconds:
            count, seconds = max(1, int(time_budget / self.step_seconds)), time_budget
        return (
            f"{self.parameters / 1e6:.1f} M parameters, about {self.memory / 2**30:.1f} GiB of memory; {count} steps "
            f"see {count * self.images} images in about {duration(seconds)} ({self.step_seconds:.2f} s a step)."
        )


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def check_memory(device: torch.device, config: DiffusionConfig) -> int:
    """The bytes that training needs on a device, before anything is allocated; UserError where the device has less."""
    size = config.training.batch_size
    with torch.device("meta"):
        parameters = parameter_count(Denoiser(config.denoiser, torch.ones(1)))
    needed = _COPIES * 4 * parameters + activation_bytes(config.denoiser, size)
    there = device_memory(device)
    if there is not None and needed > there:
        raise UserError(
            f"Training needs about {needed / 2**30:.1f} GiB and {device} has {there / 2**30:.1f} GiB: "
            + (f"lower training.batch_size={size} and raise training.accumulate, or " if size > 1 else "")
            + "choose a smaller preset, such as gpu or lite."
        )
    return needed


def estimate_training(
    fabric: Fabric, module: NoisePrediction, batch: NoisedBatch, config: DiffusionConfig, memory: int
) -> Estimate:
    """Measure one forward and backward pass; ``memory`` as `check_memory` found it."""
    seconds = min(_timed(fabric, module, batch) for _ in range(2))
    count = config.training.accumulate
    return Estimate(
        parameter_count(module), memory, seconds * count / fabric.world_size, count * config.training.batch_size
    )


def _timed(fabric: Fabric, module: NoisePrediction, batch: NoisedBatch) -> float:
    _finish(fabric.device)
    started = time.monotonic()
    with fabric.autocast():
        loss, *_ = module(*batch)
    loss.backward()
    _finish(fabric.device)
    module.zero_grad(set_to_none=True)
    return time.monotonic() - started


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def activation_bytes(config: DenoiserConfig, batch_size: int) -> int:
    """What a forward pass of ``batch_size`` images keeps for the backward pass; nothing is computed, nor allocated."""
    with torch.device("meta"):
        model = Denoiser(config, torch.ones(1))
    size = config.image_size
    x = torch.empty(batch_size, 3, size, size, device="meta")
    t = torch.zeros(batch_size, dtype=torch.long, device="meta")
    category = t if config.categories else None
    parameters = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(x, t, category)
    return sum(kept.values())


def device_memory(device: torch.device) -> int | None:
    """The memory of a device in bytes; None where it cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "cpu" and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
