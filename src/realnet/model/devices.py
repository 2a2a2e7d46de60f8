"""Where a network runs, once torch has agreed to it."""

import torch

from realnet.errors import UserError


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
