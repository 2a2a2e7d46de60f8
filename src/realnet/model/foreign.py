"""Checkpoints of others, read without executing anything in them."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from realnet.errors import UserError


class _Ignored:
    """Stands for an object that is no tensor, so that it need not be made: it forgets what it is given."""

    def __new__(cls, *_: Any) -> "_Ignored":
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


# The RealNet authors save their settings and a figure beside the weights. A table is read as a table of ours, a number
# of NumPy's not at all.
_BYSTANDERS: list[Any] = [
    (OrderedDict, "easydict.EasyDict"),
    (_Ignored, "numpy.dtype"),
    (_Ignored, "numpy.core.multiarray.scalar"),
    (_Ignored, "numpy._core.multiarray.scalar"),
]


def load_foreign(file: Path) -> Any:
    """What a torch file holds: tensors and plain containers; others are refused by torch's errors, or forgotten."""
    with torch.serialization.safe_globals(_BYSTANDERS):
        return torch.load(file, map_location="cpu", weights_only=True)


def read_foreign(file: Path, give: str, what: str = "weights") -> Any:
    """What a safetensors file, or, as :func:`load_foreign`, a torch file holds; UserError, with what to ``give``."""
    try:
        return load_file(file) if file.suffix == ".safetensors" else load_foreign(file)
    except Exception as error:
        raise UserError(f"{file} cannot be read as {what} ({error.__class__.__name__}); {give}.") from error


def tensors_in(loaded: Any, file: Path, give: str, within: Sequence[str] = ("state_dict",)) -> dict[str, Tensor]:
    """The tensors by name in what was ``loaded``, in the first table there is of ``within``, else itself; UserError."""
    found = next((loaded[key] for key in within if key in loaded), loaded) if isinstance(loaded, dict) else None
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{file} holds no table of tensors; {give}.")
    return found
