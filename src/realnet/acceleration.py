"""What NVIDIA GPUs do faster without a change of the method: products in TF32, one kernel for the optimiser's step."""

import os

import torch
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


def fuses(fabric: Fabric) -> bool | None:
    """The optimisers' ``fused``: True on an NVIDIA GPU, otherwise None (PyTorch's choice).

    Not with 16-mixed, whose gradients are scaled: a fused step undoes that itself, too late to clip them.
    """
    scaled = getattr(fabric.strategy.precision, "scaler", None) is not None
    return True if fabric.device.type == "cuda" and not scaled else None
