"""Images to be inspected, before they are read."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
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
        key: what it is known by; the same for a file however its path is written.
        stem, folder: what its overlay is named by.
        version: size in bytes and time of change in ns of the file; another pair is another image.
        read: gives uint8 ``[h, w, 3]`` RGB by the levels of the run, and counts what is to be said of it; raises
            UserError where that cannot be had.
        live: whether it is to be judged at once, and not to wait for others to make up a batch.
    """

    image: str
    key: str
    stem: str
    folder: Path
    version: tuple[int, int]
    read: Callable[[Levels | None, Notes], np.ndarray]
    live: bool = False


def file_item(path: Path, live: bool = False) -> Item:
    """The image in the file ``path``; nothing is read yet, and it need not exist."""
    read = partial(read_image, path, None)
    return Item(str(path), key_of(path), path.stem, path.parent, version_of(path), read, live)


def frame_item(name: str, stem: str, folder: Path, version: tuple[int, int], frame: np.ndarray, live: bool) -> Item:
    """A picture that is in memory already."""
    return Item(name, name, stem, folder, version, lambda levels, notes: frame, live)


def key_of(path: Path) -> str:
    """What a file is known by: its absolute path without links among its folders, as the disk tells names apart."""
    try:
        return os.path.normcase(_resolved(path.parent, Path.cwd()) / path.name)
    except (OSError, ValueError):  # a name that no disk can hold
        return str(path)


@lru_cache(maxsize=1024)
def _resolved(folder: Path, start: Path) -> Path:
    """``folder`` as seen from ``start``, the present folder, without links."""
    return Path(os.path.realpath(start / folder))


def version_of(path: Path) -> tuple[int, int]:
    """Size and time of change."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return _ABSENT
    return found.st_size, found.st_mtime_ns
