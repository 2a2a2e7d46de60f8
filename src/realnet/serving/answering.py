"""From the bytes of an image to an answer; everything but the network itself, which the batcher runs."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from realnet.data import Notes, decode_image
from realnet.data.images import image_hash
from realnet.history.pictures import Keep, Picture, make_picture
from realnet.inspection.inspection import Inspection
from realnet.inspection.judging import Judge, Standard
from realnet.inspection.overlay import as_png, overlay, shrunk, to_levels
from realnet.inspection.regions import Region, find_regions, keep_large
from realnet.inspection.rows import Row
from realnet.serving.batcher import Measured
from realnet.serving.limits import refusing
from realnet.serving.schemas import InspectAnswer, InspectRequest, Outlined
from realnet.view import Looked

_SHOWN = 1280


@dataclass(frozen=True)
class Decoded:
    """An image made ready: as the network sees it ``[S, S, 3]``, whole or in tiles; what is shown.

    ``looked`` is the whole image and what is seen of it, ``picture`` what a results store keeps, ``notes`` what is to
    be said of how it was read, and of its size.
    """

    parts: list[np.ndarray]
    looked: Looked
    shown: np.ndarray | None
    image_hash: str
    picture: Picture
    notes: tuple[str, ...]


def decode(data: bytes, request: InspectRequest, judge: Judge, max_pixels: int, keep: Keep) -> Decoded:
    """Decode, hash and shrink, so that the full image need not wait for its turn; Refusal where that cannot be."""
    counted = Notes()
    with refusing(400):
        image = decode_image(data, request.name, max_pixels, judge.levels, counted)
    judge.note_size(image, request.name, counted)
    with refusing(422):
        looked = judge.look(image, request.name)
    notes = tuple(counted.sentences())
    shown = shrunk(image, _SHOWN) if request.heatmap else None
    return Decoded(judge.parts(looked), looked, shown, image_hash(image), make_picture(image, keep, data), notes)


def answer(
    decoded: Decoded,
    measured: Sequence[Measured],
    request: InspectRequest,
    judge: Judge,
    standard: Standard,
    model: str,
) -> tuple[InspectAnswer, Row]:
    """What ``judge``, called ``model``, says to client and store; ``measured`` is of each of ``decoded.parts``."""
    looked = decoded.looked
    seen, score = judge.assemble(looked, measured)
    found = judge.conclude(looked, seen, score, standard)
    mask = found.mask
    row = replace(found.row(request.name), regions=_outlined(found.regions, mask))
    regions = row.regions
    if request.all_regions:
        every = keep_large(found.anomaly_map > standard.pixel_threshold, 0)
        regions = _outlined(find_regions(found.anomaly_map, every), every)
    why_good = [f"{found.note[0].upper()}{found.note[1:]}."] if found.note else []
    said = InspectAnswer(
        name=request.name,
        model=model,
        verdict=found.verdict,
        score=score,
        threshold=found.threshold,
        level=found.level,
        width=looked.image.shape[1],
        height=looked.image.shape[0],
        anomalous_area=float(mask.mean()),
        regions=list(regions),
        alignment=found.alignment,
        heatmap_png=None if decoded.shown is None else _picture(decoded.shown, found),
        notes=[*decoded.notes, *why_good],
        **standard.trace.as_dict(),
    )
    return said, row


def _picture(image: np.ndarray, found: Inspection) -> str:
    small = cv2.resize(found.anomaly_map, (image.shape[1], image.shape[0]))
    shown = overlay(image, to_levels(small, found.pixel_threshold))
    return base64.b64encode(as_png(shown)).decode("ascii")


def _outlined(regions: tuple[Region, ...], mask: np.ndarray) -> tuple[Outlined, ...]:
    """The regions of ``mask`` with their borders, drawn by straight lines that are off by a pixel at most."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    outlined = []
    for region in regions:
        left, top, width, height = region.box
        x, y = region.peak_at
        own = (labels[top : top + height, left : left + width] == labels[y, x]).astype(np.uint8)
        (border,), _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(left, top))
        polygon = cv2.approxPolyDP(border, 1.0, True)[:, 0].tolist()
        outlined.append(Outlined(**vars(region), outline=tuple((x, y) for x, y in polygon)))
    return tuple(outlined)
