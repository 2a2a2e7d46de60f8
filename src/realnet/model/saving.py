"""Networks as safetensors files, nothing pickled; that of a run."""

import hashlib
import math
import threading
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from realnet.atomic import atomic_path
from realnet.config import BackboneConfig
from realnet.errors import UserError
from realnet.model.joined import JoinedNet
from realnet.model.network import RealNet
from realnet.run_folder import CONFIG_FILE, MODEL_FILE, Run, unfinished
from realnet.taught import SUBSPACES_FILE

_BASIS = ".basis"
# Whose network inspectors share, and what its digest is called in a file.
_SHARED, _DIGEST = "backbone.network.", "backbone"
# What a run is taught changes these, and nothing else.
TAUGHT_PARTS = ("reconstruction.", "discriminator.", "familiarity.")
# The part of them that only confirmed defects bring.
_CONFIRMED = "discriminator.confirmed."


def save_weights(path: Path, module: nn.Module, parts: tuple[str, ...] = ("",)) -> None:
    """Write every tensor of ``module`` whose name begins with one of ``parts`` to ``path``, whole or not at all.

    Of a run's model the frozen backbone is one of them: a run stands on its own.
    The bases of subspaces, by far the largest, are written in half precision, to which they are rounded anyway.
    """
    state = {name: tensor for name, tensor in module.state_dict().items() if name.startswith(parts)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    shared = {name: tensor for name, tensor in tensors.items() if name.startswith(_SHARED)}
    facts = {_DIGEST: tensors_digest(shared)} if shared else None
    write_tensors(path, {name: t.half() if name.endswith(_BASIS) else t for name, t in tensors.items()}, facts)


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of tensors on the CPU, by their names and numbers."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class Backbones:
    """Frozen networks that inspectors of one process share: each is read, checked and kept once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], nn.Module] = {}
        self._lock = threading.Lock()

    def find(self, config: BackboneConfig, digest: str) -> nn.Module | None:
        """The network of these weights, on the CPU."""
        return self._kept.get((config.model_dump_json(), digest))

    def keep(self, config: BackboneConfig, network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
        """``network``, whose weights are ``tensors``, or one of the same weights that is there."""
        with self._lock:
            # What a file says of itself would let one inspector see through another's eyes.
            return self._kept.setdefault((config.model_dump_json(), tensors_digest(tensors)), network)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write ``tensors`` to ``path`` as safetensors, whole or not at all."""
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:  # how safetensors reports a full disk
            raise OSError(str(error)) from error


def read_weights(
    path: Path, module: nn.Module, parts: tuple[str, ...] = ("",), besides: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    """The tensors of ``path``, which are those of ``module`` by name, shape and type, and finite. Nothing is unpickled.

    Names that begin with one of ``parts`` are in the file; those that begin with one of ``besides`` are there
    already, and not read. UserError for a damaged or foreign file, or numbers that are not finite.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not name.startswith(besides)]  # noqa: SIM118 (no mapping)
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged or no safetensors file ({error}). Train again or restore it.") from error
    state = module.state_dict()
    expected = {n: tensor for n, tensor in state.items() if n.startswith(parts) and not n.startswith(besides)}
    wrong = sorted(set(expected) ^ set(tensors))
    wrong += [n for n in expected if n in tensors and not _fits(n, tensors[n], expected[n])]
    if wrong:
        raise UserError(f"{path} does not belong to its {CONFIG_FILE}: {wrong[0]} and {len(wrong) - 1} more differ.")
    for name, tensor in tensors.items():
        if not _is_finite(tensor):
            raise UserError(f"{path} holds numbers that are not finite in {name}. Train again or restore it.")
    return tensors


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    if tensor.dtype == torch.float16:  # by its exponent's bits: torch has no fast sum of these on a processor
        return int(tensor.view(torch.int16).bitwise_and(0x7FFF).amax()) < 0x7C00
    # A sum is finite where all of it is: infinities of both signs leave no number.
    return math.isfinite(float(tensor.sum(dtype=torch.float64)))


def _fits(name: str, stored: Tensor, expected: Tensor) -> bool:
    """Whether a stored tensor is one of the module; how many components a subspace has, only the file knows."""
    if name.endswith(_BASIS):
        return stored.ndim == 2 and stored.shape[1] == expected.shape[1] and stored.dtype == torch.float16
    return (stored.shape, stored.dtype) == (expected.shape, expected.dtype)


def _header(path: Path) -> tuple[list[str], dict[str, str]]:
    """The names of the file's tensors, and what it says of itself; nothing of a damaged one: reading it will say so."""
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys()), file.metadata() or {}
    except (SafetensorError, OSError, ValueError):
        return [], {}


def load_network(
    run: Run, device: str | torch.device = "cpu", backbones: Backbones | None = None
) -> RealNet | JoinedNet:
    """As :func:`load_model`, also of several products; UserError likewise, and where these do not belong together."""
    if not run.members:
        return load_model(run, device, backbones)
    backbones = backbones or Backbones()
    members = [load_model(member, device, backbones) for member in run.members]
    first = members[0]
    for member, model in zip(run.members, members, strict=True):
        alike = model.backbone.network is first.backbone.network and model.config.image_size == first.config.image_size
        if model.familiarity is None or not alike:
            raise UserError(f"{member.folder} does not belong to {run.folder}: train again or restore it.")
    return JoinedNet(members, [member.thresholds for member in run.members]).to(device).eval()


def load_model(run: Run, device: str | torch.device = "cpu", backbones: Backbones | None = None) -> RealNet:
    """The network of ``run``, with what it was taught, in eval mode on ``device``. Nothing is unpickled.

    ``backbones`` are networks that are there already, of which the run's is taken, or joins them.

    Raises:
        UserError: for a folder that is no run, or of several products, a damaged or foreign weight file, weights not
            finite, or a network that finds no room in memory.
    """
    if run.members:
        names = ", ".join(str(member.folder) for member in run.members)
        raise UserError(f"{run.folder} is an inspector of several products; name one of them here: {names}.")
    config, path = run.config, run.folder / MODEL_FILE
    if not path.is_file():
        raise unfinished(run.folder)
    shared = None if backbones is None else backbones.find(config.model.backbone, _header(path)[1].get(_DIGEST, ""))
    try:
        model = RealNet(config, pretrained=False, network=shared)
    except (RuntimeError, MemoryError) as error:
        reason = (str(error).splitlines() or ["no memory"])[0][-200:]
        raise UserError(
            f"The network of {run.folder / CONFIG_FILE} cannot be built ({reason}). "
            "Restore that file from the run that made it."
        ) from error
    tensors = read_weights(path, model, besides=() if shared is None else (_SHARED,))
    for name, tensor in tensors.items():
        if "afs.index_" in name:
            channels = model.backbone.channels[int(name.rsplit("_", 1)[1])]
            if int(tensor.min()) < 0 or int(tensor.max()) >= channels:
                raise UserError(f"{path} selects channels that its backbone does not have. Train again or restore it.")
    if run.taught is not None:
        taught, _ = _header(run.taught / SUBSPACES_FILE)
        if model.evidence is not None and any(name.startswith(_CONFIRMED) for name in taught):
            model.evidence.add_confirmed()
        tensors |= read_weights(run.taught / SUBSPACES_FILE, model, TAUGHT_PARTS)
    model.load_state_dict(tensors, strict=shared is None)
    if backbones is not None and shared is None:
        weights = {name: tensor for name, tensor in tensors.items() if name.startswith(_SHARED)}
        model.backbone.network = backbones.keep(config.model.backbone, model.backbone.network, weights)
    return model.to(device).to(memory_format=torch.channels_last).eval()
