"""Photometric and geometric changes of images, uint8 [h, w, 3] in and out.

The set is the one DRAEM draws from (Zavrtanik et al., ICCV 2021, arXiv 2108.07610, Sec. 3.3).
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Augmentation = Callable[[Image, np.random.Generator], Image]

_LEVELS = np.arange(256, dtype=np.float32)


def _looked_up(image: Image, table: NDArray[np.float32]) -> Image:
    """Apply a tone curve: ``table`` is float [256] or [256, 3] (one a channel), in grey levels."""
    curve = np.clip(np.rint(table), 0.0, 255.0).astype(np.uint8)
    return np.asarray(cv2.LUT(image, curve if curve.ndim == 1 else curve[None]), dtype=np.uint8)


def gamma_contrast(image: Image, rng: np.random.Generator) -> Image:
    """Raise each channel to a power of 0.5..2."""
    power = rng.uniform(0.5, 2.0, 3).astype(np.float32)
    return _looked_up(image, 255.0 * (_LEVELS[:, None] / 255.0) ** power)


def multiply_and_add(image: Image, rng: np.random.Generator) -> Image:
    """Multiply by 0.8..1.2 and add -30..30."""
    return _looked_up(image, _LEVELS * np.float32(rng.uniform(0.8, 1.2)) + np.float32(rng.uniform(-30.0, 30.0)))


def sharpen(image: Image, rng: np.random.Generator) -> Image:
    """Add 0.5..2 times what a small blur takes away."""
    amount = float(rng.uniform(0.5, 2.0))
    blurred = cv2.GaussianBlur(image, (0, 0), 1.5)
    return np.asarray(cv2.addWeighted(image, 1.0 + amount, blurred, -amount, 0.0), dtype=np.uint8)


def hue_and_saturation(image: Image, rng: np.random.Generator) -> Image:
    """Shift hue and saturation by -50..50 of 255."""
    return shifted_hue(image, float(rng.uniform(-50, 50)) / 255.0, float(rng.uniform(-50, 50)))


def shifted_hue(image: Image, turn: float, saturation: float = 0.0, gain: float = 1.0) -> Image:
    """Turn the hue by ``turn`` full circles; scale saturation by ``gain``, add ``saturation`` (of 255)."""
    hue, chroma, value = (
        np.asarray(plane, dtype=np.uint8) for plane in cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL))
    )
    # The hue is a circle of 256 steps: the overflow of uint8 is its period.
    hue = hue + np.uint8(round(turn * 256.0) % 256)
    chroma = _looked_up(chroma, _LEVELS * np.float32(gain) + np.float32(saturation))
    changed = cv2.cvtColor(cv2.merge([hue, chroma, value]), cv2.COLOR_HSV2RGB_FULL)
    return np.asarray(changed, dtype=np.uint8)


def solarize(image: Image, rng: np.random.Generator) -> Image:
    """Invert all levels above a threshold of 32..128."""
    return _looked_up(image, np.where(rng.uniform(32.0, 128.0) > _LEVELS, _LEVELS, 255.0 - _LEVELS))


def posterize(image: Image, rng: np.random.Generator) -> Image:
    """Keep the upper 1 to 4 bits."""
    step = float(2 ** int(rng.integers(4, 8)))
    return _looked_up(image, np.floor(_LEVELS / step) * step)


def invert(image: Image, rng: np.random.Generator) -> Image:
    """Take the negative."""
    return np.asarray(cv2.bitwise_not(image), dtype=np.uint8)


def autocontrast(image: Image, rng: np.random.Generator) -> Image:
    """Stretch each channel's levels to 0..255."""
    limits = np.array([cv2.minMaxLoc(plane)[:2] for plane in cv2.split(image)], dtype=np.float32)
    low, span = limits[:, 0], np.maximum(limits[:, 1] - limits[:, 0], 1.0)
    return _looked_up(image, (_LEVELS[:, None] - low) * (255.0 / span))


def equalize(image: Image, rng: np.random.Generator) -> Image:
    """Equalise each channel's histogram."""
    return np.asarray(cv2.merge([cv2.equalizeHist(plane) for plane in cv2.split(image)]), dtype=np.uint8)


def rotate(image: Image, rng: np.random.Generator) -> Image:
    """Turn by -45..45 degrees about the centre."""
    return rotated(image, float(rng.uniform(-45.0, 45.0)))


AUGMENTATIONS: tuple[Augmentation, ...] = (
    gamma_contrast,
    multiply_and_add,
    sharpen,
    hue_and_saturation,
    solarize,
    posterize,
    invert,
    autocontrast,
    equalize,
    rotate,
)


def three_random(image: Image, rng: np.random.Generator) -> Image:
    """Apply three distinct augmentations, drawn at random."""
    for index in rng.choice(len(AUGMENTATIONS), 3, replace=False):
        image = AUGMENTATIONS[index](image, rng)
    return image


def rotated(
    image: Image, degrees: float, centre: tuple[float, float] | None = None, shift: tuple[float, float] = (0.0, 0.0)
) -> Image:
    """Turn about ``centre`` (column, row; default the middle), then move by ``shift``; edges are mirrored."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(centre or ((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turn[:, 2] += np.asarray(shift)
    turned = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, dtype=np.uint8)


def jittered(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Change brightness, contrast, saturation and hue, by up to ``strength`` (0..1, hue: of a circle)."""
    gain, contrast = (np.float32(value) for value in rng.uniform(1.0 - strength, 1.0 + strength, 2))
    mean = np.float32(np.mean(cv2.mean(image)[:3]))
    tone = _looked_up(image, (_LEVELS * gain - mean) * contrast + mean)
    turn, saturation = (float(value) for value in rng.uniform(-strength, strength, 2))
    # Saturation is scaled, not shifted, so that grey stays grey.
    return shifted_hue(tone, turn, gain=1.0 + saturation)
