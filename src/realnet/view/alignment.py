"""Where a part lies in an image, against a reference image: OpenCV's template matching, refined by its ECC.

ECC is the enhanced correlation coefficient of Evangelidis and Psarakis (PAMI 2008).
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from realnet.errors import UserError

Motion = Literal["shift", "rigid"]
# Side of the pictures that are compared, and of those that a first guess is made on.
SIDE = 256
_COARSE_SIDE = 96
_ANGLES = (0.0, -4.0, 4.0, -8.0, 8.0)
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
_SMOOTHING = 5
# Images whose sides have another proportion were taken in another way.
_PROPORTION = 0.02
_MARGIN = 0.02


@dataclass(frozen=True)
class Alignment:
    """How a part lies in its image.

    Attributes:
        dx, dy: how far its middle is moved from where the reference has it, in pixels; to the right, down.
        angle: how far it is turned, in degrees, clockwise.
        match: correlation of the aligned image with the reference, -1..1.
    """

    dx: float
    dy: float
    angle: float
    match: float


class Reference:
    """A reference image that others are aligned to.

    Args:
        grey: uint8 ``[h, w]``, at most 256 a side.
        inside: bool ``[h, w]``, the part of it that is compared.
        motion: ``shift``, or ``rigid`` for turned parts too.
        reach: how far a part may be moved, as a share of the image's sides.
        least: the least correlation that counts as the same product.
    """

    def __init__(self, grey: np.ndarray, inside: np.ndarray, motion: Motion, reach: float, least: float) -> None:
        self.grey, self.motion, self.reach, self.least = grey, motion, reach, least
        margin = max(1, round(_MARGIN * max(grey.shape)))
        # The border of what is looked at is what says most about where it lies.
        self.inside = cv2.dilate(inside.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8))

    def align(self, image: np.ndarray, name: str) -> tuple[np.ndarray, Alignment]:
        """Where the part lies in ``image`` uint8 ``[h, w, 3]``, in two forms: for computing, and for people.

        The former is the matrix float64 ``[2, 3]`` that takes a place in the reference, at the image's size, to that
        in the image. UserError where the image does not show what the reference shows, or too far away.
        """
        height, width = image.shape[:2]
        own_height, own_width = self.grey.shape
        if abs(np.log(width / height * own_height / own_width)) > _PROPORTION:
            raise UserError(
                f"{name} has {width} x {height} pixels, other proportions than the reference image: it cannot be "
                "aligned. Take images as the reference was taken."
            )
        small = as_grey(image, (own_width, own_height))
        start = self._guess(small)
        # ECC's mask is of its input: the reference is given as that, and the result turned round.
        kind = cv2.MOTION_TRANSLATION if self.motion == "shift" else cv2.MOTION_EUCLIDEAN
        to_reference: Any = cv2.invertAffineTransform(start).astype(np.float32)
        try:
            _, to_reference = cv2.findTransformECC(
                small, self.grey, to_reference, kind, _STEPS, self.inside, _SMOOTHING
            )
            to_image = cv2.invertAffineTransform(to_reference.astype(np.float64))
        except cv2.error:
            to_image = start
        match = self._match(small, to_image)
        found = _at_size(to_image, (own_height, own_width), (height, width))
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        dx, dy = found[:, :2] @ middle + found[:, 2] - middle
        angle = float(np.degrees(np.arctan2(found[1, 0], found[0, 0])))
        if not match >= self.least:
            raise UserError(
                f"{name} cannot be aligned to the reference image (correlation {match:.2f}, at least {self.least:g} is "
                "asked for): the part is absent, too far away or another one."
            )
        if max(abs(dx) / width, abs(dy) / height) > self.reach * 1.05:
            raise UserError(
                f"{name} shows the part {dx:+.0f}, {dy:+.0f} pixels from where the reference has it, further than "
                f"{self.reach:.0%} of the image's sides."
            )
        return found, Alignment(float(dx), float(dy), angle, match)

    def _guess(self, small: np.ndarray) -> np.ndarray:
        """The best of shifts by whole pixels of small pictures, and of some angles: float64 ``[2, 3]``."""
        height, width = self.grey.shape
        scale = min(1.0, _COARSE_SIDE / max(height, width))
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        shown = cv2.resize(small, size, interpolation=cv2.INTER_AREA)
        pad_x, pad_y = (max(1, round(self.reach * side)) for side in size)
        padded = cv2.copyMakeBorder(shown, pad_y, pad_y, pad_x, pad_x, cv2.BORDER_REPLICATE)
        best, found = -np.inf, np.eye(2, 3)
        middle = ((size[0] - 1) / 2, (size[1] - 1) / 2)
        for angle in _ANGLES if self.motion == "rigid" else (0.0,):
            turn = cv2.getRotationMatrix2D(middle, -angle, 1.0)
            grey = cv2.resize(self.grey, size, interpolation=cv2.INTER_AREA)
            turned = cv2.warpAffine(grey, turn, size, borderMode=cv2.BORDER_REPLICATE)
            inside = cv2.resize(self.inside, size, interpolation=cv2.INTER_NEAREST_EXACT)
            inside = cv2.warpAffine(inside, turn, size, flags=cv2.INTER_NEAREST)
            x, y, w, h = cv2.boundingRect(inside)
            if w < 4 or h < 4:
                continue
            place = padded[y : y + h + 2 * pad_y, x : x + w + 2 * pad_x]
            part, mask = turned[y : y + h, x : x + w], inside[y : y + h, x : x + w]
            fits = np.nan_to_num(
                cv2.matchTemplate(place, part, cv2.TM_CCOEFF_NORMED, mask=mask), nan=-1.0, posinf=-1.0, neginf=-1.0
            )
            _, value, _, (left, top) = cv2.minMaxLoc(fits)
            if value > best:
                best, found = value, turn + np.array([[0, 0, left - pad_x], [0, 0, top - pad_y]])
        return _at_size(found, (size[1], size[0]), (height, width))

    def _match(self, small: np.ndarray, to_image: np.ndarray) -> float:
        """Correlation of what is compared with the aligned image."""
        height, width = self.grey.shape
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(small, to_image, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        there = cv2.warpAffine(np.ones_like(small), to_image, (width, height), flags=flags)
        inside = self.inside.astype(bool) & (there > 0)
        if not inside.any():
            return 0.0
        pair: list[Any] = [
            cv2.GaussianBlur(grey, (_SMOOTHING, _SMOOTHING), 0)[inside].astype(float) for grey in (self.grey, moved)
        ]
        if min(part.std() for part in pair) < 1e-6:
            return 0.0
        return float(np.corrcoef(pair[0], pair[1])[0, 1])


def as_grey(image: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """``image`` uint8 ``[h, w, 3]`` in grey, uint8, at ``size`` (width, height); None: at most 256 a side."""
    height, width = image.shape[:2]
    if size is None:
        scale = min(1.0, SIDE / max(height, width))
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    shrinks = size[0] * size[1] < grey.size
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _at_size(matrix: np.ndarray, before: tuple[int, int], after: tuple[int, int]) -> np.ndarray:
    """A matrix ``[2, 3]`` between images of size ``before`` (h, w) as one between images of size ``after``."""
    (h0, w0), (h1, w1) = before, after
    # From the middle of a pixel to the middle of a pixel.
    up = np.array([[w1 / w0, 0, (w1 / w0 - 1) / 2], [0, h1 / h0, (h1 / h0 - 1) / 2], [0, 0, 1]])
    found = up @ np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(up)
    return found[:2]
