"""What a finished run keeps of its good images, so that others can join them: their features, in half precision."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from realnet.errors import UserError
from realnet.model.saving import write_tensors
from realnet.overriding import reading
from realnet.training.out_of_sample import OutOfSample, Residuals

FEATURES_FILE = "good_features.safetensors"
# What is judged again when an image joins; training's own synthetic defects are not.
PARTS = ("good", "moved", "at_limit", "faint")


@dataclass(frozen=True)
class KeptFeatures:
    """Selected features of the images that subspaces were fitted to and judged by.

    Attributes:
        names: of the files, those included that were left out.
        groups: the number of the file that each good image is, or is a tile of.
        augmentation, each: which copies joined the subspace, and how many of each good image.
        of: by part, the number of the good image that each row was made of.
        parts: ``[n, m_k, h_k, w_k]`` a network: ``good`` images, ``moved`` copies, copies ``at_limit`` of what is
            tolerated, ``faint`` synthetic defects.
    """

    names: tuple[str, ...]
    groups: Tensor
    augmentation: str
    each: int
    of: dict[str, Tensor]
    parts: dict[str, list[Tensor]]

    def out_of_sample(self) -> OutOfSample:
        """These images, to be judged by folds."""
        result = OutOfSample(self.groups, Residuals(self.of["good"]), augmentation=self.augmentation)
        for name, of in self.of.items():
            setattr(result, name, Residuals(of))
        return result

    @property
    def files(self) -> list[int]:
        """The numbers of the files that are not left out."""
        return self.groups.unique().tolist()

    def without(self, files: Collection[int]) -> "KeptFeatures":
        """These images without those of some files, given by their numbers; the others keep theirs, and so their folds.

        What was made of an image goes with it.
        """
        stays = ~torch.isin(self.groups, torch.tensor(sorted(files), dtype=self.groups.dtype))
        number = stays.cumsum(0) - 1
        rows = {name: stays[of] for name, of in self.of.items()}
        return replace(
            self,
            groups=self.groups[stays],
            of={name: number[of[rows[name]]] for name, of in self.of.items()},
            parts={name: [f[rows[name]] for f in features] for name, features in self.parts.items()},
        )

    def none_of_them(self) -> "KeptFeatures":
        """Likewise of no further image."""
        parts = {name: [f[:0] for f in features] for name, features in self.parts.items() if name != "faint"}
        of = {name: self.of[name][:0] for name in parts}
        return KeptFeatures((), self.groups[:0], self.augmentation, self.each, of, parts)

    def with_others(self, other: "KeptFeatures") -> "KeptFeatures":
        """These images and then those of ``other``, made by the same selection and with the same copies."""
        files, images = len(self.names), len(self.groups)
        of, parts = dict(self.of), dict(self.parts)
        for name, rows in other.of.items():
            of[name] = torch.cat([self.of[name], rows + images])
            parts[name] = [torch.cat(pair) for pair in zip(self.parts[name], other.parts[name], strict=True)]
        groups = torch.cat([self.groups, other.groups + files])
        return replace(self, names=(*self.names, *other.names), groups=groups, of=of, parts=parts)


def kept_of(names: Sequence[str], seen: OutOfSample, features: Mapping[str, Sequence[Tensor]]) -> KeptFeatures:
    """What is kept of a training whose images belong together as ``seen`` has it."""
    parts = {name: [f.half().cpu() for f in features[name]] for name in PARTS if name in features}
    of = {name: getattr(seen, name).of for name in parts}
    return KeptFeatures(tuple(names), seen.groups, seen.augmentation, len(seen.moved) // len(seen.good), of, parts)


def save_features(path: Path, kept: KeptFeatures) -> None:
    """Write ``kept`` as safetensors, whole or not at all."""
    tensors = {f"{name}.{k}": f.contiguous() for name, parts in kept.parts.items() for k, f in enumerate(parts)}
    tensors |= {f"of.{name}": of for name, of in kept.of.items()}
    facts = {"names": list(kept.names), "augmentation": kept.augmentation, "each": kept.each}
    write_tensors(path, {**tensors, "groups": kept.groups}, {"kept": json.dumps(facts)})


def read_features(path: Path) -> KeptFeatures:
    """What :func:`save_features` wrote. Nothing is unpickled; UserError where it is missing or damaged."""
    if not path.is_file():
        raise UserError(f"{path} is missing: restore it, or train again.")
    with reading(path, "restore it, or train again", also=SafetensorError), safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {})["kept"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        named = [name for name in PARTS if f"of.{name}" in tensors]
        count = sum(name.startswith("good.") for name in tensors)
        return KeptFeatures(
            tuple(map(str, facts["names"])), tensors["groups"], str(facts["augmentation"]), int(facts["each"]),
            {name: tensors[f"of.{name}"] for name in named},
            {name: [tensors[f"{name}.{k}"] for k in range(count)] for name in named},
        )  # fmt: skip
