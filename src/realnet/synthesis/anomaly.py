"""What every anomaly source returns, and the checks that all of them share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from realnet.synthesis.blending import blend
from realnet.synthesis.shapes import blob, pixel_of

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Range = tuple[float, float]

# Grey levels: a pixel that changed less does not count as changed, a sample that changed less on average is redrawn.
VISIBLE_PIXEL = 8
VISIBLE_MEAN = 6.0
# Shares of the image a mask may cover; real defects of 20 pixels at 256x256 exist.
SMALLEST_SHARE = 2e-4
LARGEST_SHARE = 0.7
ATTEMPTS = 12


@dataclass(frozen=True)
class Anomaly:
    """A synthetic defect: the terms of Eq. 3 and where they came from.

    ``image`` A and ``source`` P are uint8 [h, w, 3] RGB, ``mask`` M is bool [h, w] and never empty, ``opacity``
    delta is in 0..1, ``kind`` names the part that made it, ``origin`` the file of P or ``"generated"``.
    """

    image: Image
    mask: Mask
    source: Image
    opacity: float
    kind: str
    origin: str


class Part(Protocol):
    """One way of making a defect out of a good image, using no randomness but ``rng``'s."""

    def __call__(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
        """Return a defect of ``image`` (uint8 [h, w, 3]) inside or overlapping ``foreground`` (bool [h, w])."""
        ...


def compose(
    image: Image, source: Image, region: Mask, opacity: float, kind: str, origin: str, trim: int = 0
) -> Anomaly | None:
    """Blend ``source`` into ``region`` (Eq. 3), or return None where hardly anything changed.

    ``trim`` = 0 labels the whole region; otherwise only those of its pixels that visibly changed in a
    neighbourhood of ``trim`` pixels are changed and labelled, so that the label is honest.
    """
    mask = changed(image, source, region, opacity, trim) if trim else region
    count, pixels = int(np.count_nonzero(mask)), mask.size
    if count < max(4, SMALLEST_SHARE * pixels) or count > LARGEST_SHARE * pixels:
        return None
    blended = blend(image, source, mask, opacity)
    change = cv2.mean(cv2.absdiff(blended, image), mask.view(np.uint8))
    if max(change[:3]) < VISIBLE_MEAN:
        return None
    return Anomaly(blended, mask, source, opacity, kind, origin)


def changed(image: Image, source: Image, region: Mask, opacity: float, kernel: int) -> Mask:
    """Return the pixels of ``region`` where blending would visibly change the mean over kernel x kernel pixels."""
    result = np.zeros(region.shape, dtype=bool)
    left, top, width, height = cv2.boundingRect(region.view(np.uint8))
    if width == 0:
        return result
    box = np.s_[top : top + height, left : left + width]
    before, after = np.ascontiguousarray(image[box]), np.ascontiguousarray(source[box])
    if kernel > 1:
        before, after = cv2.blur(before, (kernel, kernel)), cv2.blur(after, (kernel, kernel))
    first, second, third = cv2.split(cv2.absdiff(before, after))
    strongest = cv2.max(cv2.max(first, second), third)
    found = (strongest >= VISIBLE_PIXEL / max(opacity, 1e-3)).view(np.uint8)
    if kernel > 1:
        element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (kernel, kernel))
        found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, element)
        found = cv2.morphologyEx(found, cv2.MORPH_OPEN, element)
    result[box] = found.astype(bool) & region[box]
    return result


def first_visible(
    propose: Callable[[], Anomaly | None], image: Image, foreground: Mask, rng: np.random.Generator
) -> Anomaly:
    """Return the first proposal that is a visible defect; after ``ATTEMPTS``, a spot that always is one."""
    for _ in range(ATTEMPTS):
        anomaly = propose()
        if anomaly is not None:
            return anomaly
    return contrasting_spot(image, foreground, rng)


def contrasting_spot(image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
    """Return a small spot whose every pixel differs from ``image`` by at least 128 grey levels."""
    shape = (image.shape[0], image.shape[1])
    radius = max(2.0, 0.04 * min(shape))
    row, column = pixel_of(foreground, rng)
    mask = blob(shape, (row, column), radius, rng) >= 128
    mask[row, column] = True
    source = image ^ np.uint8(128)
    return Anomaly(blend(image, source, mask, 1.0), mask, source, 1.0, "texture", "generated")


def draw_opacity(limits: Range, rng: np.random.Generator) -> float:
    """Return delta ~ U(low, high)."""
    return float(rng.uniform(*limits))


def fitted(image: Image, shape: tuple[int, int]) -> Image:
    """Return ``image`` at [h, w] = ``shape`` by a plain resize; itself where it has that size."""
    if image.shape[:2] == shape:
        return image
    shrinks = image.shape[0] * image.shape[1] > shape[0] * shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (shape[1], shape[0]), interpolation=method)  # type: ignore[return-value]
