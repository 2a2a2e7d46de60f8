"""Checkpoints of others, read without executing anything in them."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch


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
