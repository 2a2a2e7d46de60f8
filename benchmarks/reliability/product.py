"""A small data set of given images, in MVTec AD's layout; its defects are drawn, so their masks are known."""

from pathlib import Path

import numpy as np
from benchmarks.reliability.encoding import seed_images
from PIL import Image

NAME = "widget"
SIDE = 96


def make_product(data: Path, folder: Path, train: int = 8, test: int = 3) -> Path:
    """Images of ``data``, small, as ``folder/widget``: ``train`` good ones, ``test`` good and as many spoilt ones."""
    images = [image.resize((SIDE, SIDE)) for image in seed_images(data, train + test)]
    rng = np.random.default_rng(0)
    for number in range(train):
        _save(images[number % len(images)], folder / NAME / "train" / "good" / f"{number:03}.png")
    for number in range(test):
        image = images[-1 - number % len(images)]
        _save(image, folder / NAME / "test" / "good" / f"{number:03}.png")
        left, top = (int(place) for place in rng.integers(0, SIDE - SIDE // 6, 2))
        box = (left, top, left + SIDE // 6, top + SIDE // 6)
        spoilt, mask = image.copy(), Image.new("L", image.size)
        spoilt.paste((230, 20, 20), box)
        mask.paste(255, box)
        _save(spoilt, folder / NAME / "test" / "stain" / f"{number:03}.png")
        _save(mask, folder / NAME / "ground_truth" / "stain" / f"{number:03}_mask.png")
    return folder


def make_pictures(data: Path, folder: Path, count: int) -> Path:
    """``count`` images to be inspected, all different."""
    images = [np.asarray(image.resize((SIDE, SIDE))) for image in seed_images(data, 12)]
    rng = np.random.default_rng(1)
    for number in range(count):
        noisy = images[number % len(images)] + rng.normal(0, 4, (SIDE, SIDE, 3))
        _save(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)), folder / f"{number:03}.png")
    return folder


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
