"""Good images that are not all good: what real defects among them cost, whether they are named, what leaving out gives.

    python benchmarks/unclean.py DATA CATEGORY --output DIR

Half of the test defects are set aside, some of them join the good images, and the other half is judged with the good
test images, by preset `instant` without copies of good images: subspaces, levels and statistics are fitted to the
mixture. Then, twice, the three quarters of the images with the lowest scores are fitted to (each of them judged by
folds, the others by all three quarters), so that defects of a kind no longer rebuild each other. Named is what then
scores far above the median; share and limit were chosen on synthetic defects of one kind put among the good images.
"Left out" fits once more without what is named.

Where a data set holds several photographs of one defect, those of a defect that has joined the good images are not
new to the inspector: the columns "new_..." judge the others alone. Photographs show the same defect where their masks
overlap.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from realnet.calibration import far_above
from realnet.data import Sample, open_dataset, read_mask
from realnet.evaluation.metrics import image_auroc
from realnet.model.network import RealNet
from realnet.presets import presets
from realnet.training.extracting import Extractor
from realnet.training.folds import judge_by_folds, load_general, set_solved
from realnet.training.kept_features import KeptFeatures
from realnet.training.out_of_sample import part_scores
from realnet.training.prepare import good_images

CONFIG = presets["instant"]
# The share of the images that are fitted to before any is named, how often, and the robust deviations of the scores'
# logits above their median from which on an image is named.
CORE, ROUNDS, FAR = 0.75, 2, 2.0
# Masks are compared at this size; where the defect is the same, they share more than OVERLAP of what the two cover.
MASK_SIZE, OVERLAP = 256, 0.3
Features = list[Tensor]


@dataclass(frozen=True)
class Product:
    """Raw features of the good images and of the test images, which of these are defective, and show the same."""

    good: Features
    test: Features
    defective: np.ndarray
    same: np.ndarray


def read_product(data: Path, category: str, folder: Path) -> Product:
    """The features of a category, which are made once and kept in ``folder``."""
    (found,) = open_dataset(data, category)
    file = folder / f"{category}.safetensors"
    if not file.is_file():
        extractor = Extractor(RealNet(CONFIG).eval(), torch.device("cpu"))
        parts = {"good": found.train, "test": found.test}
        made = {name: extractor.raw(good_images(samples, CONFIG, None)) for name, samples in parts.items()}
        save_file({f"{name}.{k}": f for name, features in made.items() for k, f in enumerate(features)}, file)
    tensors = load_file(file)
    good, test = ([tensors[f"{name}.{k}"] for k in range(3)] for name in ("good", "test"))
    return Product(good, test, np.array([sample.is_anomalous for sample in found.test]), same_defect(found.test))


def same_defect(samples: Sequence[Sample]) -> np.ndarray:
    """Which two images show the same defect, by the overlap of their masks; bool N x N."""
    masks = np.zeros((len(samples), MASK_SIZE**2), np.float32)
    for row, sample in zip(masks, samples, strict=True):
        if sample.mask is not None:
            mask = 255 * read_mask(sample.mask).astype(np.uint8)
            small = cv2.resize(mask, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA)
            row[:] = cv2.dilate(small, np.ones((5, 5), np.uint8)).ravel() > 0  # thin cracks move by a pixel or two
    both, areas = masks @ masks.T, masks.sum(1)
    return both > OVERLAP * np.maximum(areas[:, None] + areas - both, 1)


@torch.no_grad()
def fit(model: RealNet, good: Features) -> np.ndarray:
    """Fit ``model`` to good images; logits of their scores, each judged by what has not seen it."""
    model.backbone.fit_statistics([[f.float() for f in good]])
    count = len(good[0])
    rows = torch.arange(count)
    parts = {"good": selected(model, good)}
    seen = KeptFeatures(tuple(map(str, range(count))), rows, "none", 0, {"good": rows}, parts).out_of_sample()
    set_solved(model, judge_by_folds(model, CONFIG, seen, parts, ["good"]))
    return logit(part_scores(model, seen.good).numpy())


@torch.no_grad()
def judge(model: RealNet, raw: Features) -> np.ndarray:
    """Logits of the scores of images that are new to ``model``."""
    features, side = selected(model, raw), CONFIG.model.image_size
    scores = [
        model.conclude(model.residuals([f[i : i + 32] for f in features])[0], (side, side)).score
        for i in range(0, len(features[0]), 32)
    ]
    return logit(torch.cat(scores).numpy())


@torch.no_grad()
def selected(model: RealNet, raw: Features) -> Features:
    """Standardised, selected features."""
    parts = [model.select_from([f[i : i + 64].float() for f in raw]) for i in range(0, len(raw[0]), 64)]
    return [torch.cat([part[k] for part in parts]) for k in range(len(raw))]


def logit(scores: np.ndarray) -> np.ndarray:
    """On a scale without ends."""
    inside = np.clip(scores.astype(np.float64), 1e-9, 1 - 1e-9)
    return np.log(inside / (1 - inside))


def name_suspicious(model: RealNet, good: Features, scores: np.ndarray) -> np.ndarray:
    """Which good images are suspicious, as a mask; ``model`` is fitted on the way.

    Args:
        scores: what :func:`fit` gave of all of them.
    """
    count = int(CORE * len(scores))
    for _ in range(ROUNDS):
        order = np.argsort(scores)
        core, rest = np.sort(order[:count]), np.sort(order[count:])
        scores = np.empty_like(scores)
        scores[core] = fit(model, [f[core] for f in good])
        scores[rest] = judge(model, [f[rest] for f in good])
    return far_above(scores, FAR)


def leave_out(model: RealNet, good: Features, scores: np.ndarray) -> np.ndarray:
    """Which good images are named; ``model`` is then fitted to the others. ``scores``: what :func:`fit` gave."""
    named = name_suspicious(model, good, scores)
    fit(model, [f[np.flatnonzero(~named)] for f in good])
    return named


def main() -> None:
    """Measure and print, a line a draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.1])
    order = parser.parse_args()
    order.output.mkdir(parents=True, exist_ok=True)
    product = read_product(order.data, order.category, order.output)
    model = RealNet(CONFIG).eval()
    load_general(model)
    count, defects = len(product.good[0]), np.flatnonzero(product.defective)
    scores = fit(model, product.good)
    clean = judge(model, product.test)
    named = leave_out(model, product.good, scores)
    trimmed = judge(model, product.test)
    with (order.output / f"{order.category}.csv").open("w", newline="") as stream:
        table = csv.writer(stream)

        def put(*row: object) -> None:
            table.writerow(row)
            stream.flush()
            print(*(f"{value:.4f}" if isinstance(value, float) else value for value in row), flush=True)

        put("share", "draw", "defects", "clean", "mixed", "left_out", "named", "named_defects", "new",
            "new_clean", "new_mixed", "new_left_out")  # fmt: skip
        found = [image_auroc(judged, product.defective) for judged in (clean, trimmed)]
        put(0.0, 0, 0, found[0], found[0], found[1], int(named.sum()), 0, len(defects), found[0], found[0], found[1])
        for draw in range(order.draws):
            shuffled = np.random.default_rng(draw).permutation(defects)
            aside, kept = shuffled[: len(defects) // 2], shuffled[len(defects) // 2 :]
            judged = np.sort(np.concatenate([np.flatnonzero(~product.defective), kept]))
            truth = product.defective[judged]
            test = [f[judged] for f in product.test]
            for share in order.shares:
                joining = aside[: round(share * count)]
                mixed = [torch.cat([a, b[joining]]) for a, b in zip(product.good, product.test, strict=True)]
                scores = fit(model, mixed)
                harmed = judge(model, test)
                named = leave_out(model, mixed, scores)
                scored = (clean[judged], harmed, judge(model, test))
                new = ~product.same[np.ix_(judged, joining)].any(1)
                put(
                    share, draw, len(joining), *(image_auroc(s, truth) for s in scored),
                    int(named.sum()), int(named[count:].sum()),
                    int(truth[new].sum()), *(image_auroc(s[new], truth[new]) for s in scored),
                )  # fmt: skip


if __name__ == "__main__":
    main()
