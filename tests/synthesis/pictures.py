"""Small generated products to make defects of."""

import cv2
import numpy as np


def textured(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Brushed grey metal: equal channels, fine vertical grain."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(120.0, 40.0, shape).astype(np.float32), (0, 0), 0.6, sigmaY=6.0)
    return np.repeat(np.clip(noise, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def product(shape: tuple[int, int], background: int, body: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """An ellipse of one colour, with a hole, in the middle of a plain background, and a little noise."""
    rows, columns = shape
    image = np.full((rows, columns, 3), background, dtype=np.uint8)
    axes = (columns // 4, rows // 5)
    cv2.ellipse(image, (columns // 2, rows // 2), axes, 20, 0, 360, body, -1)
    cv2.circle(image, (columns // 2, rows // 2), max(2, rows // 20), (background,) * 3, -1)
    noise = np.random.default_rng(seed).normal(0.0, 3.0, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def body_of(shape: tuple[int, int]) -> np.ndarray:
    """The true mask of `product`, its hole filled."""
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.ellipse(mask, (shape[1] // 2, shape[0] // 2), (shape[1] // 4, shape[0] // 5), 20, 0, 360, 1, -1)
    return mask.astype(bool)


def colourful(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Smooth fields of colour."""
    grid = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)


def grainy(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Fields of colour with strong grain, each part unlike the next."""
    noise = np.random.default_rng(seed).normal(0.0, 120.0, (*shape, 3)).astype(np.float32)
    return np.clip(colourful(shape, seed) + cv2.GaussianBlur(noise, (0, 0), 1.5), 0, 255).astype(np.uint8)
