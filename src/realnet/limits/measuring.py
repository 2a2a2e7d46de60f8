"""How small and how faint a defect an inspector finds: the scores of defects drawn on good images."""

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realnet.data import read_image
from realnet.errors import UserError
from realnet.inspection.judging import Judge
from realnet.limits.counted import EACH, Cell, Limits
from realnet.limits.drawn import KINDS, Kind, Wanted, draw
from realnet.progress import Watcher
from realnet.synthesis.foreground import foreground_mask
from realnet.synthesis.image_folder import ImageFolder

DEPTHS = (8, 16, 32, 64, 128)
"""Grey levels."""
STRENGTHS = (20, 40, 60, 80, 100)
"""Of SIA, in percent."""
SHARES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
"""Sizes that are tried where none are given, in shares of the images' shorter side."""
_BATCH, _PICTURE = 16, 240
# Image scores of images with the number of the good image that each was made of.
Scorer = Callable[[Iterable[tuple[NDArray[np.uint8], int]]], Iterable[float]]


def measure_limits(
    judge: Judge,
    files: Sequence[Path],
    kinds: Sequence[Kind] = KINDS,
    sizes: Sequence[float] = (),
    depths: Sequence[int] = DEPTHS,
    *,
    each: int = EACH,
    seed: int = 0,
    generated: ImageFolder | None = None,
    watcher: Watcher | None = None,
) -> Limits:
    """Draw defects of every kind, size and depth on good images, and judge them.

    Images whose score is above the threshold as they are, are left out: everything would be found on them.

    Args:
        files: good images, rather such that the run was not trained on: it knows its own too well.
        sizes: in pixels of the images; empty: :data:`SHARES` of their shorter side.
        generated: anomaly images of the product (SIA), which are a further kind.

    Raises:
        UserError: where an image cannot be read, or none is good to the inspector.
    """
    images = [read_image(path, None, judge.levels) for path in files]
    verdicts = judge.inspect_many(images, _BATCH)
    good = [image for image, verdict in zip(images, verdicts, strict=True) if not verdict.is_anomalous]
    if not good:
        raise UserError("The inspector takes all of these images for defective: calibrate it first.")
    side = int(np.median([min(image.shape[:2]) for image in good]))
    chosen = [float(size) for size in sizes or sorted({max(1, round(share * side)) for share in SHARES})]
    of_kind: dict[Kind, Sequence[int | None]] = {kind: (None,) if kind == "missing" else depths for kind in kinds}
    if generated is not None:
        of_kind["sia"] = STRENGTHS
    wanted = [Wanted(kind, size, depth) for kind, own in of_kind.items() for size in chosen for depth in own]

    def scores(drawn: Iterable[tuple[NDArray[np.uint8], int]]) -> list[float]:
        return [found.score for found in judge.inspect_many((image for image, _ in drawn), _BATCH)]

    cells = measure_drawn(scores, good, wanted, each=each, seed=seed, generated=generated, watcher=watcher)
    return Limits(
        drawn=cells, images=len(good), left_out=len(images) - len(good), side=side, threshold=judge.threshold,
        digest=judge.origin.model_digest, picture=_picture(good[0]),
    )  # fmt: skip


def measure_drawn(
    scorer: Scorer,
    good: Sequence[NDArray[np.uint8]],
    wanted: Sequence[Wanted],
    *,
    each: int = EACH,
    seed: int = 0,
    generated: ImageFolder | None = None,
    watcher: Watcher | None = None,
) -> tuple[Cell, ...]:
    """Draw what is wanted on good images, which serve by turns, and have it judged.

    Args:
        scorer: judges images.
        good: uint8 ``[h, w, 3]``, as they are on the disk.
        each: how many of everything that is wanted.
        generated: for kind ``sia``.
    """
    watcher = watcher or Watcher()
    foregrounds = [foreground_mask(image) for image in good]
    places: list[tuple[float, float]] = []

    def drawn() -> Iterator[tuple[NDArray[np.uint8], int]]:
        for number, one in enumerate(wanted):
            watcher.stage("Drawing defects", number * each, len(wanted) * each)
            rng = np.random.default_rng([seed, number])
            order = rng.permutation(len(good))
            for turn in range(each):
                chosen = int(order[turn % len(good)])
                image = good[chosen]
                source = generated.draw(image.shape[:2], rng)[0] if one.kind == "sia" and generated else None
                defect, _, (row, column) = draw(
                    image, foregrounds[chosen], one.kind, one.size, one.depth or 0, rng, source
                )
                places.append((round(row / image.shape[0], 4), round(column / image.shape[1], 4)))
                yield defect, chosen

    scores = [round(float(score), 6) for score in scorer(drawn())]
    parts = [slice(start, start + each) for start in range(0, len(scores), each)]
    return tuple(
        Cell(kind=one.kind, size=one.size, depth=one.depth, scores=tuple(scores[part]), places=tuple(places[part]))
        for one, part in zip(wanted, parts, strict=True)
    )


def _picture(image: NDArray[np.uint8]) -> str:
    scale = _PICTURE / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(small)).save(stream, "WEBP", quality=80)
    return base64.b64encode(stream.getvalue()).decode()
