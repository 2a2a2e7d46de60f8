"""Residuals of synthetic defects on many products: what the discriminator that comes with the package is trained on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from pretraining import photographs
from realnet.config import Config, SynthesisConfig
from realnet.model.network import RealNet
from realnet.model.saving import write_tensors
from realnet.overriding import override
from realnet.presets import presets
from realnet.synthesis import Synthesizer, write_image
from realnet.training.out_of_sample import OutOfSample
from realnet.training.solving import Solver

# How many good images a product has, by turns: few ones leave other residuals than many.
GOOD_COUNTS = (16, 32, 48)
AUGMENTATIONS = ("none", "weak", "strong")
DEFECTS = 160
# How many products are cut from each photograph, and how many pieces of it serve as textures of defects.
EACH = 3
PIECES = 4


@dataclass(frozen=True)
class Product:
    """What a product is called, and what draws an image of it."""

    name: str
    draw: photographs.Draw


@dataclass(frozen=True)
class ProductResiduals:
    """log(1 + E) of one product in half precision, ``[n, m_k, h_k, w_k]`` a reconstruction.

    ``good`` are good images and their copies, ``defects`` have the ``masks`` uint8 ``[n, 1, H, W]``.
    """

    good: list[Tensor]
    defects: list[Tensor]
    masks: Tensor


def products(seed: int) -> Iterator[Product]:
    """All products, one of each photograph by turns, so that a beginning of them is a fair sample."""
    kinds: list[tuple[str, Callable[[str, np.random.Generator], photographs.Draw]]] = [
        *((name, photographs.texture) for name in photographs.TEXTURES),
        *((name, photographs.part) for name in photographs.PARTS),
    ]
    for turn in range(EACH):
        for number, (name, cut) in enumerate(kinds):
            draw = cut(name, np.random.default_rng([seed, number, turn]))
            yield Product(f"{cut.__name__}_{name}_{number}_{turn}", draw)


def residuals_of(folder: Path, seed: int) -> Iterator[ProductResiduals]:
    """The residuals of every product, a file each under ``folder``: made where it is not there yet."""
    textures = _textures(folder / "textures")
    for number, product in enumerate(products(seed)):
        path = folder / f"{number:03d}_{product.name}.safetensors"
        if not path.is_file():
            _write(path, _solved(number, product, textures, seed))
            print(f"{number + 1} of {EACH * len(photographs.TEXTURES + photographs.PARTS)}: {product.name}", flush=True)
        yield _read(path)


def _textures(folder: Path) -> Path:
    """Pieces of the photographs, that defects are made of."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(photographs.TEXTURES + photographs.PARTS):
        draw = photographs.texture(name, np.random.default_rng([1, number]))
        for turn in range(PIECES):
            write_image(folder / f"{name}_{number}_{turn}.png", draw(np.random.default_rng([2, number, turn])))
    return folder


def _solved(number: int, product: Product, textures: Path, seed: int) -> OutOfSample:
    """Good images, copies and defects of one product, each judged by a subspace that has not seen it."""
    count = GOOD_COUNTS[number % len(GOOD_COUNTS)]
    augmentation = AUGMENTATIONS[(number // len(GOOD_COUNTS)) % len(AUGMENTATIONS)]
    images = [product.draw(np.random.default_rng([seed, 3, number, i])) for i in range(count)]
    config: Config = override(
        presets["lite"], [f"training.augmentation={augmentation}", f"training.defects={DEFECTS}", f"seed={seed}"]
    )
    synthesis = SynthesisConfig(**{**config.synthesis.model_dump(), "directory": textures})
    model = RealNet(config).to(memory_format=torch.channels_last)
    return Solver(model, Synthesizer(images, synthesis, seed), config, torch.device("cpu")).solve()


def _write(path: Path, seen: OutOfSample) -> None:
    tensors = {"masks": seen.masks}
    for k, good in enumerate(seen.good.logs):
        tensors[f"good_{k}"] = torch.cat([good, seen.moved.logs[k]]) if len(seen.moved) else good
        tensors[f"defects_{k}"] = seen.defects.logs[k]
    write_tensors(path, {name: tensor.contiguous() for name, tensor in tensors.items()})


def _read(path: Path) -> ProductResiduals:
    held = load_file(path)
    layers = range(sum(name.startswith("good_") for name in held))
    return ProductResiduals([held[f"good_{k}"] for k in layers], [held[f"defects_{k}"] for k in layers], held["masks"])
