"""Eq. 3: the source shows through inside the mask, the good image stays outside."""

import cv2
import numpy as np
from numpy.typing import NDArray


def blend(
    image: NDArray[np.uint8], source: NDArray[np.uint8], mask: NDArray[np.bool_], opacity: float
) -> NDArray[np.uint8]:
    """Return A = (1 - M) I + (1 - delta) M I + delta M P (Eq. 3), rounded to the nearest grey level.

    ``image`` I and ``source`` P are uint8 [h, w, 3], ``mask`` M is bool [h, w], ``opacity`` delta is in 0..1.
    Neither input is changed. ValueError where shapes, types or the opacity do not fit.
    """
    if image.shape != source.shape or image.shape[:2] != mask.shape or image.dtype != source.dtype:
        raise ValueError(f"cannot blend {source.shape} into {image.shape} through a mask of {mask.shape}")
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity {opacity} is outside 0..1")
    mixed = cv2.addWeighted(source, opacity, image, 1.0 - opacity, 0.0)
    result = np.array(image, order="C")
    cv2.copyTo(mixed, np.ascontiguousarray(mask).view(np.uint8), result)
    return result
