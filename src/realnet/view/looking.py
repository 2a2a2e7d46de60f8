"""What of an image the network is to see, and its maps brought back to the whole image."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realnet.atomic import atomic_path
from realnet.config import ViewConfig
from realnet.data.images import read_image
from realnet.data.levels import Levels
from realnet.errors import UserError
from realnet.view.alignment import Alignment, Reference, as_grey
from realnet.view.polygons import draw

REFERENCE_FILE = "reference.png"
# The mean of ImageNet, which backbones take for nothing at all.
_NOTHING = (124, 116, 104)
_LEAST_SHARE = 0.001
# Of what is looked at, so much may lie outside of an image whose part has moved.
_LOST = 0.02


@dataclass(frozen=True)
class Looked:
    """An image and what the network sees of it.

    Attributes:
        image: uint8 ``[h, w, 3]`` RGB, whole.
        seen: uint8 ``[h', w', 3]``, aligned, cut out, and without what is outside.
        inside: bool ``[h, w]``, where the image is looked at; None: everywhere.
        alignment: how the part lies in it; None where nobody asked.
        place: ``(top, left)`` of ``seen`` in the aligned image; ``to_image`` takes a place of that to the image's.
    """

    image: np.ndarray
    seen: np.ndarray
    inside: np.ndarray | None = None
    alignment: Alignment | None = None
    place: tuple[int, int] = (0, 0)
    to_image: np.ndarray | None = None

    def restore(self, anomaly_map: np.ndarray) -> np.ndarray:
        """A map of ``seen`` ``[h', w']`` as one of the image, float32 ``[h, w]``; 0 where nobody looks."""
        if self.inside is None and self.to_image is None:
            return anomaly_map
        height, width = self.image.shape[:2]
        (top, left), (own_height, own_width) = self.place, anomaly_map.shape
        whole: Any = np.zeros((height, width), np.float32)
        whole[top : top + own_height, left : left + own_width] = anomaly_map
        if self.to_image is not None:
            whole = cv2.warpAffine(whole, self.to_image, (width, height), flags=cv2.INTER_LINEAR)
        return whole if self.inside is None else whole * self.inside


class View:
    """Where to look in images of any size. Made by :func:`view_of`; may be pickled.

    Args:
        config: where, and whether images are aligned.
        reference: grey uint8 ``[h, w]``, at most 256 a side, where they are.
    """

    def __init__(self, config: ViewConfig, reference: np.ndarray | None = None) -> None:
        self.config, self.reference = config, reference
        self._align = None
        if config.polygons and draw(config.polygons, 512, 512).mean() < _LEAST_SHARE:
            raise UserError("What is to be looked at is less than a thousandth of the image: check --view.")
        if config.align != "none" and reference is not None:
            inside = self._inside(*reference.shape)
            whole = np.ones(reference.shape, bool) if inside is None else inside
            self._align = Reference(reference, whole, config.align, config.reach, config.match)

    def look(self, image: np.ndarray, name: str = "The image") -> Looked:
        """What the network is to see of ``image`` uint8 ``[h, w, 3]``; UserError where that lies outside or is not
        found.
        """
        height, width = image.shape[:2]
        inside = self._inside(height, width)
        aligned, to_image, alignment = image, None, None
        if self._align is not None:
            to_image, alignment = self._align.align(image, name)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            aligned = cv2.warpAffine(image, to_image, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        if inside is None:
            return Looked(image, aligned, None, alignment, (0, 0), to_image)
        top, left, bottom, right = self._box(inside)
        seen = aligned[top:bottom, left:right].copy()
        seen[~inside[top:bottom, left:right]] = _NOTHING
        if to_image is not None:
            inside = _moved(inside, to_image, name)
        return Looked(image, seen, inside, alignment, (top, left), to_image)

    def see(self, image: np.ndarray, name: str) -> np.ndarray:
        """What the network is to see of ``image``, alone; as :meth:`look`."""
        return self.look(image, name).seen

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what is seen of an image of that size."""
        inside = self._inside(height, width)
        if inside is None:
            return height, width
        top, left, bottom, right = self._box(inside)
        return bottom - top, right - left

    def inside_seen(self, size: int) -> np.ndarray | None:
        """Of what is seen, brought to ``[size, size]``, the part that is looked at; None: all of it."""
        inside = self._inside(1024, 1024)
        if inside is None:
            return None
        top, left, bottom, right = self._box(inside)
        part = inside[top:bottom, left:right].astype(np.uint8)
        found = cv2.resize(part, (size, size), interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
        return None if found.all() else found

    def _inside(self, height: int, width: int) -> np.ndarray | None:
        return draw(self.config.polygons, height, width) if self.config.polygons else None

    def _box(self, inside: np.ndarray) -> tuple[int, int, int, int]:
        left, top, width, height = cv2.boundingRect(inside.view(np.uint8))
        return top, left, top + height, left + width


def _moved(inside: np.ndarray, to_image: np.ndarray, name: str) -> np.ndarray:
    height, width = inside.shape
    rows, columns = np.nonzero(inside)
    x, y = to_image[:, :2] @ np.stack([columns, rows]) + to_image[:, 2:]
    lost = float(np.mean((x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)))
    if lost > _LOST:
        raise UserError(f"{name} lacks {lost:.0%} of what is to be looked at: the part lies partly outside the image.")
    flags = cv2.INTER_NEAREST
    return cv2.warpAffine(inside.astype(np.uint8), to_image, (width, height), flags=flags).astype(bool)


def view_of(config: ViewConfig, levels: Levels | None = None) -> View | None:
    """Where to look as ``config`` says, by a reference read with ``levels``; None: at whole images as they are."""
    if not config.asked:
        return None
    reference = None
    if config.reference is not None and config.align != "none":
        reference = as_grey(read_image(config.reference, levels=levels))
    return View(config, reference)


def keep_reference(folder: Path, config: ViewConfig, levels: Levels | None = None) -> ViewConfig:
    """Put the reference image, if any, into ``folder``, for good; ``config`` that names it there."""
    view = view_of(config, levels)
    if view is None or view.reference is None:
        return config
    with atomic_path(folder / REFERENCE_FILE) as temporary:
        cv2.imwrite(str(temporary), view.reference)
    return config.model_copy(update={"reference": Path(REFERENCE_FILE)})


def find_reference(folder: Path, config: ViewConfig) -> ViewConfig:
    """``config`` of a run or export in ``folder``, naming the reference image where that lies."""
    if config.reference is None or config.reference.is_absolute():
        return config
    return config.model_copy(update={"reference": folder / config.reference})
