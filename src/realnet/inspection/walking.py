"""Image files of folders and patterns, one after the other: no list of them all is ever held."""

import fnmatch
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from realnet.data.images import IMAGE_SUFFIXES

Say = Callable[[str], None]


def walk(folder: Path, leave_out: Collection[Path], say: Say) -> Iterator[Path]:
    """The files that ``list_images`` finds in ``folder``, in its order, but not those in folders of ``leave_out``.

    Args:
        leave_out: resolved folders: the overlays of this very inspection, should they lie below ``folder``.
        say: told of folders that cannot be read; the others are gone through.
    """
    for entry in _entries(folder, say):
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            if path.resolve() not in leave_out:
                yield from walk(path, leave_out, say)
        elif path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            yield path


def is_pattern(text: str) -> bool:
    """Whether ``text`` has a wildcard of the shell in it."""
    return any(character in text for character in "*?[")


def match(pattern: str, leave_out: Collection[Path], say: Say) -> Iterator[Path]:
    """The files that a pattern such as ``photos/**/*.png`` stands for, each folder's sorted by name.

    ``**`` stands for any number of folders. A pattern that ends in ``*`` takes files named as images only. Hidden files
    and folders need a dot in the pattern. With two ``**`` a file may come twice.
    """
    parts = list(Path(pattern).parts)
    if parts[-1] == "**":
        parts.append("*")
    images_only = parts[-1].endswith("*")
    for path in _match(Path(), parts, leave_out, say):
        if path.is_file() and (not images_only or path.suffix.lower() in IMAGE_SUFFIXES):
            yield path


def _match(base: Path, parts: Sequence[str], leave_out: Collection[Path], say: Say) -> Iterator[Path]:
    if not parts:
        yield base
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        yield from _match(base, rest, leave_out, say)
        for entry in _entries(base, say):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                inner = base / entry.name
                if inner.resolve() not in leave_out:
                    yield from _match(inner, parts, leave_out, say)
    elif not is_pattern(first):
        if os.path.lexists(base / first):
            yield from _match(base / first, rest, leave_out, say)
    else:
        for entry in _entries(base, say):
            hidden = entry.name.startswith(".") and not first.startswith(".")
            if hidden or not fnmatch.fnmatch(entry.name, first):
                continue
            if not entry.is_dir() or (base / entry.name).resolve() not in leave_out:
                yield from _match(base / entry.name, rest, leave_out, say)


def _entries(folder: Path, say: Say) -> list[os.DirEntry[str]]:
    """Sorted by name; none where ``folder`` is no folder."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        say(f"The folder {folder} cannot be read ({error.strerror}); its images are left out.")
        return []
