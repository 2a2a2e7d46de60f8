"""Where a network runs: one word for it everywhere, settled once torch has agreed to it."""

import torch

from realnet.errors import UserError, plural

AUTO = "auto"


def choose_device(name: str | torch.device = AUTO) -> str:
    """The device that ``name`` means, once a tensor was put there; UserError for one that is not there.

    ``auto`` is an NVIDIA GPU, then Apple's, then the CPU; otherwise ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    """
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = best if str(name) == AUTO else str(name)
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"There is no device {device!r} here: use auto, cpu, or cuda with a GPU.") from error
    return device


def describe_device(device: str) -> str:
    """``device`` with the name of the GPU, or how many threads the CPU has for it."""
    kind = torch.device(device).type
    if kind == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if kind == "cpu":
        return f"cpu ({plural(torch.get_num_threads(), 'thread')})"
    return device
