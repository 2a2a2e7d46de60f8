"""Fig. S7 as a picture: which feature channels see a defect."""

import cv2
import numpy as np

from realnet.inspection.overlay import heatmap
from realnet.report.contents import AfsView

_CELL, _GAP, _LINE = 128, 6, 18
_INK, _KEPT = (32, 32, 32), (0, 128, 64)


def afs_sheet(view: AfsView) -> np.ndarray:
    """A row a layer, finest first: good image, defect, then channels from the smallest AFS loss to the largest.

    Under each channel stand its number in the layer and its loss (Eq. 4), green where AFS kept it: uint8 ``[H, W, 3]``.
    """
    columns = 2 + max(len(layer.channels) for layer in view.layers)
    height = _LINE + _CELL + _LINE + _GAP
    sheet = np.full((height * len(view.layers) + _GAP, columns * (_CELL + _GAP) + _GAP, 3), 255, np.uint8)
    for row, layer in enumerate(view.layers):
        top = _GAP + row * height
        _write(sheet, f"{layer.name}: {layer.selected} of {layer.total} channels kept", _GAP, top + _LINE - 6, _INK)
        for place, (picture, title) in enumerate(((view.good, "good image"), (view.anomaly.image, "synthetic defect"))):
            shown = cv2.resize(picture, (_CELL, _CELL), interpolation=cv2.INTER_AREA)
            _place(sheet, shown, title, place, top, _INK)
        parts = zip(layer.channels, layer.losses, layer.differences, layer.kept, strict=True)
        for place, (channel, loss, difference, kept) in enumerate(parts, start=2):
            shown = cv2.resize(heatmap(difference), (_CELL, _CELL), interpolation=cv2.INTER_NEAREST)
            _place(sheet, shown, f"#{channel}  {loss:.4f}", place, top, _KEPT if kept else _INK)
    return sheet


def _place(
    sheet: np.ndarray, picture: np.ndarray, caption: str, place: int, top: int, ink: tuple[int, int, int]
) -> None:
    left = _GAP + place * (_CELL + _GAP)
    sheet[top + _LINE : top + _LINE + _CELL, left : left + _CELL] = picture
    _write(sheet, caption, left, top + _LINE + _CELL + _LINE - 5, ink)


def _write(sheet: np.ndarray, text: str, left: int, bottom: int, ink: tuple[int, int, int]) -> None:
    cv2.putText(sheet, text, (left, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.4, ink, 1, cv2.LINE_AA)
