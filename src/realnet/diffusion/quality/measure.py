"""Synthetic anomaly images against real ones, as App. C.6 compares them (Tab. S6), and somewhat beyond."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from realnet.data import read_image
from realnet.diffusion.quality.clusters import Diversity, Embedding, cluster_diversity
from realnet.diffusion.quality.distances import frechet_distance, kernel_distance
from realnet.diffusion.quality.networks import Network, perceptual_network, pooled_network
from realnet.diffusion.quality.quality_figures import Quality, QualityFigure
from realnet.errors import UserError
from realnet.progress import Notify, Watcher

_BATCH = 16
# Ojha et al. cluster around ten training images; hundreds leave most clusters without a pair.
_MOST_GOOD = 256


def measure_quality(
    synthetic: Sequence[Path],
    real: Sequence[Path],
    good: Sequence[Path] | None = None,
    *,
    size: int = 256,
    repeats: int = 3,
    sample: int | None = None,
    seed: int = 0,
    inception: Path | None = None,
    alexnet: Path | None = None,
    download: bool = False,
    device: str = "cpu",
    progress: Notify = Watcher().say,
    levels: tuple[float, float] | None = None,
) -> Quality:
    """How close synthetic anomaly images are to real ones, and how diverse they are.

    - ``FID`` and ``KID`` between synthetic and real images (``FD-lite0`` and ``KD-lite0`` without Inception).
    - ``cluster LPIPS``: synthetic images are grouped by the nearest real *anomalous* image; the mean distance of all
      pairs in a group, averaged over groups (App. C.6). ``cluster PD-lite0`` without AlexNet.
    - ``IC-LPIPS``, where ``good`` is given: the same, grouped by the nearest *training* (good) image (Ojha et al.,
      CVPR 2021). ``IC-PD-lite0`` without AlexNet.

    Images are read batch by batch and never held together. Nothing is fetched unless ``download`` says so.

    Args:
        synthetic: generated anomalous images, two at least.
        real: real anomalous images, two at least.
        good: good images of the training set; of more than 256 that many are drawn.
        size: every image is resized to ``[size, size]``; a multiple of 32.
        repeats: how many draws of ``sample`` synthetic images, disjoint where there are enough (the paper: 3 of
            1,000). Without ``sample`` all images are measured once.
        sample: synthetic images a draw; None for all.
        inception: local file of torch-fidelity's Inception v3; else torch's cache is looked into.
        alexnet: local file of torchvision's AlexNet; else torch's cache is looked into.
        download: fetch either into torch's cache where it is missing.
        progress: told what is being done, after every batch of images.
        levels: the stored values that are black and white in images of more than 8 bits.

    Raises:
        UserError: for too few images, an unfit size, sample or repeats, images that cannot be read, and weights
            that cannot be had or do not fit.
    """
    _check(synthetic, real, good, size, repeats, sample)
    generator = torch.Generator().manual_seed(seed)
    draws, notes = _draws(len(synthetic), sample, repeats, generator)
    # Only what is drawn is ever read.
    used = sorted({number for draw in draws for number in draw})
    place = {number: index for index, number in enumerate(used)}
    draws = [[place[number] for number in draw] for draw in draws]
    images = [synthetic[number] for number in used]
    if good is not None and len(good) > _MOST_GOOD:
        notes.append(f"IC distance around {_MOST_GOOD} of {len(good)} good images, drawn at random.")
        good = [good[number] for number in torch.randperm(len(good), generator=generator)[:_MOST_GOOD].tolist()]

    pooled = pooled_network(inception, download, device)
    notes += _jpeg_notes(pooled.titles[0], {"synthetic": images, "real": real, "good": good or ()})
    reader = _Reader(size, device, progress, levels)
    features = torch.cat(list(reader.embedding(images, pooled, "Features of synthetic images")(range(len(images)))))
    real_features = torch.cat(list(reader.embedding(real, pooled, "Features of real images")(range(len(real)))))
    figures = _distances([features[draw] for draw in draws], real_features, pooled, generator)
    count = min(len(real), len(draws[0]))
    if count < features.shape[1]:
        notes.append(
            f"{count} images are fewer than the {features.shape[1]} features of {pooled.titles[0]}, which is then far "
            f"too large: compare it at the same numbers of images only; {pooled.titles[1]} does not depend on them."
        )

    perceptual = perceptual_network(alexnet, download, device)
    items = reader.embedding(images, perceptual, "Distances of synthetic images")
    around = (("cluster ", "Distances of real images", real), ("IC-", "Distances of good images", good))
    for prefix, words, paths in around:
        if paths is not None:
            centres = reader.embedding(paths, perceptual, words)
            found = cluster_diversity(items, len(images), centres, len(paths), draws)
            figures.append(_diversity_figure(prefix + perceptual.titles[0], found, perceptual))
    notes += [note for figure in figures if (note := _group_note(figure))]
    return Quality(
        figures=tuple(figures),
        real=len(real),
        synthetic=len(draws[0]),
        available=len(synthetic),
        good=None if good is None else len(good),
        repeats=len(draws),
        size=size,
        seed=seed,
        notes=(*notes, *pooled.notes, *perceptual.notes),
    )


class _Reader:
    """Images as embeddings of a network, read when they are asked for."""

    def __init__(self, size: int, device: str, progress: Notify, levels: tuple[float, float] | None) -> None:
        self.size, self.device, self.progress, self.levels = size, device, progress, levels

    def embedding(self, paths: Sequence[Path], network: Network, words: str) -> Embedding:
        """Embeddings of ``paths`` by ``network``; ``words`` say so to the user."""

        def batches(numbers: Sequence[int]) -> Iterator[Tensor]:
            for start in range(0, len(numbers), _BATCH):
                chunk = numbers[start : start + _BATCH]
                images = [read_image(paths[number], self.size, self.levels) for number in chunk]
                pixels = torch.from_numpy(np.stack(images))
                self.progress(f"{words}: {start + len(chunk)} of {len(numbers)}")
                yield network.apply(pixels.permute(0, 3, 1, 2).contiguous().to(self.device)).float()

        return batches


def _check(
    synthetic: Sequence[Path],
    real: Sequence[Path],
    good: Sequence[Path] | None,
    size: int,
    repeats: int,
    sample: int | None,
) -> None:
    for kind, paths, fewest in (("synthetic", synthetic, 2), ("real anomalous", real, 2), ("good", good, 1)):
        if paths is not None and len(paths) < fewest:
            raise UserError(f"There are {len(paths)} {kind} images, and the quality needs {fewest} at least; add some.")
    if size < 32 or size % 32:
        raise UserError(f"The size of the images is a multiple of 32 of at least 32, not {size}; use 256.")
    if repeats < 1:
        raise UserError(f"The quality is measured once at least, not {repeats} times; use 3 repeats.")
    if sample is not None and not 2 <= sample <= len(synthetic):
        raise UserError(
            f"A sample of {sample} cannot be drawn of {len(synthetic)} synthetic images; "
            "take 2 to that many, or generate more."
        )


def _draws(
    count: int, sample: int | None, repeats: int, generator: torch.Generator
) -> tuple[list[list[int]], list[str]]:
    """The synthetic images of each repeat, and what there is to say about them."""
    if sample is None or sample == count:
        return [list(range(count))], ["All synthetic images were measured together, once: there is no deviation."]
    if sample * repeats <= count:
        order = torch.randperm(count, generator=generator).tolist()
        return [order[k * sample : (k + 1) * sample] for k in range(repeats)], []
    draws = [torch.randperm(count, generator=generator)[:sample].tolist() for _ in range(repeats)]
    if repeats == 1:
        return draws, []
    return draws, [f"The {repeats} samples of {sample} share images, of {count}: their deviation is too small."]


def _distances(
    draws: Sequence[Tensor], real: Tensor, network: Network, generator: torch.Generator
) -> list[QualityFigure]:
    frechet = [frechet_distance(features, real) for features in draws]
    kernel = [kernel_distance(features, real, generator) for features in draws]
    spread = fmean(part.deviation for part in kernel) if kernel[0].subsets > 1 else None
    return [
        _figure(network.titles[0], frechet, "lower", network),
        _figure(network.titles[1], [part.mean for part in kernel], "lower", network, subset_deviation=spread),
    ]


def _diversity_figure(name: str, found: Sequence[Diversity], network: Network) -> QualityFigure:
    values = [part.value for part in found if part.value is not None]
    return _figure(
        name,
        # A mean over only some repeats would be a figure of other images than its neighbours.
        values if len(values) == len(found) else [],
        "higher",
        network,
        groups=tuple(part.used for part in found),
        left_out=tuple(part.left_out for part in found),
    )


def _figure(
    name: str, values: Sequence[float], better: Literal["lower", "higher"], network: Network, **more: Any
) -> QualityFigure:
    """The mean and deviation of ``values``, one a repeat; none: it is not defined."""
    return QualityFigure(
        name=name,
        value=fmean(values) if values else None,
        deviation=stdev(values) if len(values) > 1 else None,
        better=better,
        network=network.words,
        **more,
    )


def _group_note(figure: QualityFigure) -> str:
    if not any(figure.left_out):
        return ""
    total = figure.groups[0] + figure.left_out[0]
    left = "/".join(str(number) for number in figure.left_out)
    return f"{figure.name}: {left} of {total} groups have fewer than two images and are left out."


def _jpeg_notes(title: str, sets: dict[str, Sequence[Path]]) -> list[str]:
    counts = {kind: sum(_is_jpeg(path) for path in paths) for kind, paths in sets.items()}
    found = [f"{counts[kind]} of {len(paths)} {kind} images" for kind, paths in sets.items() if counts[kind]]
    if not found:
        return []
    return [f"JPEG moves {title} and the other figures: {', '.join(found)} are JPEG; sample to PNG for evaluation."]


def _is_jpeg(path: Path) -> bool:
    """By content: a name says little."""
    try:
        with path.open("rb") as file:
            return file.read(3) == b"\xff\xd8\xff"
    except OSError:
        return False  # reading it will say what is wrong
