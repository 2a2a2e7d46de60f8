"""Pictures of judged images, as a results store keeps them."""

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from realnet.data import decode_image
from realnet.inspection.overlay import as_png, shrunk

Keep = Literal["nothing", "thumbnails", "originals"]
KEEP: tuple[Keep, ...] = get_args(Keep)
_SIDE, _QUALITY = 320, 85
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


@dataclass(frozen=True)
class Picture:
    """What a store keeps of an image: its size in pixels, and an image file unless nothing is kept."""

    width: int
    height: int
    kind: Literal["thumbnail", "original"] | None = None
    content: bytes = b""


def make_picture(image: np.ndarray, keep: Keep, original: bytes | None = None) -> Picture:
    """What is kept of an image uint8 ``[h, w, 3]`` RGB that was decoded from ``original`` (None: kept as PNG)."""
    height, width = image.shape[:2]
    if keep == "nothing":
        return Picture(width, height)
    if keep == "thumbnails":
        return Picture(width, height, "thumbnail", thumbnail(image))
    return Picture(width, height, "original", as_png(image) if original is None else original)


def thumbnail(image: np.ndarray) -> bytes:
    """A JPEG of the image uint8 ``[h, w, 3]`` RGB, 320 pixels at most on either side."""
    small = cv2.cvtColor(shrunk(image, _SIDE), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()


def for_browsers(content: bytes) -> tuple[bytes, str]:
    """A kept picture in a format that browsers show, and its media type; UserError where it is damaged."""
    if content.startswith(_PNG):
        return content, "image/png"
    if content.startswith(_JPEG):
        return content, "image/jpeg"
    return as_png(decode_image(content, "the kept picture")), "image/png"
