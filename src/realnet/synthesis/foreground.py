"""Where the product is (Sec. 3.1): judged from any image, or the released code's thresholds for known categories."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from realnet.config import SynthesisConfig
from realnet.data import Category
from realnet.errors import UserError

# Limits beyond which the automatic judgement is not trusted; found on synthetic and real products and
# textures.
_BORDER_SHARE = 0.10
_AREA = (0.02, 0.85)
_SEPARABILITY = 0.70
_CONTRAST = 8.0
_LARGEST_OBJECTS_SHARE = 0.85
_WORKING_SIDE = 256


@dataclass(frozen=True)
class Rule:
    """A fixed threshold: which channel, which method, is the product the dark side, and the clean-up."""

    channel: Literal["grey", "red", "green", "blue"] = "grey"
    method: Literal["otsu", "triangle"] = "otsu"
    dark: bool = False
    closing: int = 6
    opening: int = 6


_DARK = Rule(dark=True)
_BRIGHT_TRIANGLE = Rule(method="triangle")
_VISA = Rule(closing=3, opening=3)
_VISA_BOARD = Rule(channel="blue", method="triangle", closing=8, opening=3)
_MPDD_DARK_GREEN = Rule(channel="green", dark=True, opening=1)
_MPDD_BRIGHT_BLUE = Rule(channel="blue", opening=1)
_BTAD = Rule(closing=15, opening=6)

# The released code's choices, by layout and category; None is the whole image. The paper names the method only.
KNOWN: dict[str, dict[str, Rule | None]] = {
    "mvtec": {
        **dict.fromkeys(("carpet", "leather", "tile", "wood", "cable", "transistor")),
        "pill": Rule(),
        **dict.fromkeys(("hazelnut", "metal_nut", "toothbrush"), _BRIGHT_TRIANGLE),
        **dict.fromkeys(("bottle", "capsule", "grid", "screw", "zipper"), _DARK),
    },
    "visa": {
        "capsules": None,
        **dict.fromkeys(("pcb1", "pcb2", "pcb3", "pcb4"), _VISA_BOARD),
        **dict.fromkeys(("candle", "cashew", "chewinggum", "fryum", "macaroni1", "macaroni2", "pipe_fryum"), _VISA),
    },
    "mpdd": {
        **dict.fromkeys(("bracket_black", "bracket_brown", "connector"), _MPDD_DARK_GREEN),
        **dict.fromkeys(("bracket_white", "tubes"), _MPDD_BRIGHT_BLUE),
        "metal_plate": Rule(dark=True, opening=1),
    },
    "btad": {**dict.fromkeys(("01", "03"), _BTAD), "02": None},
}
RULES: dict[str, Rule | None] = {name: rule for rules in KNOWN.values() for name, rule in rules.items()}


def known_foreground(categories: Sequence[Category]) -> str:
    """Which foreground ``known`` stands for: the only category's own name, where it is one of the 36; else ``auto``."""
    if len(categories) == 1 and categories[0].name in KNOWN.get(categories[0].layout, {}):
        return categories[0].name
    return "auto"


def settle_foreground(config: SynthesisConfig, categories: Sequence[Category]) -> tuple[SynthesisConfig, str | None]:
    """``config`` with ``known`` replaced by what it stands for, and a sentence on that; other values stay, unsaid."""
    if config.foreground != "known":
        return config, None
    name = known_foreground(categories)
    if name == "auto":
        named = ", ".join(category.name for category in categories)
        said = f"The released code has no choice of foreground for {named}: it is found from each image (auto)."
    else:
        how = "the whole image" if RULES[name] is None else "a fixed threshold"
        said = f"Foreground of {name}: {how}, the released code's choice for this category."
    return config.model_copy(update={"foreground": name}), said


def check_foreground(name: str) -> None:
    """Check that ``name`` is ``auto``, ``known``, ``none`` or a known category; else a UserError lists them."""
    known = ["auto", "known", "none", *sorted(RULES)]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(f"Unknown foreground {name!r}: choose one of {', '.join(known)}.{hint}")


def foreground_mask(image: NDArray[np.uint8], name: str = "auto") -> NDArray[np.bool_]:
    """Return where defects may be put, bool [h, w], never empty; UserError for another name.

    ``image`` is uint8 [h, w, 3] RGB. ``name`` is ``auto`` (judge from the image), ``none`` (the whole image) or a
    category of MVTec AD, VisA, MPDD or BTAD, for the released code's threshold; ``known``, not settled by data set and
    category, is ``auto``.
    """
    check_foreground(name)
    if name in ("auto", "known"):
        found = _judged(image)
    else:
        rule = RULES.get(name)
        found = None if rule is None else _thresholded(image, rule)
    if found is None or not found.any():
        return np.ones(image.shape[:2], dtype=bool)
    return found


def _thresholded(image: NDArray[np.uint8], rule: Rule) -> NDArray[np.bool_]:
    if rule.channel == "grey":
        plane = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    else:
        plane = np.ascontiguousarray(image[..., ("red", "green", "blue").index(rule.channel)])
    method = cv2.THRESH_OTSU if rule.method == "otsu" else cv2.THRESH_TRIANGLE
    side = cv2.THRESH_BINARY_INV if rule.dark else cv2.THRESH_BINARY
    _, mask = cv2.threshold(plane, 0, 1, side | method)
    return _cleaned(np.asarray(mask, dtype=np.uint8), rule.closing, rule.opening).astype(bool)


def _cleaned(mask: NDArray[np.uint8], closing: int, opening: int) -> NDArray[np.uint8]:
    for operation, size in ((cv2.MORPH_CLOSE, closing), (cv2.MORPH_OPEN, opening)):
        if size > 1:
            square = np.ones((size, size), np.uint8)
            mask = np.asarray(cv2.morphologyEx(mask, operation, square), dtype=np.uint8)
    return mask


def _judged(image: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Return the product's mask, or None where the image does not clearly show an object on a background.

    The border of a photograph of an object is mostly background: pixels are told apart by their distance in
    colour (CIELAB) from the border's median, which settles the polarity, dark or bright, grey or coloured.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _WORKING_SIDE / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (5, 5), 0)
    lab = cv2.cvtColor(small.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    ring = np.ones(lab.shape[:2], dtype=bool)
    thickness = max(1, round(0.03 * min(size)))
    ring[thickness:-thickness, thickness:-thickness] = False
    distance = np.sqrt(((lab - np.median(lab[ring], axis=0)) ** 2).sum(axis=2))
    levels = np.minimum(distance * 2.0, 255.0).astype(np.uint8)
    _, mask = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    if not _separates(levels, mask, ring):
        return None
    kernel = max(3, round(0.02 * min(size))) | 1
    mask = _filled(_cleaned(mask, kernel, kernel))
    if not _plausible(mask, ring):
        return None
    # Defects sit on the edge of a product too: a little of the surroundings belongs to it.
    mask = cv2.dilate(mask, np.ones((kernel, kernel), np.uint8))
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)


def _separates(levels: NDArray[np.uint8], mask: NDArray[np.uint8], ring: NDArray[np.bool_]) -> bool:
    """Tell whether the two sides of a threshold are two populations, the border almost all on the lower."""
    upper = mask.astype(bool)
    share = float(upper.mean())
    if not _AREA[0] <= share <= _AREA[1] or float(upper[ring].mean()) > _BORDER_SHARE:
        return False
    difference = float(levels[upper].mean()) - float(levels[~upper].mean())
    between = share * (1.0 - share) * difference**2
    return difference / 2.0 >= _CONTRAST and between >= _SEPARABILITY * float(levels.var())


def _filled(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, cv2.FILLED), dtype=np.uint8)


def _plausible(mask: NDArray[np.uint8], ring: NDArray[np.bool_]) -> bool:
    """Tell whether a cleaned mask is a few solid objects rather than the grain of a texture."""
    share = float(mask.mean())
    if not _AREA[0] <= share <= _AREA[1] or float(mask[ring].mean()) > _BORDER_SHARE:
        return False
    _, _, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    solid = areas[areas >= 0.004 * mask.size]
    return bool(solid.size and solid.sum() >= _LARGEST_OBJECTS_SHARE * areas.sum())
