"""Can an inspector learn from confirmed defects? ``python -m benchmarks.confirmed_defects RUN DATA CATEGORY``.

A further head is fitted in closed form: linear discriminant analysis (Ledoit-Wolf) of log(1 + E) of every channel,
between places of good images and the most suspicious places of 1, 5 and 20 confirmed defects (or, with `by mask`,
places that a person drew). It joins the score as the others do, with weight 0.5; `sum` adds it as it is, `above` only
where it speaks for a defect. Good images are judged by a head that was fitted without them, and set the threshold for
1 % false alarms. Judged are the remaining defects of the kinds that were confirmed, the kinds that were held out, and
the good test images. Nothing is chosen by them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from realnet.calibration import score_threshold
from realnet.data import Sample, open_dataset, read_image
from realnet.data.masks import read_truth
from realnet.model.evidence import EvidenceDiscriminator, smooth
from realnet.model.network import RealNet, image_score
from realnet.model.saving import load_model
from realnet.run_folder import Run
from realnet.training.extracting import Extractor
from realnet.training.folds import judge_by_folds
from realnet.training.heads import FoldedValidation
from realnet.training.kept_features import FEATURES_FILE, read_features

COUNTS, DRAWS, WEIGHT, PLACES = (1, 5, 20), 3, 0.5, 5


class Judged:
    """Images with ``logs`` of their residuals a layer, and ``maps`` of the score in deviations ``[n, 1, h, w]``."""

    def __init__(self, logs: list[Tensor], maps: Tensor) -> None:
        self.logs, self.maps = logs, maps

    def vectors(self, rows: slice | list[int]) -> Tensor:
        """log(1 + E) of every channel on the finest grid, ``[b, cells, channels]``."""
        size = self.logs[0].shape[-2:]
        parts = [F.interpolate(log[rows].float(), size=size, mode="bilinear") for log in self.logs]
        return torch.cat(parts, 1).flatten(2).transpose(1, 2)

    def cells(self, row: int) -> Tensor:
        """The most suspicious cells of an image."""
        height, width = self.logs[0].shape[-2:]
        small = F.adaptive_avg_pool2d(self.maps[row], (height, width))
        return small.flatten().topk(PLACES).indices


@torch.no_grad()
def good_ones(run: Path) -> tuple[RealNet, Judged, Tensor]:
    """The model, its good images, each judged by what has not seen it, and the number of each one's file."""
    opened = Run(run)
    model, config = load_model(opened, "cpu"), opened.config
    kept = read_features(run / FEATURES_FILE)
    result = kept.out_of_sample()
    parts = {name: some for name, some in kept.parts.items() if name in ("good", "moved")}
    judge_by_folds(model, config, result, parts, ("good",))
    validation = FoldedValidation(model, result, True)
    logits = validation.logits(result.good)
    assert logits is not None and isinstance(model.discriminator, EvidenceDiscriminator)
    side = config.model.image_size
    model.discriminator.fit_learned(logits, (side, side))
    maps = []
    for start in range(0, len(logits), 32):
        rows = slice(start, start + 32)
        general = None if result.good.general is None else result.good.general[rows]
        energies = [energy[rows] for energy in result.good.energies]
        maps.append(model.discriminator.conclude(energies, logits[rows], general, (side, side)).score)
    return model, Judged(result.good.logs, torch.cat(maps)), result.groups


@torch.no_grad()
def test_ones(model: RealNet, samples: list[Sample], side: int) -> Judged:
    """Test images by the model as it is."""
    extractor = Extractor(model, torch.device("cpu"))
    features = extractor.selected(extractor.raw(read_image(sample.image, side) for sample in samples))
    logs: list[list[Tensor]] = []
    maps = []
    for start in range(0, len(samples), 16):
        residuals = model.residuals([f[start : start + 16].float() for f in features])[0]
        maps.append(model.discriminator(residuals, (side, side)).score)
        logs.append([residual.log1p().half() for residual in residuals])
    return Judged([torch.cat(parts) for parts in zip(*logs, strict=True)], torch.cat(maps))


def fitted(negative: np.ndarray, positive: np.ndarray) -> tuple[Tensor, float]:
    """Weights and offset of the linear head."""
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.5, 0.5])
    lda.fit(np.concatenate([negative, positive]), [0] * len(negative) + [1] * len(positive))
    return torch.from_numpy(lda.coef_[0]).float(), float(lda.intercept_[0])


def head_maps(images: Judged, weights: Tensor, offset: float, side: int) -> Tensor:
    """What the head says, smoothed, ``[n, 1, side / 4, side / 4]``; a 1x1 convolution commutes with enlarging."""
    size = images.logs[0].shape[-2:]
    parts = weights.split([log.shape[1] for log in images.logs])
    found = []
    for start in range(0, len(images.maps), 32):
        logits = torch.full((), offset)
        for log, part in zip(images.logs, parts, strict=True):
            own = F.conv2d(log[start : start + 32].float(), part[None, :, None, None])
            logits = logits + F.interpolate(own, size=size, mode="bilinear")
        found.append(smooth(F.interpolate(logits, size=(side // 4,) * 2, mode="bilinear")))
    return torch.cat(found)


def joined(maps: Tensor, head: Tensor, share: float, how: str) -> np.ndarray:
    """Image scores with the head's part."""
    own = F.interpolate(head, size=maps.shape[-2:], mode="bilinear")
    total = share * maps + WEIGHT * own if how == "sum" else share * maps + WEIGHT * own.clamp_min(0)
    return image_score(total / (share + WEIGHT), "top").numpy()


def counted(good_scores: np.ndarray, scores: np.ndarray, parts: Sequence[Sequence[int]]) -> list[float]:
    """The share of some test images above the threshold that the good scores set."""
    limit = score_threshold(good_scores.tolist(), 0.01)[0]
    return [float((scores[list(part)] > limit).mean()) for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    options = parser.parse_args()
    model, good, groups = good_ones(options.run)
    side = model.config.image_size
    share = 1 + model.config.discriminator.learned + model.config.general
    (category,) = open_dataset(options.data, options.category)
    samples = list(category.test)
    tests = test_ones(model, samples, side)
    kinds = sorted({sample.defect for sample in samples if sample.is_anomalous})
    of_kind = {kind: [i for i, sample in enumerate(samples) if sample.defect == kind] for kind in kinds}
    fine = [i for i, sample in enumerate(samples) if not sample.is_anomalous]
    rng = np.random.default_rng(0)
    anywhere = torch.from_numpy(rng.integers(0, good.logs[0][0, 0].numel(), (len(groups), PLACES)))
    shown = torch.cat([torch.stack([good.cells(i) for i in range(len(groups))]), anywhere], 1)
    negatives = [good.vectors([i])[0][shown[i]].numpy() for i in range(len(groups))]
    before = image_score(good.maps, "top").numpy(), image_score(tests.maps, "top").numpy()
    print("| confirmed | places | joined | same kinds, found | kinds held out, found | false alarms |")
    print("|---|---|---|---|---|---|")
    rows: dict[tuple[int, str, str], list[list[float]]] = {}
    for draw in range(DRAWS):
        held_out = kinds[draw % len(kinds)]
        others = np.random.default_rng([1, draw]).permutation(
            [i for kind in kinds if kind != held_out for i in of_kind[kind]]
        )
        judged = (others[max(COUNTS) :].tolist(), of_kind[held_out], fine)
        rows.setdefault((0, "", ""), []).append(counted(*before, judged))
        for count in COUNTS:
            confirmed = others[:count].tolist()
            for places in ("top", "by mask"):
                cells = [_cells(tests, samples[i], i, places) for i in confirmed]
                positive = np.concatenate(
                    [tests.vectors([i])[0][own].numpy() for i, own in zip(confirmed, cells, strict=True)]
                )
                heads = [
                    fitted(np.concatenate([n for i, n in enumerate(negatives) if int(groups[i]) % 2 != fold]), positive)
                    for fold in (0, 1)
                ]
                own = torch.stack([head_maps(good, *head, side) for head in heads])
                of_good = torch.where((groups % 2 == 0)[:, None, None, None], own[0], own[1])
                mean, deviation = of_good.mean(), of_good.std()
                of_test = (torch.stack([head_maps(tests, *head, side) for head in heads]).mean(0) - mean) / deviation
                for how in ("sum", "above"):
                    found = counted(
                        joined(good.maps, (of_good - mean) / deviation, share, how),
                        joined(tests.maps, of_test, share, how),
                        judged,
                    )
                    rows.setdefault((count, places, how), []).append(found)
    for (count, places, how), several in sorted(rows.items()):
        said = [
            f"{100 * np.mean(part):.0f}% ({', '.join(f'{100 * one:.0f}' for one in part)})"
            for part in zip(*several, strict=True)
        ]
        print(f"| {count or 'before'} | {places} | {how} | {' | '.join(said)} |")


def _cells(images: Judged, sample: Sample, row: int, places: str) -> Tensor:
    """Where the defect is taken to be."""
    if places == "top":
        return images.cells(row)
    height, width = images.logs[0].shape[-2:]
    mask = read_truth(sample, (images.maps.shape[-2], images.maps.shape[-1]))
    assert mask is not None
    shares = F.adaptive_avg_pool2d(torch.from_numpy(mask.astype(np.float32))[None], (height, width)).flatten()
    return shares.topk(min(PLACES, max(1, int((shares > 0).sum())))).indices


if __name__ == "__main__":
    main()
