"""Sheets of synthetic defects: what each is made of and what comes out; columns of images side by side."""

from collections.abc import Sequence

import cv2
import numpy as np

from realnet.synthesis.anomaly import Anomaly, Image

_COLUMNS = ("good", "source", "mask", "blend")
_GAP = 6
_LINE = 18
_INK = (32, 32, 32)
_SPACE, _HEAD = 4, 20


def contact_sheet(anomalies: Sequence[Anomaly], goods: Sequence[Image], cell: int = 192) -> Image:
    """Return one row a defect with the columns good, source, mask, blend: uint8 [H, W, 3] RGB on white.

    ``goods`` are the good images the ``anomalies`` were made of, uint8 [h, w, 3], one each (else ValueError). ``cell``
    is the longer side of each picture in pixels. Kind, opacity and origin stand under each row.
    """
    if not anomalies or len(anomalies) != len(goods):
        raise ValueError(f"{len(anomalies)} anomalies and {len(goods)} good images: need one each, at least one")
    rows = [_row(anomaly, good, cell) for anomaly, good in zip(anomalies, goods, strict=True)]
    width = max(row.shape[1] for row in rows)
    header = np.full((_LINE + _GAP, width, 3), 255, dtype=np.uint8)
    for number, title in enumerate(_COLUMNS):
        _write(header, title, (_GAP + number * (cell + _GAP), _LINE - 4))
    padded = [
        cv2.copyMakeBorder(row, 0, 0, 0, width - row.shape[1], cv2.BORDER_CONSTANT, value=(255,) * 3) for row in rows
    ]
    return np.vstack([header, *padded]).astype(np.uint8)


def grid_image(columns: Sequence[Sequence[Image]], titles: Sequence[str] | None = None, cell: int = 160) -> Image:
    """Columns of images uint8 ``[s, s, 3]``, equally many, on white, with a title over each: uint8 ``[H, W, 3]``."""
    head = _HEAD if titles else 0
    rows = len(columns[0])
    sheet = np.full((head + rows * (cell + _SPACE) + _SPACE, len(columns) * (cell + _SPACE) + _SPACE, 3), 255, np.uint8)
    for place, column in enumerate(columns):
        left = _SPACE + place * (cell + _SPACE)
        if titles:
            cv2.putText(
                sheet, titles[place], (left, _HEAD - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (32, 32, 32), 1, cv2.LINE_AA
            )
        for row, image in enumerate(column):
            top = head + _SPACE + row * (cell + _SPACE)
            method = cv2.INTER_AREA if image.shape[0] > cell else cv2.INTER_NEAREST
            sheet[top : top + cell, left : left + cell] = cv2.resize(image, (cell, cell), interpolation=method)
    return sheet


def _row(anomaly: Anomaly, good: Image, cell: int) -> Image:
    mask = np.repeat(anomaly.mask[..., None], 3, axis=2).astype(np.uint8) * np.uint8(255)
    pictures = [_fitting(picture, cell) for picture in (good, anomaly.source, mask, anomaly.image)]
    height = max(picture.shape[0] for picture in pictures)
    row = np.full((height + _LINE + _GAP, len(pictures) * (cell + _GAP) + _GAP, 3), 255, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        left = _GAP + number * (cell + _GAP)
        row[: picture.shape[0], left : left + picture.shape[1]] = picture
    share = 100.0 * float(anomaly.mask.mean())
    label = f"{anomaly.kind}   opacity {anomaly.opacity:.2f}   {share:.2f}% of the image   {anomaly.origin}"
    _write(row, label, (_GAP, height + _LINE - 4))
    return row


def _fitting(picture: Image, cell: int) -> Image:
    scale = cell / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, size, interpolation=method), dtype=np.uint8)


def _write(canvas: Image, text: str, place: tuple[int, int]) -> None:
    # OpenCV's built-in font knows ASCII only.
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(canvas, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
