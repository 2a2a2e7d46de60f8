"""Image files of folders and patterns, one after the other: no list of them all is ever held."""

import fnmatch
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from realnet.data.finding import OWN_PICTURES, LeftOut, count_images, file_reason, is_own_picture, left_out_folder, walk
from realnet.progress import Notify


class Unused:
    """What of a folder or pattern is not inspected, counted by reason."""

    def __init__(self, say: Notify) -> None:
        self._say = say
        self._found: dict[str, LeftOut] = {}

    def add(self, item: LeftOut) -> None:
        """Count one; of each reason the first place is kept."""
        before = self._found.get(item.reason)
        self._found[item.reason] = item if before is None else replace(before, count=before.count + item.count)

    def tell(self) -> None:
        """Say it in one sentence; nothing where there is nothing."""
        if self._found:
            phrases = (f"{item.place} ({item.count}: {item.reason})" for item in self._found.values())
            self._say(f"Not inspected, by reason, with the first place of each: {'; '.join(phrases)}.")


def walk_images(folder: Path, leave_out: Collection[Path], say: Notify) -> Iterator[Path]:
    """The files that ``list_images`` finds in ``folder``, one after the other, without the resolved ``leave_out``.

    ``say`` is told at the end what else is left out, and why.
    """
    unused = Unused(say)
    for entry in walk(folder, leave_out):
        if isinstance(entry, Path):
            yield entry
        else:
            unused.add(replace(entry, place=str(folder / entry.place)))
    unused.tell()


def is_pattern(text: str) -> bool:
    """Whether ``text`` has a wildcard of the shell in it."""
    return any(character in text for character in "*?[")


def match(pattern: str, leave_out: Collection[Path], say: Notify) -> Iterator[Path]:
    """The files that a pattern such as ``photos/**/*.png`` stands for, each folder's sorted by name.

    ``**`` stands for any number of folders, but for those that a search of a folder would leave out. A pattern that
    ends in ``*`` takes files named as images only. Hidden files and folders need a dot in the pattern. With two ``**``
    a file may come twice.
    """
    parts = list(Path(pattern).parts)
    if parts[-1] == "**":
        parts.append("*")
    images_only = parts[-1].endswith("*")
    unused = Unused(say)
    for path in _match(Path(), parts, leave_out, unused):
        if not path.is_file():
            continue
        reason = file_reason(path)
        if images_only and reason is not None:
            if reason:
                unused.add(LeftOut(str(path), reason))
        elif is_own_picture(path):
            unused.add(LeftOut(str(path), OWN_PICTURES))
        else:
            yield path
    unused.tell()


def _match(base: Path, parts: Sequence[str], leave_out: Collection[Path], unused: Unused) -> Iterator[Path]:
    if not parts:
        yield base
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        yield from _match(base, rest, leave_out, unused)
        for entry in _entries(base, unused):
            inner = base / entry.name
            if not entry.is_dir(follow_symlinks=False) or inner.resolve() in leave_out:
                continue
            reason = left_out_folder(inner)
            if reason is None:
                yield from _match(inner, parts, leave_out, unused)
            elif reason:
                unused.add(LeftOut(str(inner), reason, count_images(inner)))
    elif not is_pattern(first):
        if os.path.lexists(base / first):
            yield from _match(base / first, rest, leave_out, unused)
    else:
        for entry in _entries(base, unused):
            hidden = entry.name.startswith(".") and not first.startswith(".")
            if hidden or not fnmatch.fnmatch(entry.name, first):
                continue
            if not entry.is_dir() or (base / entry.name).resolve() not in leave_out:
                yield from _match(base / entry.name, rest, leave_out, unused)


def _entries(folder: Path, unused: Unused) -> list[os.DirEntry[str]]:
    """Sorted by name; none where ``folder`` is no folder."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        unused.add(LeftOut(str(folder), f"a folder that cannot be read ({error.strerror})"))
        return []
