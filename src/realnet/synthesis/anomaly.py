"""What every anomaly source returns, and the checks that all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from realnet.synthesis.blending import blend
from realnet.synthesis.shapes import blob, pixel_of

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Range = tuple[float, float]

# Grey levels: a pixel that changed less does not count as changed, a sample whose mean change is less is
# redrawn.
VISIBLE_PIXEL = 8
VISIBLE_MEAN = 6.0
# Shares of the image a mask may cover; real defects of 20 pixels at 256x256 exist.
SMALLEST_SHARE = 2e-4
LARGEST_SHARE = 0.7
ATTEMPTS = 12


@dataclass(frozen=True)
class Anomaly:
    """A synthetic defect: the terms of Eq. 3 and where they came from.

    ``image`` A and ``source`` P are uint8 [h, w, 3] RGB, ``mask`` M is bool [h, w] and never empty,
    ``opacity`` delta is in 0..1, ``kind`` names the part that made it, ``origin`` the file of P or
    ``"generated"``.
    """

    image: Image
    mask: Mask
    source: Image
    opacity: float
    kind: str
    origin: str


@dataclass(frozen=True)
class Trim:
    """How to find the pixels of a region that visibly changed.

    The change of the mean over ``window`` x ``window`` pixels must reach ``threshold`` grey levels; gaps up
    to ``closing`` pixels are closed. A sample whose changed share of the region is below ``least_share`` is
    refused.
    """

    window: int = 1
    closing: int = 3
    threshold: float = VISIBLE_PIXEL
    least_share: float = 0.0


Part = Callable[[Image, Mask, np.random.Generator], Anomaly]
"""One way of making a defect of an image (uint8 [h, w, 3]) that touches its foreground (bool [h, w]), by no randomness
but the generator's."""


def compose(
    image: Image, source: Image, region: Mask, opacity: float, kind: str, origin: str, trim: Trim
) -> Anomaly | None:
    """Blend ``source`` into ``region`` (Eq. 3), or return None where hardly anything changed, or almost everything.

    Only the visibly changed pixels of ``region`` are blended and labelled, so that labels are honest.
    """
    mask = changed(image, source, region, opacity, trim)
    if np.count_nonzero(mask) < max(4, SMALLEST_SHARE * mask.size, trim.least_share * np.count_nonzero(region)):
        return None
    anomaly = Anomaly(blend(image, source, mask, opacity), mask, source, opacity, kind, origin)
    return visible(anomaly, image, max(VISIBLE_MEAN, 0.75 * trim.threshold))


def visible(anomaly: Anomaly, image: Image, least_change: float) -> Anomaly | None:
    """Return ``anomaly``, or None where it changes ``image`` by fewer grey levels on average, or almost all of it."""
    if np.count_nonzero(anomaly.mask) > LARGEST_SHARE * anomaly.mask.size:
        return None
    change = cv2.mean(cv2.absdiff(anomaly.image, image), anomaly.mask.view(np.uint8))
    return anomaly if max(change[:3]) >= least_change else None


def changed(image: Image, source: Image, region: Mask, opacity: float, trim: Trim) -> Mask:
    """Return the pixels of ``region`` where blending would visibly change the local mean."""
    result = np.zeros(region.shape, dtype=bool)
    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    if width == 0:
        return result
    box = np.s_[top : top + height, left : left + width]
    difference = cv2.absdiff(_smoothed(image[box], trim.window), _smoothed(source[box], trim.window))
    first, second, third = cv2.split(difference)
    strongest = np.asarray(cv2.max(cv2.max(first, second), third))
    found: NDArray[np.uint8] = (strongest >= trim.threshold / max(opacity, 1e-3)).view(np.uint8)
    if trim.window > 1:
        found = _morphed(found, cv2.MORPH_OPEN, trim.window)
    found = _morphed(found, cv2.MORPH_CLOSE, trim.closing)
    result[box] = found.astype(bool) & region[box]
    return result


def _smoothed(image: Image, window: int) -> Image:
    image = np.ascontiguousarray(image)
    return image if window <= 1 else np.asarray(cv2.blur(image, (window, window)), dtype=np.uint8)


def _morphed(mask: NDArray[np.uint8], operation: int, size: int) -> NDArray[np.uint8]:
    if size <= 1:
        return mask
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.morphologyEx(mask, operation, element), dtype=np.uint8)


def natural_variation(image: Image) -> float:
    """Return the grain of an image in grey levels: the threshold for what counts as changed in it.

    Twice the median deviation from the local mean at half resolution, within `VISIBLE_PIXEL`..16: exchanging
    one place of a texture for another is not a defect that can be seen.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    size = (max(1, image.shape[1] // 2), max(1, image.shape[0] // 2))
    half = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    grain = np.median(cv2.absdiff(half, cv2.blur(half, (7, 7))))
    return float(np.clip(2.0 * grain, VISIBLE_PIXEL, 16.0))


class Proposer(ABC):
    """A part that proposes defects until one is visible; ``opacity`` is the range of delta (None: the usual one)."""

    usual_opacity: ClassVar[Range] = (1.0, 1.0)

    def __init__(self, opacity: Range | None = None) -> None:
        self.opacity = self.usual_opacity if opacity is None else opacity

    def __call__(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
        """Return the first proposal that is a visible defect; after ``ATTEMPTS``, a spot that always is one."""
        for _ in range(ATTEMPTS):
            if (anomaly := self._propose(image, foreground, rng)) is not None:
                return anomaly
        return contrasting_spot(image, foreground, rng)

    def _draw_opacity(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(*self.opacity))

    @abstractmethod
    def _propose(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly | None: ...


class GoodsProposer(Proposer):
    """A proposer that takes from other good images ``goods``, uint8 [h, w, 3], called ``names`` where given."""

    def __init__(
        self, goods: Sequence[Image], names: Sequence[str] | None = None, opacity: Range | None = None
    ) -> None:
        super().__init__(opacity)
        self.goods, self.names = goods, names

    def _other(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Image, str]:
        """A random one of them at [h, w] = ``shape``, and its name."""
        index = int(rng.integers(len(self.goods)))
        return fitted(self.goods[index], shape), self.names[index] if self.names else f"good {index}"


def contrasting_spot(image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
    """Return a small spot whose every pixel differs from ``image`` by at least 128 grey levels."""
    radius = max(2.0, 0.04 * min(foreground.shape))
    row, column = pixel_of(foreground, rng)
    mask = blob(foreground.shape, (row, column), radius, rng) >= 128
    mask[row, column] = True
    source = image ^ np.uint8(128)
    return Anomaly(blend(image, source, mask, 1.0), mask, source, 1.0, "texture", "generated")


def kept_within(anomaly: Anomaly, image: Image, allowed: Mask, foreground: Mask, rng: np.random.Generator) -> Anomaly:
    """Return ``anomaly`` of ``image`` cut to ``allowed``, bool [h, w]; a spot where hardly anything is left of it.

    ``foreground`` lies within ``allowed``.
    """
    for made in (anomaly, contrasting_spot(image, foreground, rng)):
        mask = made.mask & allowed
        if np.count_nonzero(mask) >= max(4, SMALLEST_SHARE * mask.size):
            break
    return replace(made, image=np.where(mask[..., None], made.image, image), mask=mask)


def fitted(image: Image, shape: tuple[int, int]) -> Image:
    """Return ``image`` at [h, w] = ``shape`` by a plain resize; itself where it has that size."""
    if image.shape[:2] == shape:
        return image
    shrinks = image.shape[0] * image.shape[1] > shape[0] * shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (shape[1], shape[0]), interpolation=method), dtype=np.uint8)
