"""Images to be inspected, before they are read."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from realnet.data.images import read_image
from realnet.data.levels import Levels
from realnet.data.notes import Notes

# What a file that cannot be asked is known by: it stays the same file until it can.
_ABSENT = (-1, -1)


@dataclass(frozen=True)
class Item:
    """One image to be inspected.

    Attributes:
        image: what the results call it; a file's path as given.
        stem, folder: what its overlay is named by.
        version: size in bytes and time of change in ns of the file; another pair is another image.
        read: gives uint8 ``[h, w, 3]`` RGB by the levels of the run, and counts what is to be said of it; raises
            UserError where that cannot be had.
        live: whether it is to be judged at once, and not to wait for others to make up a batch.
    """

    image: str
    stem: str
    folder: Path
    version: tuple[int, int]
    read: Callable[[Levels | None, Notes], np.ndarray]
    live: bool = False


def file_item(path: Path, live: bool = False) -> Item:
    """The image in the file ``path``; nothing is read yet, and it need not exist."""
    return Item(str(path), path.stem, path.parent, version_of(path), partial(read_image, path, None), live)


def frame_item(name: str, stem: str, folder: Path, version: tuple[int, int], frame: np.ndarray, live: bool) -> Item:
    """A picture that is in memory already."""
    return Item(name, stem, folder, version, lambda levels, notes: frame, live)


def version_of(path: Path) -> tuple[int, int]:
    """Size and time of change."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return _ABSENT
    return found.st_size, found.st_mtime_ns
