"""Drawing anomaly maps: heat colours, overlays, outlines, side by side."""

import base64
import io

import cv2
import numpy as np
from PIL import Image

_GAP = 8
_STRONGEST = 0.75
# Outside of what is looked at colours are divided by this.
_DARK = 4
_LINE = (0, 235, 255)


def heatmap(anomaly_map: np.ndarray, high: float = 1.0) -> np.ndarray:
    """Colours uint8 ``[h, w, 3]`` for a map ``[h, w]``: black (0) through red to light yellow (``high`` and above).

    Ordered in brightness too; ``high`` is to be the same for all maps that are compared.
    """
    levels = (_share(anomaly_map, high) * 255).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def to_levels(anomaly_map: np.ndarray, pixel_threshold: float) -> np.ndarray:
    """A map ``[h, w]`` in 0..1 on the scale on which its threshold is 0.5: a colour means the same in every picture.

    Straight lines on either side, as :func:`realnet.calibration.level`.
    """
    plane = np.asarray(anomaly_map, dtype=np.float32)
    return np.interp(plane, [0.0, max(pixel_threshold, 1e-6), 1.0], [0.0, 0.5, 1.0]).astype(np.float32)


def overlay(image: np.ndarray, anomaly_map: np.ndarray, high: float = 1.0) -> np.ndarray:
    """The :func:`heatmap` of a map ``[h', w']`` over a grey version of the image, uint8 ``[h, w, 3]``.

    The higher the map, the more opaque.
    """
    grown: np.ndarray = np.asarray(anomaly_map, dtype=np.float32)
    if grown.shape != image.shape[:2]:
        grown = cv2.resize(grown, image.shape[1::-1])
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    # The square root lets faint responses show without hiding what lies below.
    opacity = (_STRONGEST * np.sqrt(_share(grown, high)))[..., None]
    return (grey * (1 - opacity) + heatmap(grown, high) * opacity).round().astype(np.uint8)


def outline(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A copy of the image uint8 ``[h, w, 3]`` with the borders of ``mask`` bool ``[h', w']`` on it (holes too)."""
    height, width = image.shape[:2]
    drawn = np.ascontiguousarray(image).copy()
    grown = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(grown, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    line = max(2, round(max(height, width) / 200))
    # A dark rim under the line keeps it visible on light ground.
    cv2.drawContours(drawn, contours, -1, (0, 0, 0), line + 2 * (line // 2))
    cv2.drawContours(drawn, contours, -1, _LINE, line)
    return drawn


def side_by_side(
    image: np.ndarray, anomaly_map: np.ndarray, mask: np.ndarray, inside: np.ndarray | None = None
) -> np.ndarray:
    """Image, overlay and outline of ``mask`` next to each other, with white gaps: uint8 ``[h, 3 w + 16, 3]``.

    The heat map is dark where ``inside``, bool ``[h, w]``, says that nobody looked; None: all was looked at.
    """
    gap = np.full((image.shape[0], _GAP, 3), 255, np.uint8)
    heat = overlay(image, anomaly_map)
    if inside is not None:
        heat[~inside] //= _DARK
    return np.hstack([image, gap, heat, gap, outline(image, mask)])


def as_png(image: np.ndarray, widest: int | None = None) -> bytes:
    """A picture, uint8 ``[h, w, 3]`` RGB, as PNG, shrunk to ``widest`` pixels where it is wider."""
    height, width = image.shape[:2]
    if widest is not None and width > widest:
        image = cv2.resize(image, (widest, max(1, round(height * widest / width))), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])


def shrunk(image: np.ndarray, longest: int) -> np.ndarray:
    """A picture whose longer side is ``longest`` pixels at most."""
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image


def fitted_mask(mask: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A mask at the size of the image; averaged first, so that small defects do not vanish."""
    return resized(mask, image) > 0.2


def resized(plane: np.ndarray, image: np.ndarray) -> np.ndarray:
    """A map or mask, float32, at the size of the image."""
    shrinking = plane.shape[0] > image.shape[0]
    method = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return cv2.resize(plane.astype(np.float32), image.shape[1::-1], interpolation=method)


def white(mask: np.ndarray) -> np.ndarray:
    """A mask as a picture, white where it marks."""
    return np.repeat(mask.astype(np.uint8)[..., None] * np.uint8(255), 3, axis=2)


def as_webp(image: np.ndarray, lossless: bool = False) -> str:
    """A picture, uint8 ``[h, w, 3]`` RGB, as a data URI."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "WEBP", quality=80, method=4, lossless=lossless)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _share(anomaly_map: np.ndarray, high: float) -> np.ndarray:
    if not high > 0:
        raise ValueError(f"high is a positive number, not {high}")
    return np.clip(np.asarray(anomaly_map, dtype=np.float32) / high, 0, 1)
