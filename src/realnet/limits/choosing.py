"""Image size and tiles by what is to be found: tried on some good images, the cheapest first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from realnet.config import Config
from realnet.data import Sample, read_image
from realnet.data.samples import spread
from realnet.data.tiling import tile_boxes
from realnet.errors import UserError
from realnet.limits.asked import named
from realnet.limits.counted import EACH, RELIABLE
from realnet.limits.drawn import Wanted
from realnet.limits.folded import FoldedScorer
from realnet.limits.measuring import measure_drawn
from realnet.model.network import RealNet
from realnet.overriding import override
from realnet.presets import presets
from realnet.progress import Watcher
from realnet.training.extracting import Extractor
from realnet.training.folds import load_general
from realnet.training.kept_features import KeptFeatures
from realnet.training.prepare import good_images, with_levels

# Good images that a choice is tried on, and the sizes of the network's input.
_TRIED, SIZES = 32, (256, 384, 512)
# An image may cost so many times as much as at 256 pixels.
_MOST_COST = 16
# What is narrower than this for the network is not tried: most of its depth is averaged away.
_LEAST_WIDTH = 0.5


@dataclass(frozen=True)
class Choice:
    """A network's input: ``image_size``, of the whole image or of each of its tiles of ``tile`` pixels.

    ``width`` is that of the narrowest of what is to be found, in pixels of the network; ``cost`` in units of an image
    at 256 pixels.
    """

    image_size: int
    tile: int | None
    width: float
    cost: float

    def sentence(self) -> str:
        """In words."""
        tiles = "" if self.tile is None else f" of tiles of {self.tile} px"
        return f"image size {self.image_size}{tiles} ({self.width:.1f} px for the network)"

    def applied(self, config: Config) -> Config:
        """``config`` with it."""
        return override(config, [f"model.image_size={self.image_size}", f"model.tile={self.tile or 'null'}"])


def choices_for(height: int, width: int, narrowest: float) -> list[Choice]:
    """What may be tried for images of so many pixels and what is ``narrowest`` there, cheapest first; one at least."""
    side = min(height, width)
    found = [Choice(size, None, narrowest * size / side, (size / SIZES[0]) ** 2) for size in SIZES]
    for tile in (2 * SIZES[0], SIZES[0], SIZES[0] // 2):
        if side >= 2 * tile:
            count = len(tile_boxes(height, width, tile))
            found.append(Choice(SIZES[0], tile, narrowest * SIZES[0] / tile, float(count)))
    kept = [one for one in found if one.width >= _LEAST_WIDTH and one.cost <= _MOST_COST]
    return sorted(kept or [max(found[: len(SIZES)], key=lambda one: one.width)], key=lambda one: one.cost)


def choose(
    samples: Sequence[Sample], config: Config, wanted: Sequence[Wanted], watcher: Watcher, device: str = "cpu"
) -> Config:
    """``config`` with the cheapest image size and tiles that find what is wanted, tried on some good ``samples``.

    Where none finds nine of ten, it is the one that tells them from good images best (AUROC).
    Where the configuration names an image size or tiles of its own, these stay. A trial takes the evidence alone, each
    image judged by subspaces fitted without it, and finds what scores above all good images. ``watcher`` is told what
    was tried, and what is chosen. UserError as :func:`check_findable`, and for images that cannot be read.
    """
    check_findable(samples, config)
    usual = presets["lite"].model
    if (config.model.image_size, config.model.tile) != (usual.image_size, usual.tile):
        watcher.say("--find: the image size and tiles are those that you chose.")
        return config
    some = [samples[i] for i in spread(len(samples), _TRIED)]
    leveled, _ = with_levels(config, [sample.image for sample in samples])
    images = [read_image(sample.image, None, leveled.data.pair) for sample in some]
    height, width = (int(np.median([image.shape[axis] for image in images])) for axis in (0, 1))
    tried: list[tuple[float, Choice]] = []  # with how well it tells drawn defects from good images
    for choice in choices_for(height, width, min(one.size for one in wanted)):
        try:
            candidate = choice.applied(leveled)
        except UserError:  # tiles and generated images
            continue
        watcher.stage(f"Trying {choice.sentence()}")
        found, apart = _try(some, images, candidate, wanted, torch.device(device))
        watcher.say(
            f"Tried {choice.sentence()}: {found} of {EACH} drawn defects ({named(wanted)}) found above all good "
            f"images, AUROC {apart:.2f}."
        )
        if found >= RELIABLE * EACH:
            watcher.say(f"Chosen: {choice.sentence()}.")
            return choice.applied(config)
        tried.append((apart, choice))
    chosen = max(tried, key=lambda pair: pair[0])[1]
    watcher.say(f"Chosen: {chosen.sentence()}; none that was tried finds nine of ten.")
    return chosen.applied(config)


def check_findable(samples: Sequence[Sample], config: Config) -> None:
    """Refuse what could not be measured after the training, by a UserError: trained networks and several products."""
    if len({sample.category for sample in samples}) > 1:
        raise UserError("--find is for one product: train an inspector of each with a wish of its own.")
    if config.model.reconstruction.network != "subspace" or config.model.discriminator.kind != "evidence":
        raise UserError(f"--find chooses for the presets lite and instant, not for {config.preset}.")


@torch.no_grad()
def _try(
    samples: Sequence[Sample],
    images: Sequence[np.ndarray],
    config: Config,
    wanted: Sequence[Wanted],
    device: torch.device,
) -> tuple[int, float]:
    """By the evidence alone: how many of :data:`EACH` are above all good images, and image AUROC, of what is found
    least.
    """
    config = override(config, ["model.afs.method=none", "training.steps=0"])
    model = RealNet(config).to(device).to(memory_format=torch.channels_last).eval()
    seen = good_images(samples, config, None)
    extractor = Extractor(model, device)
    raw = extractor.raw(seen, torch.float32)
    model.backbone.fit_statistics([raw])
    load_general(model)
    rows = torch.arange(len(seen))
    kept = KeptFeatures(
        tuple(sample.name for sample in samples), torch.tensor(seen.files), "none", 0, {"good": rows},
        {"good": extractor.selected(raw)},
    )  # fmt: skip
    scorer = FoldedScorer(model, config, kept, device)
    cells = measure_drawn(scorer, images, wanted, each=EACH, seed=config.seed)
    good = np.array(scorer.good_scores)
    found = min(cell.at(float(good.max())).found for cell in cells)
    apart = min(float((np.array(cell.scores)[:, None] > good).mean()) for cell in cells)
    return found, apart
