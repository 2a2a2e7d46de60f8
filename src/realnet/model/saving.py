"""Networks as safetensors files, nothing pickled; that of a run."""

import math
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from realnet.atomic import atomic_path
from realnet.errors import UserError
from realnet.model.network import RealNet
from realnet.run_folder import CONFIG_FILE, MODEL_FILE, Run
from realnet.taught import SUBSPACES_FILE

_BASIS = ".basis"
# What a run is taught changes these, and nothing else.
TAUGHT_PARTS = ("reconstruction.", "discriminator.")


def save_model(folder: Path, model: RealNet) -> None:
    """Write every tensor of ``model`` (the frozen backbone too: a run stands on its own).

    Raises:
        UserError: where the folder cannot be written or the disk is full.
    """
    save_weights(folder / MODEL_FILE, model)


def save_weights(path: Path, module: nn.Module, parts: tuple[str, ...] = ("",)) -> None:
    """Write every tensor of ``module`` to ``path``, whole or not at all.

    The bases of subspaces, by far the largest, are written in half precision, to which they are rounded anyway.

    Args:
        parts: what the names of those begin with that are written; default: all.

    Raises:
        UserError: where the folder cannot be written or the disk is full.
    """
    state = {name: tensor for name, tensor in module.state_dict().items() if name.startswith(parts)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    write_tensors(path, {name: t.half() if name.endswith(_BASIS) else t for name, t in tensors.items()})


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write ``tensors`` to ``path`` as safetensors, whole or not at all.

    Raises:
        UserError: where the folder cannot be written or the disk is full.
    """
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error


def read_weights(path: Path, module: nn.Module, parts: tuple[str, ...] = ("",)) -> dict[str, Tensor]:
    """The tensors of ``path``, which are those of ``module`` by name, shape and type, and finite. Nothing is unpickled.

    Args:
        parts: what the names of those begin with that the file has; default: all.

    Raises:
        UserError: for a damaged or foreign file, or numbers that are not finite.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged or no safetensors file ({error}). Train again or restore it.") from error
    expected = {name: tensor for name, tensor in module.state_dict().items() if name.startswith(parts)}
    wrong = sorted(set(expected) ^ set(tensors))
    wrong += [n for n in expected if n in tensors and not _fits(n, tensors[n], expected[n])]
    if wrong:
        raise UserError(f"{path} does not belong to its {CONFIG_FILE}: {wrong[0]} and {len(wrong) - 1} more differ.")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not math.isfinite(float(tensor.abs().sum(dtype=torch.float64))):
            raise UserError(f"{path} holds numbers that are not finite in {name}. Train again or restore it.")
    return tensors


def _fits(name: str, stored: Tensor, expected: Tensor) -> bool:
    """Whether a stored tensor is one of the module; how many components a subspace has, only the file knows."""
    if name.endswith(_BASIS):
        return stored.ndim == 2 and stored.shape[1] == expected.shape[1] and stored.dtype == torch.float16
    return (stored.shape, stored.dtype) == (expected.shape, expected.dtype)


def load_model(run: Run, device: str | torch.device = "cpu") -> RealNet:
    """The network of ``run``, with what it was taught, in eval mode. Nothing is unpickled.

    Raises:
        UserError: for a folder that is no run, a damaged or foreign weight file, weights not finite, or a network
            that finds no room in memory.
    """
    config, path = run.config, run.folder / MODEL_FILE
    if not path.is_file():
        raise UserError(f"{run.folder} has no {MODEL_FILE}: its training has not finished. Continue it with --resume.")
    try:
        model = RealNet(config, pretrained=False)
    except (RuntimeError, MemoryError) as error:
        reason = (str(error).splitlines() or ["no memory"])[0][-200:]
        raise UserError(
            f"The network of {run.folder / CONFIG_FILE} cannot be built ({reason}). "
            "Restore that file from the run that made it."
        ) from error
    tensors = read_weights(path, model)
    for name, tensor in tensors.items():
        if "afs.index_" in name:
            channels = model.backbone.channels[int(name.rsplit("_", 1)[1])]
            if int(tensor.min()) < 0 or int(tensor.max()) >= channels:
                raise UserError(f"{path} selects channels that its backbone does not have. Train again or restore it.")
    if run.taught is not None:
        tensors |= read_weights(run.taught / SUBSPACES_FILE, model, TAUGHT_PARTS)
    model.load_state_dict(tensors)
    return model.to(device).to(memory_format=torch.channels_last).eval()
