"""Copies of good images as the line would show them: moved, turned, lighter or darker."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from realnet.config import ToleranceConfig

STRENGTHS = {
    "none": ToleranceConfig(),
    "weak": ToleranceConfig(shift=0.016, rotation=1.0, light=0.05),
    "strong": ToleranceConfig(shift=0.05, rotation=3.0, light=0.15),
}
"""What ``training.augmentation`` names."""


def moved(image: np.ndarray, shift: tuple[float, float], rotation: float, light: float) -> np.ndarray:
    """``image`` uint8 ``[h, w, 3]`` shifted, turned about its middle and made lighter; its edges are mirrored.

    ``shift`` right and down in shares of the sides, ``rotation`` in degrees against the clock, ``light`` as a share.
    """
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rotation, 1.0)
    matrix[:, 2] += shift[0] * width, shift[1] * height
    turned = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(turned.astype(np.float32) * (1 + light), 0, 255).astype(np.uint8)


def copies(
    images: Sequence[np.ndarray], limits: ToleranceConfig, each: int, seed: int, at_limit: bool = False, first: int = 0
) -> Iterator[np.ndarray]:
    """``each`` copies of every image, in the order of the images, moved at random within ``limits``, or by all of them.

    ``first`` is the number of the first image, as the same number always draws the same copies.
    """
    for number, image in enumerate(images, first):
        for copy in range(each):
            rng = np.random.default_rng([seed, int(at_limit), number, copy])
            drawn = rng.uniform(-1, 1, 4)
            if at_limit:
                drawn = np.where(drawn < 0, -1.0, 1.0)
            shift = (float(drawn[0]) * limits.shift, float(drawn[1]) * limits.shift)
            yield moved(image, shift, float(drawn[2]) * limits.rotation, float(drawn[3]) * limits.light)


def copies_each(images: int) -> int:
    """How many copies of each of ``images`` good images join a subspace: many of few, one of hundreds."""
    return min(16, max(1, round(160 / images)))
