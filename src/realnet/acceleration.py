"""What NVIDIA GPUs do faster without a change of the method: products in TF32, one kernel for the optimiser's step."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from realnet.model.devices import choose_device, describe_device

if TYPE_CHECKING:
    from lightning.fabric import Fabric

TF32_SENTENCE = (
    "Single-precision convolutions and matrix products run in TF32 on this GPU (10 bits of mantissa, several times as "
    "fast); NVIDIA_TF32_OVERRIDE=0 in the environment turns that off."
)


def allow_tf32(device: str | torch.device) -> bool:
    """Let float32 convolutions and products on an NVIDIA GPU run in TF32, for this process; whether they do now.

    On other devices nothing is changed. NVIDIA's own variable ``NVIDIA_TF32_OVERRIDE=0`` counts more.
    """
    if torch.device(device).type != "cuda":
        return False
    allowed = os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
    return allowed


def use_device(name: str, say: Callable[[str], None], parts: int = 1) -> str:
    """The device that ``name`` means, once torch has agreed to it, TF32 is allowed and a line has said which it is.

    ``parts`` devices of that kind are used (training). UserError for a device that does not exist or is not there.
    """
    device = choose_device(name)
    several = f", {parts} of them" if parts > 1 else ""
    say(f"Device: {describe_device(device)}{several}.")
    if allow_tf32(device):
        say(TF32_SENTENCE)
    return device


def fuses(fabric: "Fabric") -> bool | None:
    """The optimisers' ``fused``: True on an NVIDIA GPU, otherwise None (PyTorch's choice).

    Not with 16-mixed, whose gradients are scaled: a fused step undoes that itself, too late to clip them.
    """
    if fabric.device.type != "cuda":
        return None
    return None if getattr(fabric.strategy.precision, "scaler", None) is not None else True
