"""A product for the pictures of the README: cups as a camera above a table might take them, good and defective.

All come from one photograph, scikit-image's `coffee` (CC0, Rachel Michetti). Each image is moved, turned, lit and noisy
in its own way; the defects are painted by hand-set rules that no synthesis of RealNet uses.
"""

from collections.abc import Callable

import cv2
import numpy as np

LEFT, WIDTH = 42, 480


def taken(photograph: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the camera sees: moved by up to 4 pixels, turned by up to 1.5 degrees, up to 8% lighter or darker, noisy."""
    height, width = photograph.shape[:2]
    turn = cv2.getRotationMatrix2D((LEFT + WIDTH / 2, height / 2), rng.uniform(-1.5, 1.5), rng.uniform(1.02, 1.04))
    turn[:, 2] += rng.uniform(-4, 4, 2)
    seen = cv2.warpAffine(photograph, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    lit = seen.astype(np.float32) * rng.uniform(0.92, 1.08) + rng.normal(0, 3, seen.shape)
    return lit.clip(0, 255).astype(np.uint8)[:, LEFT : LEFT + WIDTH]


def chipped(cup: np.ndarray) -> np.ndarray:
    """The glaze has come off the rim."""
    corners = [
        [180, 142],
        [186, 137],
        [193, 138],
        [200, 146],
        [209, 149],
        [222, 163],
        [219, 173],
        [206, 168],
        [190, 157],
    ]
    chip = _blank(cup)
    cv2.fillPoly(chip, [np.array(corners)], 255, cv2.LINE_AA)
    rough = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 60, cup.shape[:2]), (0, 0), 1.2)
    clay = np.array([196, 164, 126], np.float32) + rough[..., None]
    broken = _over(cup, np.array([84, 56, 40.0]), cv2.GaussianBlur(chip, (0, 0), 1.5), 0.9)
    return _over(broken, clay, cv2.GaussianBlur(cv2.erode(chip, np.ones((4, 4))), (0, 0), 0.8), 0.95)


def cracked(cup: np.ndarray) -> np.ndarray:
    """A crack runs across the saucer."""
    line, rng = _blank(cup), np.random.default_rng(4)
    for start, end, thickness in (((92, 262), (212, 316), 2), ((140, 284), (172, 330), 1)):
        path = np.linspace(start, end, 16) + np.pad(np.cumsum(rng.normal(0, 1.6, (14, 2)), axis=0), ((1, 1), (0, 0)))
        cv2.polylines(line, [path.round().astype(int)], False, 255, thickness, cv2.LINE_AA)
    return _over(cup, np.array([36, 8, 4.0]), line, 0.95)


def spilled(cup: np.ndarray) -> np.ndarray:
    """Coffee has dripped on the saucer."""
    drops, shine = _blank(cup), _blank(cup)
    for x, y, a, b in ((150, 240, 19, 12), (124, 220, 6, 5), (180, 268, 7, 5), (138, 264, 4, 3)):
        cv2.ellipse(drops, (x, y), (a, b), 25, 0, 360, 255, -1, cv2.LINE_AA)
    cv2.ellipse(shine, (145, 236), (7, 1), 25, 0, 360, 255, -1, cv2.LINE_AA)
    return _over(_over(cup, np.array([58, 24, 8.0]), drops, 0.88), np.array([255, 240, 220.0]), shine, 0.6)


DEFECTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"chip": chipped, "crack": cracked, "spill": spilled}


def _blank(cup: np.ndarray) -> np.ndarray:
    return np.zeros(cup.shape[:2], np.uint8)


def _over(cup: np.ndarray, colour: np.ndarray, mask: np.ndarray, opacity: float) -> np.ndarray:
    """``colour`` over the cup where ``mask``, 0 to 255, says."""
    share = opacity / 255 * mask[..., None]
    return (cup * (1 - share) + colour * share).clip(0, 255).astype(np.uint8)
