"""Do drawn defects say what will be found of real ones? ``python -m benchmarks.detection_limits RUN DATA CATEGORY``.

Defects of nine families are made on the good test images, their size and depth drawn at random. Drawn and real ones are
then measured in the same way, by image and mask alone: the square root of the area, how elongated they are, and how far
the region is from what should be there (by how much more than its surroundings). What should be there is the good
training image that explains the surroundings best, or their mean where that explains them better. A logistic
regression on the drawn ones gives the probability that a defect is found, and the mean over real ones is what is
predicted.

Which of these measures are used is chosen without a real defect: by leaving one family out after the other, and
predicting how many of it are found from the others.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from realnet import load
from realnet.data import open_dataset, read_image
from realnet.data.masks import read_truth
from realnet.limits import KINDS, draw
from realnet.synthesis.cutpaste import CutPaste, Scar
from realnet.synthesis.foreground import foreground_mask
from realnet.synthesis.nsa import Nsa
from realnet.synthesis.structure import Structure

SIDE, RING = 256, 9
DEPTHS, LARGEST = (4.0, 128.0), SIDE / 4
FAINT = (0.1, 1.0)
# Columns of what `measured` returns.
MEASURES: dict[str, tuple[int, ...]] = {
    "area, depth against the surroundings": (0, 2),
    "area, energy": (0, 3),
    "area, energy, elongation": (0, 3, 1),
    "energy of the whole defect": (4,),
    "energy of the whole defect, elongation": (4, 1),
}


@dataclass(frozen=True)
class Defect:
    """One measured defect: its family or kind, the measures, and whether it is found."""

    family: str
    measures: np.ndarray
    found: bool


def measured(image: np.ndarray, mask: np.ndarray, goods: np.ndarray) -> np.ndarray:
    """Logarithms of root area, elongation, depth, energy a pixel, and energy of all pixels.

    Args:
        image: uint8 ``[SIDE, SIDE, 3]``.
        mask: bool ``[SIDE, SIDE]``, not empty.
        goods: float32 ``[n, SIDE, SIDE, 3]`` of good images.
    """
    ring = cv2.dilate(mask.astype(np.uint8), np.ones((2 * RING + 1,) * 2, np.uint8)).astype(bool) & ~mask
    if not ring.any():
        ring = ~mask if not mask.all() else mask
    values = image.astype(np.float32)
    around = values[ring].mean(0)
    depth = np.abs(values[mask].mean(0) - around).mean()
    rows, columns = (some[:: max(1, len(some) // 2000)] for some in np.nonzero(ring))
    apart = np.square(goods[:, rows, columns] - values[rows, columns]).mean((1, 2))
    nearest = int(apart.argmin())
    spread = np.square(values[ring] - around).mean()
    inside = np.square(values[mask] - (goods[nearest][mask] if apart[nearest] < spread else around)).mean()
    energy = max(inside - min(float(apart[nearest]), float(spread)), 1.0)
    points = np.argwhere(mask)[:, ::-1].astype(np.float32)
    sides = sorted(side + 1 for side in cv2.minAreaRect(points)[1])
    area = float(mask.sum())
    return np.log([np.sqrt(area), sides[1] / sides[0], max(depth, 1.0), np.sqrt(energy), np.sqrt(energy * area)])


def made(
    good: Sequence[np.ndarray], trained: Sequence[np.ndarray], count: int, rng: np.random.Generator
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Family, image and mask of ``count`` defects of each family."""
    sources: dict[str, Callable[..., object]] = {
        "cutpaste": CutPaste(FAINT), "scar": Scar(FAINT), "nsa": Nsa(trained, opacity=FAINT),
        "structure": Structure(trained, opacity=FAINT),
    }  # fmt: skip
    found = []
    for family in (*KINDS, *sources):
        for _ in range(count):
            image = good[int(rng.integers(len(good)))]
            foreground = foreground_mask(image)
            if family in sources:
                one = sources[family](image, foreground, rng)
                found.append((family, one.image, one.mask.astype(bool)))  # type: ignore[attr-defined]
                continue
            size, depth = (float(np.exp(rng.uniform(*np.log(span)))) for span in ((1.0, LARGEST), DEPTHS))
            drawn, mask, place = draw(image, foreground, family, size, depth, rng)  # type: ignore[arg-type]
            mask[place] = True
            found.append((family, drawn, mask))
    return found


def fitted(defects: Sequence[Defect], columns: Sequence[int]) -> Pipeline:
    """The probability of being found by some measures."""
    model = make_pipeline(StandardScaler(), LogisticRegression())
    return model.fit([one.measures[list(columns)] for one in defects], [one.found for one in defects])


def predicted(model: Pipeline, defects: Sequence[Defect], columns: Sequence[int]) -> float:
    """The share that is expected to be found."""
    return float(model.predict_proba([one.measures[list(columns)] for one in defects])[:, 1].mean())


def wrong_by(defects: Sequence[Defect], columns: Sequence[int]) -> float:
    """How far the share that is predicted of a family from all others is from what is found of it, on average."""
    errors = []
    for family in sorted({one.family for one in defects}):
        own = [one for one in defects if one.family == family]
        model = fitted([one for one in defects if one.family != family], columns)
        errors.append(abs(predicted(model, own, columns) - np.mean([one.found for one in own])))
    return float(np.mean(errors))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    parser.add_argument("--count", type=int, default=60, help="defects of each family")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    judge = load(options.run)
    (category,) = open_dataset(options.data, options.category)
    trained = [read_image(sample.image, SIDE) for sample in category.train]
    goods = np.stack(trained).astype(np.float32)
    tests = [read_image(sample.image, SIDE) for sample in category.test if not sample.is_anomalous]
    good = [image for image, found in zip(tests, judge.inspect_many(tests), strict=True) if not found.is_anomalous]
    drawn = made(good, trained, options.count, np.random.default_rng(options.seed))
    verdicts = judge.inspect_many([image for _, image, _ in drawn])
    defects = [
        Defect(family, measured(image, mask, goods), verdict.is_anomalous)
        for (family, image, mask), verdict in zip(drawn, verdicts, strict=True)
    ]
    errors = {name: wrong_by(defects, columns) for name, columns in MEASURES.items()}
    for name, error in errors.items():
        print(f"{name}: families left out are predicted with an error of {100 * error:.0f} points")
    chosen = min(errors, key=errors.__getitem__)
    model = fitted(defects, MEASURES[chosen])
    print(f"chosen: {chosen}\n\n| defect | images | predicted | found |\n|---|---|---|---|")
    real: list[Defect] = []
    for sample in category.test:
        mask = read_truth(sample, (SIDE, SIDE)) if sample.is_anomalous else None
        if mask is not None and mask.any():
            image = read_image(sample.image, SIDE)
            found = judge.inspect(sample.image).is_anomalous
            real.append(Defect(sample.defect, measured(image, mask.astype(bool), goods), found))
    for name in [*dict.fromkeys(one.family for one in real), "all"]:
        own = [one for one in real if name in (one.family, "all")]
        hits = np.mean([one.found for one in own])
        print(f"| {name} | {len(own)} | {100 * predicted(model, own, MEASURES[chosen]):.0f}% | {100 * hits:.0f}% |")


if __name__ == "__main__":
    main()
