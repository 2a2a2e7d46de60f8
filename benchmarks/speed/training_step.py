"""A training step: the naive order of work against ours, same network, same losses, one run, interleaved.

python -m benchmarks.speed.training_step DATA CATEGORY [--preset lite] [--steps 12]

Naive: a batch of B fresh synthetic defects and B normal samples is made in the loop, the backbone runs on A and on I of
every sample, float32, contiguous. Ours: `Batches` as `realnet train` uses it.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from benchmarks.speed.timing import Line, emit, hardware, interleaved

from realnet import RealNet, presets
from realnet.config import Config
from realnet.data import open_dataset
from realnet.training.batches import Batch, Batches, GoodFeatures, shuffled_index, to_tensor
from realnet.training.loop import LossOfBatch
from realnet.training.prepare import fit_selection, good_images, make_synthesizer, split_good

TARGET = 2.0


def naive_batches(model: RealNet, synthesizer, images, config: Config) -> Iterator[Batch]:  # type: ignore[no-untyped-def]
    """Half normal, half anomalous as ours, but nothing is kept and nothing is skipped."""
    half = config.training.batch_size // 2
    step = 0
    while True:
        goods = [shuffled_index(len(images), 1, step * 2 * half + j) for j in range(2 * half)]
        defects = [synthesizer(step * half + j, goods[half + j]) for j in range(half)]
        normal = to_tensor([images[g] for g in goods]).contiguous()
        shown = torch.cat([normal[:half], to_tensor([d.image for d in defects])]).contiguous()
        masks = torch.zeros(2 * half, 1, *shown.shape[-2:])
        for j, defect in enumerate(defects):
            masks[half + j, 0] = torch.from_numpy(defect.mask)
        with torch.no_grad():  # not around the yield: it would hold for the caller, too
            batch = Batch(model.select(shown), model.select(normal), masks)
        yield batch
        step += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--steps", type=int, default=12)
    given = parser.parse_args()
    config = presets[given.preset]
    (category,) = open_dataset(given.data, given.category)
    split = split_good(category.train[: given.images], config.training.validation_share, 0)
    images = good_images(split.train, config)
    synthesizer = make_synthesizer(split.train, images, config, 0)
    model = RealNet(config).to(memory_format=torch.channels_last)
    raw = GoodFeatures(images, model.backbone.extract, torch.device("cpu"), config.training.cache_gigabytes)
    fit_selection(model, raw, synthesizer, config)
    good = raw.then(model.select_from)
    settings = config.training
    module = LossOfBatch(model, (settings.reconstruction_weight, settings.segmentation_weight))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-5)
    model.train()
    batches = Batches(model, synthesizer, good, 0, settings)
    ours, naive = batches.starting_at(0, 10**6), naive_batches(model, synthesizer, images, config)

    def step(source: Iterator[Batch]) -> None:
        batch = next(source)
        optimizer.zero_grad(set_to_none=True)
        module(batch.anomalous, batch.normal, batch.mask)[0].backward()
        optimizer.step()

    next(ours)  # fills the window
    seconds = interleaved({"naive": lambda: step(naive), "ours": lambda: step(ours)}, given.steps)
    ratio = seconds["naive"] / seconds["ours"]
    start = time.perf_counter()
    made = 60
    for number in range(made):
        synthesizer(number + 10**6)
    rate = made / (time.perf_counter() - start)
    emit(
        [
            Line(
                f"training step {given.preset}", f">= {TARGET:g}x naive", f"{1 / seconds['ours']:.2f} steps/s", ratio,
                ratio >= TARGET,
                f"naive {1 / seconds['naive']:.2f} steps/s, batch {settings.batch_size}, {settings.fresh} fresh "
                f"defects a step against {settings.batch_size // 2}; {hardware()}",
            ),
            Line(
                f"synthesis {config.synthesis.source}", ">= 300 samples/s a core", f"{rate:.0f} samples/s", None,
                rate >= 300, f"{config.model.image_size} pixels, {made} samples, one process",
            ),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
