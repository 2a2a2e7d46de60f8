"""Files of full length whose end was never written: copies that broke off, which decoders take for black."""

import os
from typing import IO

import numpy as np
from PIL import Image

BLANK = bytes(1024)
"""What ends in fewer zeros has lost a few rows at most."""

# Of a row that was written at least so much is not black; of one that was not, at least so much is missing.
_WRITTEN, _MISSING = 0.99, 0.002
_ROWS = ("BMP", "DIB", "TIFF", "PPM")


def is_unfilled(stream: IO[bytes], form: str, decoded: Image.Image | np.ndarray) -> bool:
    """Whether the picture in ``stream``, of the format ``form`` and decoded as it lies there, ``[h, w]`` or
    ``[h, w, c]``, ends in zeros that were never written.

    Black at the end of a picture is none of that: rows have to break off within one.
    """
    length = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, length - len(BLANK)))
    if stream.read() != BLANK:
        return False
    if form in _ROWS:
        values = np.asarray(decoded)
        return _breaks_off(values) or (form in ("BMP", "DIB") and _breaks_off(values[::-1]))
    if form != "WEBP":
        return False
    stream.seek(4)
    declared = int.from_bytes(stream.read(4), "little") + 8
    stream.seek(max(0, declared - len(BLANK)))  # what follows is padding
    return stream.read(len(BLANK)) == BLANK


def _breaks_off(values: np.ndarray) -> bool:
    """Whether rows without a black pixel are followed by one that ends early, and nothing behind it."""
    written = np.asarray(values.any(axis=2) if values.ndim == 3 else values != 0)
    if written[-1].any() or not written.any():
        return False
    last = int(np.nonzero(written.any(axis=1))[0][-1])
    end = int(np.nonzero(written[last])[0][-1]) + 1
    whole = last > 0 and written[last - 1].mean() > _WRITTEN and written[last, :end].mean() > _WRITTEN
    return bool(whole and end < (1 - _MISSING) * written.shape[1])
