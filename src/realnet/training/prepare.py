"""What happens once, before the first step: split, statistics, feature selection, caches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from realnet.config import Config, DataConfig
from realnet.data import Category, GoodImages, Sample, fingerprint, read_image, read_truth, survey
from realnet.data.good_images import seen_shape
from realnet.data.levels import written
from realnet.data.samples import spread
from realnet.data.summary import describe_not_used
from realnet.data.tiling import tile_boxes
from realnet.errors import UserError
from realnet.inspection.inspector import Inspector
from realnet.model.network import RealNet
from realnet.run_folder import Run
from realnet.synthesis.anomaly import Anomaly
from realnet.synthesis.foreground import settle_foreground
from realnet.synthesis.synthesizer import Synthesizer
from realnet.training.batches import GoodFeatures, drawn_numbers, shuffled_index, to_tensor
from realnet.training.validation import Validation
from realnet.view import view_of

# Defects for AFS and for validation are numbered far from those of training, or seeded apart.
_AFS_FIRST, _VALIDATION_SEED = 2**40, 7_919
# With tiles: what a CPU passes over in minutes, and what validation keeps in memory.
MOST_TILES, _MOST_VALIDATION_TILES = 4000, 96
_BATCH = 16
# What preparation fits and a resumed run need not fit again.
FITTED = ("backbone.mean_", "backbone.std_", "afs.")


@dataclass(frozen=True)
class Split:
    """Good images to train on and good images held out for validation; test images are in neither."""

    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]

    @property
    def judged(self) -> tuple[Sample, ...]:
        """What validation and threshold of trained networks rest on: the held-out images; all, where there are none."""
        return self.held_out or self.train


def split_good(samples: Sequence[Sample], share: float, seed: int) -> Split:
    """Hold out ``share`` of each category's good images (at least one, and leave at least one; 0: none), by ``seed``.

    UserError for a category with fewer than two images.
    """
    check_enough(samples)
    if share == 0:
        return Split(tuple(samples), ())
    train: list[Sample] = []
    held_out: list[Sample] = []
    for category in sorted({sample.category for sample in samples}):
        own = [sample for sample in samples if sample.category == category]
        order = np.random.default_rng([seed, 3]).permutation(len(own))
        count = min(len(own) - 1, max(1, round(share * len(own))))
        held_out += [own[i] for i in sorted(order[:count])]
        train += [own[i] for i in sorted(order[count:])]
    return Split(tuple(train), tuple(held_out))


def check_enough(samples: Sequence[Sample]) -> None:
    """Refuse a category that good images cannot be held out of; UserError for one with fewer than two images."""
    for category in sorted({sample.category for sample in samples}):
        count = sum(sample.category == category for sample in samples)
        if count < 2:
            raise UserError(f"{category} has {count} good image; give at least two, better a hundred.")


def split_samples(samples: Sequence[Sample], config: Config) -> Split:
    """What of the good images is trained on, and what is held out; UserError for a category with fewer than two.

    Of networks that are trained, validation wants a share. A subspace is fitted to as many as the configuration allows,
    chosen at random by the seed; what is beyond that serves the threshold.
    """
    if config.model.reconstruction.network != "subspace":
        return split_good(samples, config.training.validation_share, config.seed)
    check_enough(samples)
    most = config.model.reconstruction.fit_images
    tile, view = config.model.tile, view_of(config.model.view, config.data.pair)
    count = 0
    used: set[int] = set()
    for position in np.random.default_rng([config.seed, 5]).permutation(len(samples)):
        tiles = 1 if tile is None else len(tile_boxes(*seen_shape(samples[position].image, view), tile))
        if len(used) >= 2 and count + tiles > most:
            break
        count += tiles
        used.add(int(position))
    return Split(
        tuple(sample for i, sample in enumerate(samples) if i in used),
        tuple(sample for i, sample in enumerate(samples) if i not in used),
    )


def with_levels(config: Config, files: Sequence[Path]) -> tuple[Config, tuple[str, ...]]:
    """``config`` with the levels that ``files`` have in common, unless it names some; what to say; UserError as
    `survey`.
    """
    found = survey(files, config.data.pair)
    if found.levels is None or config.data.levels is not None:
        return config, found.sentences
    data = DataConfig(levels=written(found.levels))
    return config.model_copy(update={"data": data}), found.sentences


def images_of(
    files: Sequence[Path], names: Sequence[str] | None, config: Config, most: int | None = None, cache: int = 2**30
) -> GoodImages:
    """What ``config`` sees of ``files``, whole or in tiles (``most`` of them), at the model's size, read when asked."""
    size, pair = config.model.image_size, config.data.pair
    return GoodImages(files, size, cache, config.model.tile, most, pair, names, view_of(config.model.view, pair))


def good_images(samples: Sequence[Sample], config: Config, most: int | None = MOST_TILES) -> GoodImages:
    """As :func:`images_of` of ``samples``, 4,000 tiles at most, with as much memory as the configuration allows."""
    limit = int(config.training.cache_gigabytes * 2**30 / 4)
    return images_of([s.image for s in samples], [s.name for s in samples], config, most, limit)


def make_synthesizer(samples: Sequence[Sample], images: GoodImages, config: Config, seed: int) -> Synthesizer:
    """Defects of these good images; UserError for generated images of several categories, made for one product."""
    categories = {sample.category for sample in samples}
    if config.synthesis.source == "sia" and len(categories) > 1:
        raise UserError(
            f"Generated images belong to one product, and these are {len(categories)}: use --synthesis dtd, as the "
            "paper does for several together (--preset multiclass)."
        )
    category = categories.pop() if len(categories) == 1 else None
    view = view_of(config.model.view, config.data.pair)
    # A tile may lie anywhere in what is seen.
    allowed = None if view is None or images.tiled else view.inside_seen(images.size)
    return Synthesizer(images, config.synthesis, seed, category, images.names, allowed)


def synthesizer_of(
    categories: Sequence[Category], config: Config, size: int | None = None
) -> tuple[Synthesizer, list[str]]:
    """Defects of the good images of ``categories`` at ``size`` pixels (None: the model's), and what to say of them.

    Nothing is to be trained. UserError as :func:`with_levels` and :func:`make_synthesizer`.
    """
    part, foreground = settle_foreground(config.synthesis, categories)
    samples = [sample for category in categories for sample in category.train]
    files = [sample.image for sample in samples]
    config, levels = with_levels(config.model_copy(update={"synthesis": part}), files)
    if size is not None:
        config = config.model_copy(update={"model": config.model.model_copy(update={"image_size": size})})
    images = images_of(files, [sample.name for sample in samples], config)
    synthesizer = make_synthesizer(samples, images, config, config.seed)
    said = [*([foreground] if foreground else []), *levels, *describe_not_used(synthesizer.left_out)]
    return synthesizer, said


def first_defects(synthesizer: Synthesizer, config: Config, count: int) -> list[tuple[np.ndarray, Anomaly]]:
    """The first ``count`` defects that a training by ``config`` sees, each with the good image it is made of.

    Where defects are made once for all steps, these are the first of them; otherwise those that the first steps draw.
    """
    settings, images = config.training, synthesizer.images
    if config.model.reconstruction.network == "subspace":
        numbers = list(range(count))
    else:
        half, drawn, step = settings.batch_size // 2, dict[int, None](), 0
        while len(drawn) < count:
            drawn |= dict.fromkeys(drawn_numbers(config.seed, step, settings.fresh, settings.window, half))
            step += 1
        numbers = list(drawn)[:count]
    goods = [shuffled_index(len(images), config.seed, number) for number in numbers]
    return [(images[good], synthesizer(number, good)) for number, good in zip(numbers, goods, strict=True)]


def training_defects(run: Run, categories: Sequence[Category], count: int) -> list[tuple[np.ndarray, Anomaly]]:
    """The first defects the run was trained on, with their good images, made again: by seed and number.

    None of them where the good images of ``categories`` are not those of the training, or sources are gone.
    """
    if run.members:  # each has its own
        return []
    samples = [sample for category in categories for sample in category.train]
    config = run.config
    try:
        if run.record.provenance.get("data_fingerprint") != fingerprint(samples):
            return []
        train = split_samples(samples, config).train
        solved = config.model.reconstruction.network == "subspace"
        images = good_images(train, config, None if solved else MOST_TILES)
        return first_defects(make_synthesizer(train, images, config, config.seed), config, count)
    except UserError:
        return []


def fit_selection(model: RealNet, raw: GoodFeatures, synthesizer: Synthesizer, config: Config) -> None:
    """Standardisation over the good images, AFS (Eq. 4) in one pass over synthetic defects."""
    if config.model.backbone.standardise:
        model.backbone.fit_statistics(raw.batches())
    model.afs.fit(_afs_batches(model, raw, synthesizer, config))


def _afs_batches(
    model: RealNet, raw: GoodFeatures, synthesizer: Synthesizer, config: Config
) -> Iterator[tuple[list[Tensor], list[Tensor], Tensor]]:
    size = config.model.afs.batch_size
    for batch in range(config.model.afs.batches):
        positions = range(batch * size, (batch + 1) * size)
        goods = [shuffled_index(len(raw.images), config.seed, p) for p in positions]
        defects = [synthesizer(_AFS_FIRST + p, g) for p, g in zip(positions, goods, strict=True)]
        images = to_tensor([d.image for d in defects]).to(raw.device).contiguous(memory_format=torch.channels_last)
        mask = torch.from_numpy(np.stack([d.mask for d in defects]))[:, None].to(raw.device)
        yield model.backbone(images), model.backbone.standardised(raw[goods]), mask


def make_validation(model: RealNet, good: Sequence[Sample], config: Config, device: torch.device) -> Validation:
    """The validation set of ``good``, the images of :attr:`Split.judged` (at most 48 of them, spread evenly)."""
    chosen = [good[i] for i in spread(len(good), 48)]
    images = good_images(chosen, config, _MOST_VALIDATION_TILES)
    synthesizer = make_synthesizer(chosen, images, config, config.seed + _VALIDATION_SEED)
    return Validation.synthetic(model, images, synthesizer, device)


def image_scores(model: RealNet, samples: Sequence[Sample], config: Config) -> tuple[float, ...]:
    """Image scores of whole images, tile by tile where the model has tiles: what its threshold rests on."""
    judge = Inspector(model, config)
    found: list[float] = []
    for start in range(0, len(samples), _BATCH):
        looked = [judge.look(sample.image) for sample in samples[start : start + _BATCH]]
        found += [score for _, score in judge.measure_seen(looked)]
    return tuple(found)


def make_oracle(model: RealNet, test: Sequence[Sample], config: Config, device: torch.device) -> Validation:
    """The test set in the place of validation: what the authors' code selects by, for comparison only."""
    size = config.model.image_size
    images = (read_image(sample.image, size, config.data.pair) for sample in test)
    masks: list[np.ndarray | None] = [
        read_truth(sample, (size, size)) if sample.is_anomalous else np.zeros((size, size), bool) for sample in test
    ]
    return Validation(model, images, masks, [sample.is_anomalous for sample in test], device, oracle=True)
