"""Good images that are not all good: what real defects among them cost, whether they are named, what leaving out gives.

    python benchmarks/unclean.py DATA CATEGORY --output DIR

Half of the test defects are set aside, some of them join the good images, and the other half is judged with the good
test images, by preset `instant` without copies of good images: subspaces, levels and statistics are fitted to the
mixture. An image is named where its score, judged by subspaces that have not seen it, lies far above the median, either
as a whole or by the general head alone; both limits were chosen on synthetic defects put among the good images. "Left
out" fits again without what is named, judges all good images again, names again, and fits once more.
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from realnet.data import open_dataset
from realnet.evaluation.metrics import image_auroc
from realnet.model.evidence import EvidenceDiscriminator, smooth
from realnet.model.network import RealNet
from realnet.presets import presets
from realnet.training.extracting import Extractor
from realnet.training.folds import judge_by_folds, load_general, part_scores, set_solved
from realnet.training.kept_features import KeptFeatures
from realnet.training.prepare import good_images

CONFIG = presets["instant"]
# Robust deviations above the median: of the whole score's logit, and of the general head's largest logits.
FAR, FAR_BY_GENERAL = 3.0, 4.0
Features = list[Tensor]


@dataclass(frozen=True)
class Product:
    """Raw features of the good images and of the test images, and which of these are defective."""

    good: Features
    test: Features
    defective: np.ndarray


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
    return Product(good, test, np.array([sample.is_anomalous for sample in found.test]))


@torch.no_grad()
def fit(model: RealNet, good: Features) -> tuple[np.ndarray, np.ndarray]:
    """Fit ``model`` to good images: their scores and what the general head says, judged by what has not seen them."""
    model.backbone.fit_statistics([[f.float() for f in good]])
    count = len(good[0])
    rows = torch.arange(count)
    parts = {"good": selected(model, good)}
    seen = KeptFeatures(tuple(map(str, range(count))), rows, "none", 0, {"good": rows}, parts).out_of_sample()
    set_solved(model, judge_by_folds(model, CONFIG, seen, parts, ["good"]))
    discriminator = model.discriminator
    assert isinstance(discriminator, EvidenceDiscriminator) and seen.good.general is not None
    general = smooth(seen.good.general).flatten(1).topk(4, 1).values.mean(1)
    return logit(part_scores(model, seen.good).numpy()), general.numpy()


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


@torch.no_grad()
def general_of(model: RealNet, raw: Features) -> np.ndarray:
    """What the general head alone says of images that are new to ``model``."""
    features, discriminator = selected(model, raw), model.discriminator
    assert isinstance(discriminator, EvidenceDiscriminator) and discriminator.general is not None
    logs = [residual.log1p() for residual in model.residuals(features)[0]]
    return smooth(discriminator.general(logs)).flatten(1).topk(4, 1).values.mean(1).numpy()


def logit(scores: np.ndarray) -> np.ndarray:
    """On a scale without ends."""
    inside = np.clip(scores.astype(np.float64), 1e-9, 1 - 1e-9)
    return np.log(inside / (1 - inside))


def far(values: np.ndarray, own: np.ndarray, limit: float) -> np.ndarray:
    """Which of ``values`` lie more than ``limit`` robust deviations of ``own`` above their median."""
    middle = np.median(own)
    return values > middle + limit * 1.4826 * np.median(np.abs(own - middle))


def leave_out(model: RealNet, good: Features, whole: np.ndarray, general: np.ndarray) -> np.ndarray:
    """Which good images are named, after two rounds; ``model`` is then fitted to the others.

    Args:
        whole, general: what :func:`fit` gave of all of them.
    """
    named = far(whole, whole, FAR) | far(general, general, FAR_BY_GENERAL)
    kept, out = np.flatnonzero(~named), np.flatnonzero(named)
    own, own_general = fit(model, [f[kept] for f in good])
    whole, general = whole.copy(), general.copy()
    whole[kept], general[kept] = own, own_general
    if len(out):
        rest = [f[out] for f in good]
        whole[out], general[out] = judge(model, rest), general_of(model, rest)
    named = far(whole, own, FAR) | far(general, own_general, FAR_BY_GENERAL)
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
    whole, general = fit(model, product.good)
    clean = judge(model, product.test)
    named = leave_out(model, product.good, whole, general)
    trimmed = judge(model, product.test)
    with (order.output / f"{order.category}.csv").open("w", newline="") as stream:
        table = csv.writer(stream)

        def put(*row: object) -> None:
            table.writerow(row)
            stream.flush()
            print(*(f"{value:.4f}" if isinstance(value, float) else value for value in row), flush=True)

        put("share", "draw", "defects", "clean", "mixed", "left_out", "named", "named_defects")
        found = [image_auroc(scores, product.defective) for scores in (clean, trimmed)]
        put(0.0, 0, 0, found[0], found[0], found[1], int(named.sum()), 0)
        for draw in range(order.draws):
            shuffled = np.random.default_rng(draw).permutation(defects)
            aside, kept = shuffled[: len(defects) // 2], shuffled[len(defects) // 2 :]
            judged = np.sort(np.concatenate([np.flatnonzero(~product.defective), kept]))
            truth = product.defective[judged]
            test = [f[judged] for f in product.test]
            for share in order.shares:
                joining = aside[: round(share * count)]
                mixed = [torch.cat([a, b[joining]]) for a, b in zip(product.good, product.test, strict=True)]
                whole, general = fit(model, mixed)
                harmed = judge(model, test)
                named = leave_out(model, mixed, whole, general)
                mended = judge(model, test)
                put(
                    share, draw, len(joining), image_auroc(clean[judged], truth), image_auroc(harmed, truth),
                    image_auroc(mended, truth), int(named.sum()), int(named[count:].sum()),
                )  # fmt: skip


if __name__ == "__main__":
    main()
