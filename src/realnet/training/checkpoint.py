"""Where training stands, in one file that appears whole or not at all, without pickle."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from realnet.model.saving import write_tensors
from realnet.overriding import reading

CHECKPOINT_FILE = "checkpoint.safetensors"
_AGAIN = "delete it and train again"


@dataclass
class Progress:
    """The part of the state that is no tensor.

    ``seconds`` counts all attempts together; ``losses`` are sums of ``averaged`` batches; ``best_value``, ``best_step``
    and ``bad_validations`` are of the detector, whose states are chosen among.
    """

    step: int = 0
    seconds: float = 0.0
    best_value: float = -1.0
    best_step: int = 0
    bad_validations: int = 0
    finished: bool = False
    losses: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    averaged: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    identity: str = ""


def save_checkpoint(
    folder: Path, model: nn.Module, best: dict[str, Tensor], optimizer: torch.optim.Optimizer | None,
    progress: Progress,
) -> None:  # fmt: skip
    """Write model, best state so far (or what else is to be kept), optimiser (None: no training) and progress."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for number, state in optimizer.state_dict()["state"].items() if optimizer is not None else ():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_tensors(folder / CHECKPOINT_FILE, kept, {"progress": json.dumps(asdict(progress))})


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None
) -> tuple[dict[str, Tensor], Progress]:
    """Restore ``model`` and ``optimizer`` in place; the best state so far, and progress; UserError where damaged."""
    path = folder / CHECKPOINT_FILE
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    with reading(path, _AGAIN):
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            for name in file.keys():  # noqa: SIM118 - safe_open is no mapping
                part, _, rest = name.partition(".")
                parts[part][rest] = file.get_tensor(name)
        model.load_state_dict(parts["model"])
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            number, _, rest = name.partition(".")
            states.setdefault(int(number), {})[rest] = tensor
        if optimizer is not None:
            optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return parts["best"], progress


def read_progress(folder: Path) -> Progress | None:
    """The progress of the run in ``folder``, or None where there is no checkpoint."""
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    with reading(path, _AGAIN), safe_open(path, framework="pt") as file:
        return Progress(**json.loads(file.metadata()["progress"]))
