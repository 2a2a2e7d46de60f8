"""How well the outline of a run agrees with known regions: ``python -m benchmarks.mask_overlap RUN PAIRS``.

PAIRS is what ``realnet synthesize`` wrote. Of each image the region above the run's pixel threshold is compared
with the mask: intersection over union. A generated image (SIA) has no mask; its
region comes from ``realnet inspect RUN SIA --masks``, and this says how far such regions can be trusted.
"""

import argparse
from pathlib import Path

import numpy as np

from realnet import load
from realnet.data import read_mask


def overlaps(run: Path, pairs: Path) -> list[float]:
    """Intersection over union of each image and its mask in ``ground_truth/``."""
    judge = load(run)
    masks = sorted(pairs.glob("ground_truth/*/*_mask.png"))
    images = [pairs / "test" / mask.parent.name / mask.name.replace("_mask", "") for mask in masks]
    found = []
    for mask, verdict in zip(masks, judge.inspect_many(images), strict=True):
        region, truth = verdict.mask.astype(bool), read_mask(mask) > 0
        found.append(float((region & truth).sum() / (region | truth).sum()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("pairs", type=Path)
    options = parser.parse_args()
    found = overlaps(options.run, options.pairs)
    low, middle, high = np.percentile(found, (25, 50, 75))
    print(f"{len(found)} images: IoU {np.mean(found):.3f} on average; quartiles {low:.3f}, {middle:.3f}, {high:.3f}")


if __name__ == "__main__":
    main()
