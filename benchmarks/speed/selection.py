"""AFS in one pass over all layers against a pass a layer.

python -m benchmarks.speed.selection DATA CATEGORY [--preset lite] [--batches 4]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from benchmarks.speed.timing import Line, emit, hardware, interleaved
from torch import Tensor

from realnet import RealNet, presets
from realnet.data import open_dataset
from realnet.training.batches import to_tensor
from realnet.training.prepare import good_images, make_synthesizer

TARGET = 4.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    parser.add_argument("--preset", default="paper-half")
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    config = presets[given.preset]
    (category,) = open_dataset(given.data, given.category)
    images = good_images(category.train[:16], config)
    config = config.model_copy(update={"synthesis": config.synthesis.model_copy(update={"source": "nsa"})})
    synthesizer = make_synthesizer(category.train[:16], images, config, 0)
    torch.manual_seed(0)
    model = RealNet(config, pretrained=given.preset == "lite").to(memory_format=torch.channels_last)
    size = 8
    pairs = []
    for batch in range(given.batches):
        defects = [synthesizer(batch * size + j, j % len(images)) for j in range(size)]
        shown = to_tensor([d.image for d in defects])
        good = to_tensor([images[j % len(images)] for j in range(size)])
        pairs.append((shown, good, torch.from_numpy(np.stack([d.mask for d in defects]))[:, None]))

    def features(cached: bool) -> Iterator[tuple[list[Tensor], list[Tensor], Tensor]]:
        for (shown, good, mask), kept in zip(pairs, known, strict=True):
            shown = shown.contiguous(memory_format=torch.channels_last) if cached else shown.contiguous()
            yield model.backbone(shown), kept if cached else model.backbone(good.contiguous()), mask

    with torch.no_grad():
        # Training has the good images' features already: it computes them for every image at the start.
        known = [model.backbone(good) for _, good, _ in pairs]

    def ours() -> None:
        model.afs.fit(features(cached=True))

    def layer_by_layer() -> None:
        for _ in range(len(model.backbone.channels)):
            model.afs.fit(features(cached=False))

    seconds = interleaved({"layers": layer_by_layer, "ours": ours}, given.rounds, warm_up=1)
    ratio = seconds["layers"] / seconds["ours"]
    emit(
        [
            Line(
                f"AFS {given.preset}", f">= {TARGET:g}x a pass a layer", f"{seconds['ours']:.2f} s", ratio,
                ratio >= TARGET,
                f"{given.batches * size} images, {len(model.backbone.channels)} layers, a pass a layer "
                f"{seconds['layers']:.2f} s; {hardware()}",
            )
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
