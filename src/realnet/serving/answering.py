"""From the bytes of an image to an answer; everything but the network itself, which the batcher runs."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from realnet.data import Notes, decode_image, resize_image
from realnet.data.tiling import Box, cut, stitch, tile_boxes
from realnet.errors import UserError
from realnet.inspection.inspection import Inspection
from realnet.inspection.judging import Judge, full_size
from realnet.inspection.overlay import overlay
from realnet.inspection.regions import Region
from realnet.serving.batcher import Measured
from realnet.serving.limits import Refusal
from realnet.serving.messages import AlignmentAnswer, InspectAnswer, InspectRequest, RegionAnswer
from realnet.serving.models import ServedModel
from realnet.view import Looked

_SHOWN = 1280


@dataclass(frozen=True)
class Decoded:
    """An image made ready: as the network sees it ``[S, S, 3]``, whole or in tiles at ``boxes``; what is shown.

    ``looked`` is the whole image and what is seen of it, ``notes`` what is to be said of how it was read.
    """

    parts: list[np.ndarray]
    boxes: list[Box] | None
    looked: Looked
    shown: np.ndarray | None
    notes: tuple[str, ...] = ()


def decode(data: bytes, request: InspectRequest, judge: Judge, max_pixels: int) -> Decoded:
    """Decode and shrink, so that the full image need not wait for its turn.

    Raises:
        Refusal: for what is no image, damaged or too large, or cannot be aligned.
    """
    counted = Notes()
    try:
        image = decode_image(data, request.name, max_pixels, judge.levels, counted)
    except UserError as error:
        raise Refusal(400, str(error)) from error
    try:
        looked = judge.look(image, request.name)
    except UserError as error:
        raise Refusal(422, str(error)) from error
    notes = tuple(counted.sentences())
    height, width = image.shape[:2]
    shown = None
    if request.heatmap:
        scale = min(1.0, _SHOWN / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        shown = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if judge.tile is None:
        return Decoded([resize_image(looked.seen, judge.image_size)], None, looked, shown, notes)
    seen_height, seen_width = looked.seen.shape[:2]
    boxes = tile_boxes(seen_height, seen_width, judge.tile)
    return Decoded([cut(looked.seen, box, judge.image_size) for box in boxes], boxes, looked, shown, notes)


def answer(
    decoded: Decoded, measured: Sequence[Measured], request: InspectRequest, model: ServedModel
) -> InspectAnswer:
    """What the inspector says, with the thresholds of the request where it names any.

    Args:
        measured: map and score of each of ``decoded.parts``.
    """
    judge = model.judge
    score = max(own for _, own in measured)
    looked = decoded.looked
    if decoded.boxes is None:
        anomaly_map = full_size(measured[0][0], *looked.seen.shape[:2])
    else:
        anomaly_map = stitch([part for part, _ in measured], decoded.boxes, *looked.seen.shape[:2])
    found = Inspection(
        score=score,
        threshold=judge.threshold if request.threshold is None else request.threshold,
        pixel_threshold=judge.pixel_threshold,
        anomaly_map=looked.restore(anomaly_map).clip(0, 1),
        image=looked.image,
        minimum_area=judge.minimum_area if request.minimum_area is None else request.minimum_area,
        inside=looked.inside,
        alignment=looked.alignment,
    )
    mask = found.mask
    return InspectAnswer(
        name=request.name,
        model=model.name,
        verdict="anomalous" if found.is_anomalous else "good",
        score=score,
        threshold=found.threshold,
        level=found.level,
        width=looked.image.shape[1],
        height=looked.image.shape[0],
        anomalous_area=float(mask.mean()),
        regions=_regions(found.regions, mask),
        alignment=None if found.alignment is None else AlignmentAnswer(**vars(found.alignment)),
        notes=[*decoded.notes, *([_sentence(found.note)] if found.note else [])],
        heatmap_png=None if decoded.shown is None else _picture(decoded.shown, found.anomaly_map),
    )


def _sentence(phrase: str) -> str:
    return f"{phrase[0].upper()}{phrase[1:]}."


def _picture(image: np.ndarray, anomaly_map: np.ndarray) -> str:
    _, encoded = cv2.imencode(".png", cv2.cvtColor(overlay(image, anomaly_map), cv2.COLOR_RGB2BGR))
    return base64.b64encode(encoded.tobytes()).decode("ascii")


def _regions(regions: tuple[Region, ...], mask: np.ndarray) -> list[RegionAnswer]:
    """The regions with their borders, drawn by straight lines that are off by a pixel at most."""
    borders, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer = [
        border for border, (_, _, _, parent) in zip(borders, hierarchy[0] if borders else (), strict=True) if parent < 0
    ]
    answers = []
    for region in regions:
        around = [
            border
            for border in outer
            if tuple(cv2.boundingRect(border)) == region.box
            and cv2.pointPolygonTest(border, region.peak_at, False) >= 0
        ]
        # Of two that share a box and hold the point, one lies in a hole of the other, and the inner one is meant.
        border = cv2.approxPolyDP(min(around, key=cv2.contourArea), 1.0, True)[:, 0]
        polygon = [(int(x), int(y)) for x, y in border]
        answers.append(RegionAnswer(**{**vars(region), "outline": polygon}))
    return answers
