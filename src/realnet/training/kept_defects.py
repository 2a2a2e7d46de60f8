"""What a taught run keeps of the confirmed defects that it has learned: their features, in half precision."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from realnet.config import Config
from realnet.model.network import RealNet
from realnet.model.saving import write_tensors
from realnet.overriding import reading
from realnet.training.extracting import Extractor
from realnet.training.prepare import images_of

DEFECTS_FILE = "defect_features.safetensors"


@dataclass(frozen=True)
class KeptDefects:
    """Confirmed defects that a run has learned.

    Attributes:
        digests: of the pixels of each file.
        groups: the number of the file that each row of ``features`` is, or is a tile of.
        features: selected features ``[n, m_k, h_k, w_k]`` a network, in half precision.
    """

    digests: tuple[str, ...]
    groups: Tensor
    features: list[Tensor]

    def with_others(self, other: "KeptDefects") -> "KeptDefects":
        """These and then those of ``other``."""
        features = [torch.cat(pair) for pair in zip(self.features, other.features, strict=True)]
        groups = torch.cat([self.groups, other.groups + len(self.digests)])
        return KeptDefects((*self.digests, *other.digests), groups, features)

    def without(self, digests: Collection[str]) -> "KeptDefects":
        """Those whose pixels are others than of ``digests``."""
        kept = [i for i, digest in enumerate(self.digests) if digest not in digests]
        rows = torch.isin(self.groups, torch.tensor(kept, dtype=self.groups.dtype))
        numbers = torch.searchsorted(torch.tensor(kept, dtype=self.groups.dtype), self.groups[rows])
        return KeptDefects(tuple(self.digests[i] for i in kept), numbers, [f[rows] for f in self.features])


def read_defect_images(model: RealNet, config: Config, new: dict[str, Path], device: torch.device) -> KeptDefects:
    """Features of confirmed defects, by the digest of their pixels; UserError where a file cannot be read."""
    images = images_of(list(new.values()), list(new), config)
    extractor = Extractor(model, device)
    features = [f.half().cpu() for f in extractor.selected(extractor.raw(images))]
    return KeptDefects(tuple(new), torch.tensor(images.files), features)


def save_defects(path: Path, kept: KeptDefects) -> None:
    """Write ``kept`` as safetensors, whole or not at all."""
    tensors = {f"features.{k}": f.contiguous() for k, f in enumerate(kept.features)}
    write_tensors(path, {**tensors, "groups": kept.groups}, {"digests": " ".join(kept.digests)})


def read_defects(path: Path) -> KeptDefects | None:
    """What :func:`save_defects` wrote, None without. Nothing is unpickled; UserError where it is damaged."""
    if not path.is_file():
        return None
    with reading(path, "restore it, or train again"), safe_open(path, framework="pt") as file:
        digests = tuple((file.metadata() or {})["digests"].split())
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        return KeptDefects(digests, tensors["groups"], [tensors[f"features.{k}"] for k in range(len(tensors) - 1)])
