"""A model's folder on every machine of a cluster, which need not share a disk for it."""

import hashlib
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from realnet.errors import UserError

# All that inspectors, exports and diffusion models are loaded from.
_OF_RUN = ("*.yaml", "*.json", "*.safetensors", "reference.png", "taught/*/subspaces.safetensors")
PATTERNS = (*_OF_RUN, *(f"products/*/{one}" for one in _OF_RUN), "*.onnx", "*.xml", "*.bin", "good/*/*.png")
_NOT_NEEDED = ("checkpoint", "good_features")


@dataclass(frozen=True)
class Packed:
    """A folder in the cluster's memory: digest of its content, and where it lies there.

    The place is in a tuple, so that Ray does not fetch it for every piece of work.
    """

    digest: str
    place: tuple[Any, ...]


def pack(ray: Any, folder: Path) -> Packed:
    """Put what a model is loaded from into the memory of the cluster that ``ray`` is connected to."""
    files: dict[str, bytes] = {}
    for path in sorted(path for pattern in PATTERNS for path in folder.glob(pattern)):
        if not path.name.startswith(_NOT_NEEDED) and path.is_file():
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    if not files:
        raise UserError(f"{folder} holds no model.")
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return Packed(digest.hexdigest(), (ray.put(files),))


def unpack(packed: Packed) -> Path:
    """The folder on this machine; written once a process, and removed at its end."""
    unpacked = _kept(packed.digest)
    folder = Path(unpacked.name) / "model"
    if not folder.is_dir():
        import ray

        partial = folder.with_name("partial")
        for name, content in ray.get(packed.place[0]).items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        partial.rename(folder)
    return folder


@lru_cache(maxsize=2)
def _kept(digest: str) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="realnet-")
