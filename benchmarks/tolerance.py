"""Are good parts within a stated tolerance still good? ``python -m benchmarks.tolerance RUN DATA CATEGORY``.

The good test images are shifted both ways, turned either way, made darker, and all of it; borders are reflected.
Printed is how many of them RUN rejects at its threshold, and how many defects it misses as they are. ``--shift``,
``--rotation`` and ``--light`` are the whole of what ``realnet train --tolerate`` was asked for.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from realnet import load
from realnet.data import open_dataset, read_image

Change = Callable[[np.ndarray], np.ndarray]


def moved(shift: tuple[float, float], degrees: float, light: float) -> Change:
    """Return a change of uint8 images ``[H, W, 3]``: shifts as shares of the sides, degrees, light as a share."""

    def change(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
        matrix[:, 2] += np.array([shift[0] * width, shift[1] * height])
        turned = cv2.warpAffine(
            image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.clip(np.rint(turned * (1 + light)), 0, 255).astype(np.uint8)

    return change


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("category")
    parser.add_argument("--shift", type=float, default=0.05)
    parser.add_argument("--rotation", type=float, default=3.0)
    parser.add_argument("--light", type=float, default=0.15)
    given = parser.parse_args()
    inspector = load(given.run)
    (category,) = open_dataset(given.data, given.category)
    side = inspector.image_size
    images = [read_image(sample.image, side) for sample in category.test]
    bad = np.array([sample.is_anomalous for sample in category.test])

    def rejected(chosen: list[np.ndarray]) -> int:
        return sum(verdict.is_anomalous for verdict in inspector.inspect_many(chosen))

    good = [image for image, is_bad in zip(images, bad, strict=True) if not is_bad]
    shift, turn, dark = given.shift, given.rotation, -given.light
    changes = {
        "as they are": moved((0, 0), 0, 0),
        "shifted": moved((shift, -shift), 0, 0),
        "shifted the other way": moved((-shift, shift), 0, 0),
        "turned": moved((0, 0), turn, 0),
        "turned the other way": moved((0, 0), -turn, 0),
        "darker": moved((0, 0), 0, dark),
        "all of it": moved((shift, shift), turn, dark),
    }
    for name, change in changes.items():
        print(f"{name}: {rejected([change(image) for image in good])} of {len(good)} good images rejected", flush=True)
    missed = int(bad.sum()) - rejected([image for image, is_bad in zip(images, bad, strict=True) if is_bad])
    print(f"missed: {missed} of {bad.sum()}")


if __name__ == "__main__":
    main()
