"""Structural defects made of the product itself (after MemSeg, arXiv 2205.00908, Sec. 3.2.1).

Parts mirrored, turned, moved, shuffled, missing: what is wrong is the place, not the material.
"""

import cv2
import numpy as np

from realnet.synthesis.anomaly import Anomaly, GoodsProposer, Image, Mask, Trim, compose, natural_variation
from realnet.synthesis.augment import Augmentation, jittered, rotate, rotated
from realnet.synthesis.perlin import perlin_mask
from realnet.synthesis.shapes import few_pieces, large_region, pixel_of


class Structure(GoodsProposer):
    """A good image seen otherwise through a Perlin mask or a large region, a part displaced, or one erased.

    The label is where the region visibly changed.
    """

    usual_opacity = (0.6, 1.0)

    def _propose(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly | None:
        shape = (image.shape[0], image.shape[1])
        choice, origin, base = rng.random(), "generated", image
        if choice < 0.4 or choice >= 0.9:
            if choice < 0.4:
                mask = perlin_mask(foreground, rng)
                region = few_pieces(mask, rng) if rng.random() < 0.6 else mask
            else:
                region = _region(foreground, rng)
            if rng.random() < 0.5:
                base, origin = self._other(shape, rng)
            source = _another_view(base, rng)
        elif choice < 0.7:
            region = _region(foreground, rng)
            source = _displaced(image, region, rng)
        else:
            region = _region(foreground, rng)
            source = _erased(image, region, rng)
        side = min(shape)
        trim = Trim(
            window=max(3, side // 50) | 1,
            closing=max(3, side // 20) | 1,
            threshold=natural_variation(image),
            least_share=0.3,
        )
        return compose(image, source, region, self._draw_opacity(rng), "structure", origin, trim)


def _region(foreground: Mask, rng: np.random.Generator) -> Mask:
    """A large region about a foreground pixel; now and then the whole product."""
    share = np.count_nonzero(foreground) / foreground.size
    if 0.01 < share < 0.5 and rng.random() < 0.25:
        return foreground
    return large_region(foreground.shape, pixel_of(foreground, rng), rng)


def _another_view(image: Image, rng: np.random.Generator) -> Image:
    """Two or three of :data:`_VIEWS`."""
    for index in rng.choice(len(_VIEWS), int(rng.integers(2, 4)), replace=False):
        image = _VIEWS[index](image, rng)
    return image


def _shuffled(image: Image, cells: int, rng: np.random.Generator) -> Image:
    """Cut into cells x cells equal tiles and deal them out anew; what does not divide stays at the edge."""
    height, width = image.shape[0] // cells, image.shape[1] // cells
    result = image.copy()
    for to, origin in enumerate(rng.permutation(cells * cells)):
        row, column = (to // cells) * height, (to % cells) * width
        from_row, from_column = (int(origin) // cells) * height, (int(origin) % cells) * width
        tile = image[from_row : from_row + height, from_column : from_column + width]
        result[row : row + height, column : column + width] = tile
    return result


# Mirror, quarter turn, free turn, shift with wrap, colour jitter, shuffled grid.
_VIEWS: tuple[Augmentation, ...] = (
    lambda image, rng: np.asarray(cv2.flip(image, int(rng.integers(-1, 2))), dtype=np.uint8),
    lambda image, rng: rotated(image, 90.0 * int(rng.integers(1, 4))),
    rotate,
    lambda image, rng: np.roll(image, [int(rng.integers(side)) for side in image.shape[:2]], axis=(0, 1)),
    lambda image, rng: jittered(image, 0.25, rng),
    lambda image, rng: _shuffled(image, int(rng.choice([4, 8])), rng),
)


def _displaced(image: Image, region: Mask, rng: np.random.Generator) -> Image:
    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    centre = (left + width / 2, top + height / 2)
    degrees = float(rng.choice([0.0, 90.0, 180.0, 270.0, rng.uniform(-60.0, 60.0), rng.uniform(-60.0, 60.0)]))
    reach = 0.15 * min(image.shape[:2])
    shift = (float(rng.uniform(-reach, reach)), float(rng.uniform(-reach, reach)))
    return rotated(image, degrees, centre, shift)


def _erased(image: Image, region: Mask, rng: np.random.Generator) -> Image:
    """Fill ``region`` as if nothing were there: with the neighbourhood, its blur, or one of its colours."""
    choice = rng.random()
    if choice < 0.4:
        return _copied_from_beside(image, region, rng)
    if choice < 0.7:
        return _surroundings(image, region)
    outside = ~region
    colour = image[pixel_of(outside, rng)] if outside.any() else np.uint8(127)
    return np.full_like(image, colour)


def _copied_from_beside(image: Image, region: Mask, rng: np.random.Generator) -> Image:
    """Move the image by the region's own width or height, so that its neighbourhood covers it."""
    _, _, width, height = cv2.boundingRect(region.view(np.uint8))
    sign = int(rng.choice([-1, 1]))
    if rng.random() < 0.5:
        return np.roll(image, sign * height, axis=0)
    return np.roll(image, sign * width, axis=1)


def _surroundings(image: Image, region: Mask) -> Image:
    """Return the mean of the pixels outside ``region`` in a window half the image wide, at every pixel."""
    rows, columns = region.shape
    size = (max(4, columns // 8), max(4, rows // 8))
    outside = (~region).astype(np.float32)
    weight = cv2.resize(outside, size, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(image.astype(np.float32) * outside[..., None], size, interpolation=cv2.INTER_AREA)
    window = (size[0] // 2 | 1, size[1] // 2 | 1)
    total = cv2.blur(weight, window)[..., None] + np.float32(1e-4)
    mean = cv2.blur(weighted, window) / total
    return np.asarray(cv2.resize(np.clip(mean, 0, 255).astype(np.uint8), (columns, rows)), dtype=np.uint8)
