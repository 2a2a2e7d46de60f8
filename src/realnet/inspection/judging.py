"""What every inspector does with images, whatever runs its network; imports no torch."""

import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from realnet.calibration import UNKNOWN_SCORE, Calibration
from realnet.config import DiscriminatorKind
from realnet.data import Notes, image_from_array, list_images, read_image, resize_image
from realnet.data.levels import Levels
from realnet.data.notes import SIZE
from realnet.data.tiling import cut, stitch, tile_boxes
from realnet.errors import UserError
from realnet.inspection.inspection import Inspection
from realnet.inspection.rows import Row
from realnet.inspection.trace import Origin, Trace
from realnet.view import Looked, View

# Tiles that are measured together.
_TILES = 8


@dataclass(frozen=True)
class Standard:
    """What one image is judged by, whatever becomes of the judge meanwhile; ``trace`` is the result's."""

    threshold: float
    pixel_threshold: float
    minimum_area: int
    trace: Trace


class Judge(ABC):
    """Thresholds, and images in any form judged by them: prepared, measured, concluded, in this one way everywhere.

    Args:
        image_size: side S of the square that the network sees, in pixels.
        tile: side in pixels of the tiles that images are cut into; None: they are judged whole.
        levels: the stored values that are black and white in images of more than 8 bits; None: each type's own.
        discriminator: the kind, which bounds the threshold of the anomaly map.
        threshold: of the image score.
        pixel_threshold: of the anomaly map.
        minimum_area: of a defect, in pixels of the image; 0: any.
        view: where it looks; None: at whole images as they are.

    ``calibration`` is what the thresholds come from, None without one; ``origin`` says which model and calibration
    these are, for the results; ``trained_on`` are digests of the images it was trained on, ``sizes`` their widths and
    heights in pixels, as far as that is known.
    """

    def __init__(
        self,
        image_size: int,
        threshold: float,
        pixel_threshold: float,
        minimum_area: int = 0,
        tile: int | None = None,
        levels: Levels | None = None,
        discriminator: DiscriminatorKind = "paper",
        view: View | None = None,
    ) -> None:
        self.image_size, self.tile, self.levels, self.discriminator = image_size, tile, levels, discriminator
        self.threshold, self.pixel_threshold, self.minimum_area = threshold, pixel_threshold, minimum_area
        self.calibration: Calibration | None = None
        self.origin = Origin()
        self.trained_on: frozenset[str] = frozenset()
        self.sizes: tuple[tuple[int, int], ...] = ()
        self.view = view
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _process=os.getpid())

    def after_fork(self) -> None:
        """What the engine needs in a forked process before it is used there; UserError where it cannot be."""
        cv2.setNumThreads(0)

    @property
    def bytes_held(self) -> int:
        """About what it takes of the memory, without what it shares with others."""
        return 0

    @abstractmethod
    def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        """Anomaly maps float32 ``[N, S, S]`` in 0..1 and image scores of uint8 ``[h, w, 3]`` images of any size.

        The images are what :meth:`look` lets the network see.
        """

    def look(self, image: Any, name: str | None = None, notes: Notes | None = None) -> Looked:
        """An image, as for :meth:`inspect`, made ready: read, aligned and cut as the inspector's view says.

        Errors call it ``name`` (default: its path); ``notes`` counts what of a file is read differently than expected.
        UserError for a file that cannot be read, or an image that cannot be aligned.
        """
        if isinstance(image, Looked):
            return image
        named = isinstance(image, str | Path)
        pixels = read_image(image, None, self.levels, notes) if named else image_from_array(image, self.levels)
        if self.view is None:
            return Looked(pixels, pixels)
        return self.view.look(pixels, name or (str(image) if named else "The image"))

    def look_or_say(self, image: Any, name: str | None = None) -> Looked | UserError:
        """As :meth:`look`, but what keeps an image from being looked at is given and not raised."""
        try:
            return self.look(image, name)
        except UserError as error:
            return error

    def parts(self, looked: Looked) -> list[np.ndarray]:
        """What the network is to see of an image: it, or its tiles, uint8 ``[S, S, 3]``."""
        if self.tile is None:
            return [resize_image(looked.seen, self.image_size)]
        height, width = looked.seen.shape[:2]
        return [cut(looked.seen, box, self.image_size) for box in tile_boxes(height, width, self.tile)]

    def assemble(self, looked: Looked, measured: Sequence[tuple[np.ndarray, float]]) -> tuple[np.ndarray, float]:
        """Map of what is seen, float32 ``[h', w']``, and image score, by those of each of :meth:`parts`."""
        height, width = looked.seen.shape[:2]
        maps, score = [own for own, _ in measured], max(score for _, score in measured)
        if self.tile is None:
            return full_size(maps[0], height, width), score
        return stitch(maps, tile_boxes(height, width, self.tile), height, width), score

    def measure_seen(self, images: Sequence[Looked]) -> list[tuple[np.ndarray, float]]:
        """Map of what is seen, float32 ``[h', w']``, and score of each image; whole ones together, tiled ones alone."""
        if self.tile is not None:
            return [self._measure_tiles(image) for image in images]
        maps, scores = self.measure([image.seen for image in images])
        return [
            (full_size(own, *image.seen.shape[:2]), score)
            for image, own, score in zip(images, maps, scores, strict=True)
        ]

    def _measure_tiles(self, looked: Looked) -> tuple[np.ndarray, float]:
        """Likewise of one image, some tiles at a time: it is as bad as its worst part."""
        tiles, measured = iter(self.parts(looked)), list[tuple[np.ndarray, float]]()
        while batch := list(itertools.islice(tiles, _TILES)):
            measured += zip(*self.measure(batch), strict=True)
        return self.assemble(looked, measured)

    def measure_small(self, images: Sequence[Looked]) -> tuple[np.ndarray, list[float]]:
        """Maps of the whole images at the network's size, float32 ``[N, S, S]``, and scores: what figures rest on."""
        if self.tile is None and self.view is None:
            return self.measure([image.seen for image in images])
        pairs = self.measure_seen(images)
        maps = [
            resize_image(image.restore(own), self.image_size) for image, (own, _) in zip(images, pairs, strict=True)
        ]
        return np.stack(maps), [score for _, score in pairs]

    def standard(self, looked: Looked, threshold: float | None = None) -> Standard:
        """What an image is judged by now; ``threshold`` of the image score in the place of the judge's."""
        limit = self.threshold if threshold is None else threshold
        return Standard(limit, self.pixel_threshold, self.minimum_area, self.origin.trace(looked.image, limit))

    def conclude(self, looked: Looked, seen: np.ndarray, score: float, standard: Standard) -> Inspection:
        """The verdict on an image by the map of what is seen ``[h', w']`` and the score."""
        return Inspection(
            score,
            standard.threshold,
            standard.pixel_threshold,
            looked.restore(seen).clip(0, 1),
            looked.image,
            standard.minimum_area,
            looked.inside,
            looked.alignment,
            standard.trace,
            self.discriminator == "evidence" and score >= UNKNOWN_SCORE,
        )

    def judge_by(self, threshold: float | None, minimum_area: int) -> Self:
        """Judge by this minimum area from now on, and threshold where one is given; UserError for one outside 0..1."""
        if threshold is not None:
            check_threshold(threshold)
            self.threshold = threshold
        self.minimum_area = minimum_area
        return self

    def note_size(self, image: np.ndarray, name: str, notes: Notes) -> None:
        """Add to ``notes`` where ``image`` ``[h, w, ...]``, called ``name``, has none of the sizes trained on."""
        height, width = image.shape[:2]
        if self.sizes and (width, height) not in self.sizes:
            notes.add(SIZE, name)

    def follow(self, calibration: Calibration) -> None:
        """Take the thresholds of ``calibration``, and name it in results from now on."""
        self.calibration = calibration
        self.threshold, self.pixel_threshold = calibration.score, calibration.pixel
        self.origin = Origin(self.origin.model_digest, calibration.version, calibration.score)

    def inspect(self, image: Any, threshold: float | None = None) -> Inspection:
        """Judge one image: a path, or what :func:`realnet.data.image_from_array` takes (PIL image, array, tensor).

        Values of more than 8 bits are read by the run's levels. Or one that :meth:`look` has made ready.

        Args:
            threshold: of the image score, for this image; default: the inspector's.

        Raises:
            UserError: for a file that cannot be read, an image that cannot be aligned, or a threshold outside 0..1.
        """
        return next(self.inspect_many([image], threshold=threshold))

    def inspect_many(
        self, images: Iterable[Any], batch_size: int = 8, threshold: float | None = None
    ) -> Iterator[Inspection]:
        """Judge images, in order, a batch at a time; they may differ in size. Otherwise as :meth:`inspect`."""
        if threshold is not None:
            check_threshold(threshold)
        if self._process != os.getpid():
            # Forked off since the inspector was made: its threads stayed behind.
            self.after_fork()
            self._process = os.getpid()
        remaining = iter(images)
        while batch := [self.look(image) for image in itertools.islice(remaining, batch_size)]:
            for looked, (seen, score) in zip(batch, self.measure_seen(batch), strict=True):
                yield self.conclude(looked, seen, score, self.standard(looked, threshold))

    def inspect_each(
        self, images: Sequence[Looked | UserError], batch_size: int = 8, threshold: float | None = None
    ) -> Iterator[Inspection | UserError]:
        """Judge what :meth:`look_or_say` gave, in order; an error stays what it is."""
        judged = self.inspect_many([one for one in images if isinstance(one, Looked)], batch_size, threshold)
        for one in images:
            yield next(judged) if isinstance(one, Looked) else one

    def __call__(self, images: Any, batch_size: int = 8, threshold: float | None = None) -> list[dict[str, Any]]:
        """Judge several images, and give a row for each: ``pandas.DataFrame(inspector(images))`` is a table.

        Nothing is written, and no picture or map is kept.

        Args:
            images: paths, PIL images, arrays or tensors; or one of them; or a folder, for all images in it.
            batch_size: images judged at a time.
            threshold: of the image score; None: the inspector's.

        Returns:
            A row for each image, with the columns of ``results.json`` but for the files. ``image`` is the path; of an
            image without one its number, from 0. Where a file cannot be read, ``verdict`` is ``unreadable`` and
            ``error`` says why.

        Raises:
            UserError: for a threshold outside 0..1.
        """
        rows: list[dict[str, Any]] = []
        remaining = iter(_named(images))
        while block := list(itertools.islice(remaining, batch_size)):
            ready = [self.look_or_say(image, name) for name, image in block]
            for (name, _), found in zip(block, self.inspect_each(ready, batch_size, threshold), strict=True):
                if isinstance(found, UserError):
                    rows.append({"image": name, "verdict": "unreadable", "error": str(found)})
                else:
                    rows.append({**found.to_dict(name), "error": ""})
        return rows

    def row(self, image: str, found: Inspection | UserError) -> Row:
        """The row of what :meth:`inspect_each` gave for an image."""
        if isinstance(found, Inspection):
            return found.row(image)
        trace = self.origin.trace(None, self.threshold)
        return Row(image, "unreadable", None, None, self.threshold, None, error=str(found), **trace.as_dict())

    def __repr__(self) -> str:
        size = f"{self.image_size}x{self.image_size} pixels"
        return f"<{type(self).__name__}: {size}, threshold {self.threshold:.4f}>"


def _named(images: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(images, str | Path):
        place = Path(images)
        images = list_images([place]) if place.is_dir() else [place]
    elif hasattr(images, "convert") or getattr(images, "ndim", 4) < 4:  # one of PIL, or one array
        images = [images]
    each: Iterable[Any] = images
    for number, image in enumerate(each):
        yield str(image) if isinstance(image, str | Path) else str(number), image


def full_size(anomaly_map: np.ndarray, height: int, width: int) -> np.ndarray:
    """A measured map ``[S, S]`` at the size of its image, float32 ``[height, width]``."""
    return cv2.resize(anomaly_map, (width, height), interpolation=cv2.INTER_LINEAR)


def finite(maps: np.ndarray, scores: list[float]) -> tuple[np.ndarray, list[float]]:
    """Maps and scores as they came; UserError for numbers that are not finite, by which no image would be anomalous."""
    if not (np.isfinite(scores).all() and np.isfinite(maps).all()):
        raise UserError("The model gives values that are not finite: it is damaged. Restore it or train again.")
    return maps, scores


def check_threshold(value: float) -> None:
    """Refuse what is no score; UserError for a threshold outside 0..1, also what is no number."""
    if not 0 <= value <= 1:
        raise UserError(f"A threshold is a score in 0..1, not {value:g}.")
