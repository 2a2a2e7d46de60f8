"""Do drawn defects say what will be found of real ones? ``python -m benchmarks.detection_limits RUN DATA CATEGORY``.

Defects are drawn on the good test images; of each kind a logistic regression on the logarithms of size and depth
gives the probability that a defect is found. Every real defect is then measured by its mask: long ones (three times
as long as wide) count as scratches, others as holes, their size is the width, their depth the difference of its mean
grey level from a ring around it. The mean of the probabilities is what the drawn ones predict, beside what is found.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression

from realnet import load
from realnet.data import open_dataset, read_image
from realnet.data.masks import read_truth
from realnet.limits import Found, measure_limits


def fitted(cells: list[Found]) -> LogisticRegression:
    """The probability of being found by log size and log depth."""
    x = [[np.log(cell.size), np.log(cell.depth or 1)] for cell in cells for _ in range(cell.of)]
    y = [hit < cell.found for cell in cells for hit in range(cell.of)]
    return LogisticRegression(C=100.0).fit(x, y)


def measured(image: np.ndarray, mask: np.ndarray) -> tuple[str, float, float]:
    """Kind, width in pixels and depth in grey levels of a real defect, by its largest region."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    region = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    points = np.argwhere(region)[:, ::-1].astype(np.float32)
    sides = sorted(side + 1 for side in cv2.minAreaRect(points)[1])
    long = sides[1] >= 3 * sides[0]
    width = region.sum() / sides[1] if long else 2 * np.sqrt(region.sum() / np.pi)
    ring = cv2.dilate(region.astype(np.uint8), np.ones((11, 11), np.uint8)).astype(bool) & ~mask
    grey = image.mean(2)
    depth = abs(grey[region].mean() - grey[ring].mean()) if ring.any() else 0.0
    return ("scratch" if long else "hole"), max(1.0, float(width)), max(1.0, float(depth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    judge = load(options.run)
    (category,) = open_dataset(options.data, options.category)
    good = [sample.image for sample in category.test if not sample.is_anomalous]
    limits = measure_limits(judge, good, kinds=("scratch", "hole"), seed=options.seed)
    models = {kind: fitted([cell for cell in limits.cells if cell.kind == kind]) for kind in ("scratch", "hole")}
    rows: dict[str, list[tuple[float, bool]]] = {}
    for sample in category.test:
        if not sample.is_anomalous:
            continue
        mask = read_truth(sample)
        if mask is None or not mask.any():
            continue
        kind, size, depth = measured(read_image(sample.image, None), mask.astype(bool))
        expected = float(models[kind].predict_proba([[np.log(size), np.log(depth)]])[0, 1])
        rows.setdefault(sample.defect, []).append((expected, judge.inspect(sample.image).is_anomalous))
    everything = [row for kind in rows.values() for row in kind]
    print("| defect | images | predicted | found |\n|---|---|---|---|")
    for name, found in [*rows.items(), ("all", everything)]:
        expected, hits = np.mean(found, axis=0)
        print(f"| {name} | {len(found)} | {100 * expected:.0f}% | {100 * hits:.0f}% |")


if __name__ == "__main__":
    main()
