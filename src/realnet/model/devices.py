"""Where a network runs, once torch has agreed to it."""

import torch

from realnet.errors import UserError

AUTO = "auto"


def check_device(name: str | torch.device) -> str | torch.device:
    """``name``, once a tensor was put there.

    Raises:
        UserError: for a device that does not exist or is not there.
    """
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"There is no device {str(name)!r} here: use cpu, or cuda with a GPU.") from error
    return name


def choose_device(name: str | torch.device = AUTO) -> str:
    """The device that ``name`` means, once a tensor was put there.

    Args:
        name: ``auto`` (an NVIDIA GPU, then Apple's, then the CPU), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        UserError: for a device that does not exist or is not there.
    """
    device = _best() if str(name) == AUTO else str(name)
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"There is no device {device!r} here: use auto, cpu, or cuda with a GPU.") from error
    return device


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
