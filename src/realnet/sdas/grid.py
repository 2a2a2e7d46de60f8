"""Sheets of samples: columns of strengths from one seed (Figs. 3a, S1, S4)."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from realnet.sdas.sampling import Request, sample_numbers, start_of, to_images
from realnet.sdas.saving import DiffusionModel

_GAP, _LINE = 4, 20


def grid_image(
    columns: Sequence[Sequence[np.ndarray]], titles: Sequence[str] | None = None, cell: int = 160
) -> np.ndarray:
    """Columns of images on white, with a title over each: uint8 ``[H, W, 3]``.

    Args:
        columns: uint8 ``[s, s, 3]`` images, equally many a column.
        titles: ASCII, one a column.
        cell: side of each picture.
    """
    head = _LINE if titles else 0
    rows = len(columns[0])
    sheet = np.full((head + rows * (cell + _GAP) + _GAP, len(columns) * (cell + _GAP) + _GAP, 3), 255, np.uint8)
    for place, column in enumerate(columns):
        left = _GAP + place * (cell + _GAP)
        if titles:
            cv2.putText(
                sheet, titles[place], (left, _LINE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (32, 32, 32), 1, cv2.LINE_AA
            )
        for row, image in enumerate(column):
            top = head + _GAP + row * (cell + _GAP)
            method = cv2.INTER_AREA if image.shape[0] > cell else cv2.INTER_NEAREST
            sheet[top : top + cell, left : left + cell] = cv2.resize(image, (cell, cell), interpolation=method)
    return sheet


def strength_columns(
    model: DiffusionModel,
    category: str,
    strengths: Sequence[float],
    rows: int,
    request: Request,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[list[np.ndarray]], list[str]]:
    """The same images, of the same noise, at each strength; before them the good images they start from, if any.

    Returns:
        Columns of uint8 ``[S, S, 3]`` and their titles.
    """
    goods = model.starts(category)
    number = model.category_number(category)
    starts = None if goods is None else [goods[start_of(request, n, len(goods))] for n in range(rows)]
    columns: list[list[np.ndarray]] = [] if starts is None else [starts]
    titles = [] if starts is None else ["good image"]
    for strength in strengths:
        column: list[np.ndarray] = []
        for begin in range(0, rows, request.batch):
            part = list(range(begin, min(begin + request.batch, rows)))
            own = None if starts is None else [starts[n] for n in part]
            made = sample_numbers(model, request, part, [number] * len(part), [strength] * len(part), own)
            column += list(to_images(made))
        columns.append(column)
        titles.append(f"s = {strength:g}")
        if progress is not None:
            progress(len(columns))
    return columns, titles
