"""How small and how faint a defect an inspector finds: the scores of defects drawn on good images."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realnet.data import read_image
from realnet.data.images import image_shape
from realnet.data.samples import spread
from realnet.errors import UserError
from realnet.inspection.judging import Judge
from realnet.inspection.overlay import as_webp, shrunk
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
# Bytes of images, as they are on the disk, that defects are drawn on.
_MEMORY = 2 << 30
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
    watcher: Watcher = Watcher(),
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
    good, left_out = read_to_draw_on(judge, files, watcher)
    side = int(np.median([min(image.shape[:2]) for image in good]))
    chosen = [float(size) for size in sizes or sorted({max(1, round(share * side)) for share in SHARES})]
    drawn: tuple[Kind, ...] = (*kinds, *(("sia",) if generated is not None else ()))
    wanted = [Wanted(kind, size, depth) for kind in drawn for size in chosen for depth in depths_of(kind, depths)]
    cells = measure_drawn(scorer_of(judge), good, wanted, each=each, seed=seed, generated=generated, watcher=watcher)
    return Limits(
        drawn=cells, images=len(good), left_out=left_out, side=side, threshold=judge.threshold,
        digest=judge.origin.model_digest, picture=as_webp(shrunk(good[0], _PICTURE)).partition(",")[2],
    )  # fmt: skip


def read_to_draw_on(judge: Judge, files: Sequence[Path], watcher: Watcher) -> tuple[list[NDArray[np.uint8]], int]:
    """Read the images of ``files`` that the inspector takes for good; also, how many it does not.

    Where all would take more than :data:`_MEMORY`, evenly spread ones are looked at, and that is said. UserError where
    an image cannot be read, or none is good to the inspector.
    """
    largest = max(3 * height * width for height, width in map(image_shape, files))
    chosen = [files[i] for i in spread(len(files), max(1, _MEMORY // largest))]
    if len(chosen) < len(files):
        watcher.say(f"Defects are drawn on {len(chosen)} of the {len(files)} images: all do not fit in memory at once.")
    images = [read_image(path, None, judge.levels) for path in chosen]
    verdicts = judge.inspect_many(images, _BATCH)
    good = [image for image, verdict in zip(images, verdicts, strict=True) if not verdict.is_anomalous]
    if not good:
        raise UserError("The inspector takes all of these images for defective: calibrate it first.")
    return good, len(images) - len(good)


def depths_of(kind: Kind, depths: Sequence[int] = DEPTHS) -> Sequence[int | None]:
    """The depths that a kind is drawn with: ``depths``, strengths of SIA, and none of a missing part."""
    if kind == "missing":
        return (None,)
    return STRENGTHS if kind == "sia" else depths


def scorer_of(judge: Judge) -> Scorer:
    """Scores by an inspector, whichever good image each was made of."""
    return lambda drawn: [found.score for found in judge.inspect_many((image for image, _ in drawn), _BATCH)]


def measure_drawn(
    scorer: Scorer,
    good: Sequence[NDArray[np.uint8]],
    wanted: Sequence[Wanted],
    *,
    each: int = EACH,
    seed: int = 0,
    generated: ImageFolder | None = None,
    watcher: Watcher = Watcher(),
) -> tuple[Cell, ...]:
    """Draw what is wanted on ``good`` images uint8 ``[h, w, 3]``, which serve by turns, ``each`` so often; judge it."""
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
