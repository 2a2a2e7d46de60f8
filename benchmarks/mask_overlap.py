"""How well the outline of a run agrees with known regions: ``python -m benchmarks.mask_overlap RUN PAIRS``.

PAIRS is what ``realnet synthesize`` wrote, or any data set with masks. Of each defective image the region above the
run's pixel threshold is compared with the mask: intersection over union. A generated image (SIA) has no mask; its
region comes from ``realnet inspect RUN SIA --masks``, and this says how far such regions can be trusted.
"""

import argparse
from pathlib import Path

import numpy as np

from realnet import load
from realnet.data import open_dataset
from realnet.data.masks import read_truth


def overlaps(run: Path, pairs: Path, category: str | None) -> list[float]:
    """Intersection over union of each image whose mask is not empty."""
    judge = load(run)
    found = []
    for one in open_dataset(pairs, category):
        samples = [sample for sample in one.test if sample.is_anomalous]
        for sample, verdict in zip(samples, judge.inspect_many([sample.image for sample in samples]), strict=True):
            mask = read_truth(sample)
            if mask is not None and mask.any():
                region, truth = verdict.mask.astype(bool), np.asarray(mask) > 0
                found.append(float((region & truth).sum() / (region | truth).sum()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--category")
    options = parser.parse_args()
    found = overlaps(options.run, options.pairs, options.category)
    low, middle, high = np.percentile(found, (25, 50, 75))
    print(f"{len(found)} images: IoU {np.mean(found):.3f} on average; quartiles {low:.3f}, {middle:.3f}, {high:.3f}")


if __name__ == "__main__":
    main()
