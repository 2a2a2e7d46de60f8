"""Polygons that say where to look: from a mask image or a JSON file, and as masks of any size."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from realnet.data.masks import read_mask
from realnet.errors import UserError

Polygon = tuple[tuple[float, float], ...]
# A mask is traced at this size, to a pixel of it: finer than any network looks.
_TRACED_SIDE = 1024
# Corners are drawn to a sixteenth of a pixel.
_SHIFT = 4
_FORMS = (
    'write {"width": 1280, "height": 960, "polygons": [[[x, y], [x, y], [x, y]]]} in pixels, '
    "or a LabelMe file with polygons and rectangles"
)


def read_polygons(path: Path) -> tuple[Polygon, ...]:
    """What a file says of where to look, as polygons in shares of the image, 0..1, x to the right, y down.

    Args:
        path: an image in which that is not black, traced to a thousandth of its side; or JSON: polygons in pixels with
            the size of their image, or a file of LabelMe.

    Raises:
        UserError: for a file that cannot be read or says nothing, and for points outside the image.
    """
    found = _of_json(path) if path.suffix.lower() == ".json" else _of_mask(path)
    if not found:
        raise UserError(f"{path} marks nothing: there would be nowhere to look.")
    return found


def _of_mask(path: Path) -> tuple[Polygon, ...]:
    mask: Any = read_mask(path).astype(np.uint8)
    scale = min(1.0, _TRACED_SIDE / max(mask.shape))
    if scale < 1:
        size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
    height, width = mask.shape
    borders, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    corners = [cv2.approxPolyDP(border, 0.5, True)[:, 0] for border in borders]
    return tuple(tuple(((x + 0.5) / width, (y + 0.5) / height) for x, y in own.tolist()) for own in corners)


def _of_json(path: Path) -> tuple[Polygon, ...]:
    try:
        given: Any = json.loads(path.read_text(encoding="utf-8"))
        if "shapes" in given:
            width, height = float(given["imageWidth"]), float(given["imageHeight"])
            drawn = [_of_shape(shape) for shape in given["shapes"]]
        else:
            width, height = float(given["width"]), float(given["height"])
            drawn = given["polygons"]
        polygons = tuple(tuple((float(x) / width, float(y) / height) for x, y in own) for own in drawn)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as polygons ({type(error).__name__}: {error}); {_FORMS}.") from error
    if any(len(own) < 3 for own in polygons):
        raise UserError(f"{path} has a polygon of fewer than three corners; {_FORMS}.")
    slack = 0.001
    if any(not -slack <= value <= 1 + slack for own in polygons for point in own for value in point):
        raise UserError(f"{path} has corners outside its image of {width:g} x {height:g} pixels; check its size.")
    return tuple(tuple((min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)) for x, y in own) for own in polygons)


def _of_shape(shape: dict[str, Any]) -> Sequence[Any]:
    points = shape["points"]
    if shape["shape_type"] == "rectangle":
        (left, top), (right, bottom) = points
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    if shape["shape_type"] != "polygon":
        raise ValueError(f"a shape is a {shape['shape_type']}, not a polygon or a rectangle")
    return points


def draw(polygons: Sequence[Polygon], height: int, width: int) -> np.ndarray:
    """The inside of ``polygons`` (what an odd number of them surround), borders too: bool ``[height, width]``."""
    mask = np.zeros((height, width), np.uint8)
    size = np.array([width, height])
    # A share of the width is an edge between pixels, and OpenCV counts from the middle of the first one.
    corners = [np.round((np.array(own) * size - 0.5) * 2**_SHIFT).astype(np.int32) for own in polygons]
    cv2.fillPoly(mask, corners, 1, shift=_SHIFT)
    return mask.astype(bool)
