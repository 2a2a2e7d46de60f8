"""Products cut from scikit-image's photographs: aligned parts and textures, as a line would show them."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import skimage.data

Image = np.ndarray
Draw = Callable[[np.random.Generator], Image]
SIDE = 256

# They come with scikit-image; README.md says on what terms. `brick` is left out, because pictures of the documentation
# are made of it, and so is the pair of the motorcycle, whose publisher states none.
TEXTURES = ("grass", "gravel", "hubble_deep_field", "moon", "immunohistochemistry", "text", "page")
PARTS = (
    "astronaut", "astronaut", "camera", "chelsea", "coffee", "coffee", "rocket", "retina", "coins", "coins", "cell",
    "horse", "clock", "immunohistochemistry",
)  # fmt: skip


@cache
def photograph(name: str) -> Image:
    """scikit-image's photograph ``name``, uint8 ``[h, w, 3]``."""
    image = np.asarray(getattr(skimage.data, name)())
    if image.dtype == bool:
        image = image.astype(np.uint8) * 200 + 20
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def texture(name: str, rng: np.random.Generator) -> Draw:
    """A texture: every image is another place of the photograph."""
    whole = photograph(name)
    scale = float(rng.uniform(0.7, 1.6)) * max(1.0, 300 / min(whole.shape[:2]))
    whole = cv2.resize(whole, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    whole = cv2.copyMakeBorder(whole, 130, 130, 130, 130, cv2.BORDER_REFLECT_101)
    tint = rng.uniform(0.7, 1.3, 3)

    def make(rng: np.random.Generator) -> Image:
        top, left = (int(rng.integers(0, side - SIDE + 1)) for side in whole.shape[:2])
        cut = whole[top : top + SIDE, left : left + SIDE]
        return shown(cut[:, :: int(rng.choice((-1, 1)))] * tint, rng, 0.0)

    return make


def part(name: str, rng: np.random.Generator) -> Draw:
    """A part that always stands alike: one place of the photograph, bent, moved and lit a little anew."""
    whole = photograph(name)
    side = int(min(whole.shape[:2]) * rng.uniform(0.35, 1.0))
    top, left = (int(rng.integers(0, length - side + 1)) for length in whole.shape[:2])
    one = cv2.resize(whole[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    still, bend, tint = float(rng.choice((0.0, 0.5, 1.0, 2.0))), float(rng.uniform(0, 4)), rng.uniform(0.75, 1.25, 3)
    grain = float(rng.uniform(0, 5))

    def make(rng: np.random.Generator) -> Image:
        field = cv2.resize(rng.normal(size=(5, 5, 2)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
        bent = cv2.remap(
            one, columns + bend * field[..., 0], rows + bend * field[..., 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )  # fmt: skip
        return shown(bent * tint + grain * rng.normal(size=(SIDE, SIDE, 1)), rng, still)

    return make


def shown(image: Image, rng: np.random.Generator, still: float) -> Image:
    """As a camera on a line shows it: moved by 2 % and 1.5 degrees times ``still``, its light and noise its own."""
    values = np.clip(image, 0, 255).astype(np.float32)
    if still:
        matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), float(rng.uniform(-1.5, 1.5)) * still, 1.0)
        matrix = matrix + [[0, 0, side] for side in rng.uniform(-0.02, 0.02, 2) * SIDE * still]
        values = cv2.warpAffine(values, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101)
    values = values * rng.uniform(0.94, 1.06) + rng.normal(0, rng.uniform(0.5, 2.5), values.shape)
    return np.clip(values, 0, 255).astype(np.uint8)
