"""CutPaste and its scar (Li et al., CVPR 2021, arXiv 2104.04015, Secs. 2.1 and 2.2)."""

import cv2
import numpy as np

from realnet.synthesis.anomaly import Anomaly, Image, Mask, Proposer, Trim, compose, natural_variation
from realnet.synthesis.augment import jittered
from realnet.synthesis.shapes import pixel_of


class CutPaste(Proposer):
    """A rectangle of the image pasted elsewhere: 2-15% of the area, aspect 0.3-3.3, colours jittered."""

    def _propose(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly | None:
        rows, columns = foreground.shape
        area = float(rng.uniform(0.02, 0.15)) * rows * columns
        aspect = float(np.exp(rng.uniform(np.log(0.3), np.log(3.3))))
        height = int(np.clip(np.sqrt(area / aspect), 2, rows))
        width = int(np.clip(np.sqrt(area * aspect), 2, columns))
        patch = jittered(_cut(image, height, width, rng), 0.1, rng)
        return _pasted(image, patch, 0.0, foreground, self._draw_opacity(rng), "cutpaste", rng)


class Scar(Proposer):
    """A strip of the image pasted elsewhere: 2-16 by 10-25 pixels at 256x256, turned by -45..45 degrees."""

    def _propose(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly | None:
        rows, columns = foreground.shape
        scale = min(rows, columns) / 256.0
        width = int(np.clip(round(float(rng.uniform(2.0, 16.0)) * scale), 2, columns))
        height = int(np.clip(round(float(rng.uniform(10.0, 25.0)) * scale), 3, rows))
        patch = jittered(_cut(image, height, width, rng), 0.1, rng)
        opacity = self._draw_opacity(rng)
        return _pasted(image, patch, float(rng.uniform(-45.0, 45.0)), foreground, opacity, "scar", rng)


def _cut(image: Image, height: int, width: int, rng: np.random.Generator) -> Image:
    top = int(rng.integers(image.shape[0] - height + 1))
    left = int(rng.integers(image.shape[1] - width + 1))
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _pasted(
    image: Image, patch: Image, degrees: float, foreground: Mask, opacity: float, kind: str, rng: np.random.Generator
) -> Anomaly | None:
    """Put ``patch``, turned, with its centre on a foreground pixel; what leaves the image is cut off."""
    rows, columns = foreground.shape
    row, column = pixel_of(foreground, rng)
    centre = ((patch.shape[1] - 1) / 2, (patch.shape[0] - 1) / 2)
    place = cv2.getRotationMatrix2D(centre, degrees, 1.0)
    place[:, 2] += (column - round(centre[0]), row - round(centre[1]))
    source = image.copy()
    cv2.warpAffine(patch, place, (columns, rows), source, borderMode=cv2.BORDER_TRANSPARENT)
    covered = np.ones(patch.shape[:2], dtype=np.uint8)
    region = cv2.warpAffine(covered, place, (columns, rows), flags=cv2.INTER_NEAREST).astype(bool)
    trim = Trim(window=3, closing=7, threshold=natural_variation(image), least_share=0.3)
    return compose(image, source, region, opacity, kind, "generated", trim)
