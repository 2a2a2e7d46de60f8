"""SIA: sets of anomaly images that are the same whatever interrupted their making, with the origin of each."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from realnet.atomic import remove_torn, write_text
from realnet.data import GoodImages
from realnet.diffusion.classifier import guidance_gradient
from realnet.diffusion.detail import shrunk, with_detail
from realnet.diffusion.model_folder import DiffusionModel
from realnet.diffusion.noisy_batches import to_signed
from realnet.diffusion.sampling import Perturbation, Sampler, image_noise, synthesise
from realnet.diffusion.schedule import make_schedule, respaced
from realnet.errors import UserError
from realnet.synthesis import write_image
from realnet.synthesis.export import claim_folder
from realnet.synthesis.sia import MARK

MANIFEST = "manifest.jsonl"
# Streams of random numbers beside the noise of the images themselves.
_CHOICE = 17


@dataclass(frozen=True)
class Request:
    """What is to be sampled: strengths s ~ U(low, high), steps, seed, and how.

    ``guidance`` is the scale of the classifier's gradient; 0: none. ``batch`` images are made together: it is part of
    what the set is, since a network's rounding depends on it.
    """

    low: float
    high: float
    steps: int = 20
    seed: int = 0
    sampler: Sampler = "iddpm"
    perturbation: Perturbation = "learned"
    guidance: float = 0.0
    batch: int = 8


def strength_of(request: Request, number: int) -> float:
    """The strength of image ``number``: drawn for each image by the seed and its number."""
    return float(np.random.default_rng([request.seed, _CHOICE, number]).uniform(request.low, request.high))


def start_of(request: Request, number: int, count: int) -> int:
    """Which of ``count`` good images image ``number`` starts from."""
    return int(np.random.default_rng([request.seed, _CHOICE, number, 1]).integers(count))


def sample_numbers(
    model: DiffusionModel,
    request: Request,
    numbers: Sequence[int],
    categories: Sequence[int],
    strengths: Sequence[float],
    starts: Sequence[np.ndarray] | None = None,
) -> Tensor:
    """Images ``numbers`` of the set with ``request.seed``: ``[N, 3, S, S]`` in -1..1, on the model's device.

    ``request.batch`` of them are made together. ``starts``, for a model that starts from good images: one each, uint8
    ``[S, S, 3]``; S as in `with_detail`.
    """
    config = model.config
    device = model.denoiser.alphas_bar.device
    size = config.denoiser.image_size
    schedule = respaced(make_schedule(config.process), request.steps, config.process.highest)
    samples = []
    for begin in range(0, len(numbers), request.batch):
        part = slice(begin, begin + request.batch)
        noise = image_noise(request.seed, numbers[part], (3, size, size), device)
        category = torch.tensor(categories[part], device=device) if config.denoiser.categories else None
        guide = None
        if request.guidance and model.classifier is not None:
            guide = partial(guidance_gradient, model.classifier, scale=request.guidance)
        strength = torch.tensor(strengths[part], device=device)
        good = None if starts is None else to_signed(starts[part]).to(device)
        made = synthesise(
            model.denoiser, schedule, noise, strength, category, None if good is None else shrunk(good, size),
            request.sampler, request.perturbation, guide,
        )  # fmt: skip
        samples.append(made if good is None else with_detail(made, good))
    return torch.cat(samples)


def to_images(samples: Tensor) -> np.ndarray:
    """``[B, 3, S, S]`` in -1..1 to uint8 ``[B, S, S, 3]``."""
    levels = samples.float().add(1).mul(127.5).round().clamp(0, 255).byte()
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def make_batch(
    model: DiffusionModel, category: str, goods: GoodImages | None, request: Request, begin: int
) -> np.ndarray:
    """Images ``begin`` to ``begin + request.batch - 1`` of a set, uint8 ``[B, S, S, 3]``: the same wherever it is run.

    ``goods`` is ``model.starts(category)``, which keeps what it has read. UserError where the model lacks the category.
    """
    numbers = range(begin, begin + request.batch)
    strengths = [strength_of(request, n) for n in numbers]
    starts = None if goods is None else [goods[start_of(request, n, len(goods))] for n in numbers]
    own = [model.category_number(category)] * len(numbers)
    return to_images(sample_numbers(model, request, numbers, own, strengths, starts))


# From a category and the first numbers of batches to each of these with its images, in any order.
Maker = Callable[[str, Sequence[int]], Iterable[tuple[int, np.ndarray]]]


def sample_set(
    model: DiffusionModel,
    category: str,
    request: Request,
    count: int,
    output: Path,
    progress: Callable[[int], None] = lambda there: None,
    maker: Maker | None = None,
) -> Path:
    """Write images 0 .. count - 1 of a set to ``output/category/NNNNNN.png`` and return the path of their manifest.

    The manifest has a line an image: number, file, category, seed, strength, steps, sampler, the good image it starts
    from, and the model's SHA-256. It is written last: where it exists the set is whole. The same call continues an
    interrupted one and gives the same set; with a larger ``count`` it adds to it. ``maker`` makes the images elsewhere.

    Raises:
        UserError: where the model lacks the category or its good images, or the folder holds something else or cannot
            be written.
    """
    folder = output / category
    goods = model.starts(category)
    model.category_number(category)
    _claim(folder, model, category, request)
    # A manifest of the first images would disown the others.
    if (kept := sum(1 for _ in folder.glob("[0-9]*.png"))) > count:
        raise UserError(f"{folder} holds {kept} images of this set already: ask for as many or more, not {count}.")
    absent = [n for n in range(count) if not (folder / _name(n)).is_file()]
    # A whole batch is made, also at the end of the set, so that a larger set begins with the same images.
    begins = list(dict.fromkeys(n - n % request.batch for n in absent))
    there = count - len(absent)
    progress(there)
    if maker is None:
        made: Iterable[tuple[int, np.ndarray]] = ((b, make_batch(model, category, goods, request, b)) for b in begins)
    else:
        made = maker(category, begins)
    for begin, images in made:
        for n in range(begin, min(begin + request.batch, count)):
            if not (folder / _name(n)).is_file():
                write_image(folder / _name(n), images[n - begin])
                there += 1
        progress(there)
    names = None if goods is None else [path.name for path in goods.paths]
    lines = (json.dumps(_record(model, category, request, n, names)) for n in range(count))
    write_text(folder / MANIFEST, "\n".join(lines) + "\n")
    remove_torn(folder)
    return folder / MANIFEST


def _name(number: int) -> str:
    return f"{number:06d}.png"


def _record(
    model: DiffusionModel, category: str, request: Request, number: int, goods: Sequence[str] | None
) -> dict[str, Any]:
    return {
        "number": number,
        "file": _name(number),
        "category": category,
        "seed": request.seed,
        "strength": strength_of(request, number),
        "steps": request.steps,
        "sampler": request.sampler,
        "good": None if goods is None else goods[start_of(request, number, len(goods))],
        "model_sha256": model.sha256,
    }


def _claim(folder: Path, model: DiffusionModel, category: str, request: Request) -> None:
    """Take an empty folder, or one that this very set was begun in."""
    settings = {
        "format": "realnet SIA 1",
        "category": category,
        "model_sha256": model.sha256,
        "preset": model.config.preset,
        "start": model.config.process.start,
        **asdict(request),
    }
    other = "images of another model, seed, strength, batch or number of steps"
    claim_folder(folder, MARK, settings, "images", other)
