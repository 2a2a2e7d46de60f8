"""What a data set consists of, and its fingerprint."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from realnet.data.finding import LeftOut
from realnet.errors import UserError
from realnet.files import file_sha256, printable, text_sha256

GOOD = "good"


@dataclass(frozen=True)
class Sample:
    """One image of a data set.

    ``defect`` is the kind of defect as the data set names it, ``good`` where there is none (whatever the data
    set calls that); ``mask`` the file that marks the defect, None for good images and without masks; ``more_masks``
    those that are merged with it. ``place`` is the image's path without the folders that tell its split and kind,
    where it lies deeper than these: ``day2/000.png``. ``confirmed``: a person has looked at it and called it good.
    """

    image: Path
    category: str
    split: Literal["train", "test"]
    defect: str = GOOD
    mask: Path | None = None
    more_masks: tuple[Path, ...] = ()
    place: str = ""
    confirmed: bool = False

    @property
    def name(self) -> str:
        """What the image is called among those of its kind: its file's name, with folders where it lies deeper."""
        return printable(self.place or self.image.name)

    @property
    def full_name(self) -> str:
        """What it is called among those of several categories."""
        return f"{self.category}/{self.name}"

    @property
    def is_anomalous(self) -> bool:
        """Whether the image shows a defect."""
        return self.defect != GOOD


@dataclass(frozen=True)
class Category:
    """One product: ``train`` holds good images, ``test`` good and defective ones (or none).

    ``layout`` names how the data set is laid out: folders, visa or elpv. ``spare`` are good images that are neither
    for training nor for the test: a data set's own validation split. ``left_out`` is what is not used, and why.
    ``has_splits``: the data set itself says what is for training and what for the test.
    """

    name: str
    layout: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    spare: tuple[Sample, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    has_splits: bool = False


def fingerprint(samples: Iterable[Sample]) -> str:
    """SHA-256 (hex) over the samples' names, sizes and content, masks included; UserError where one cannot be read.

    The same for the same files wherever they lie and in whatever order the samples are given.
    """
    with ThreadPoolExecutor() as pool:
        lines = sorted(pool.map(_describe, samples))
    return text_sha256("\n".join(lines))


def _describe(sample: Sample) -> str:
    parts = [sample.category, sample.split, sample.defect]
    for file in (sample.image, sample.mask, *sample.more_masks):
        try:
            parts += ["-"] if file is None else [printable(file.name), str(file.stat().st_size), file_sha256(file)]
        except OSError as error:
            raise UserError(f"{file} cannot be read ({error.strerror}); check it.") from error
    return "\0".join(parts)


def spread(items: int, count: int) -> list[int]:
    """The numbers of at most ``count`` of so many ``items``, evenly spread, the first and the last among them."""
    return np.linspace(0, items - 1, min(count, items)).round().astype(int).tolist()


def name_rank(name: str) -> float:
    """A fixed number in 0..1 for a name, evenly spread: decides splits the same way on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
