"""Folders under watch: images as they appear."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from realnet.inspection.items import Item, file_item, version_of
from realnet.inspection.walking import Say, walk

_POLL_SECONDS = 1.0


def watch(
    folders: Sequence[Path],
    is_known: Callable[[str, tuple[int, int]], bool],
    leave_out: Collection[Path],
    say: Say,
    stop: threading.Event,
) -> Iterator[Item]:
    """Images in ``folders`` and below that are new or replaced, until ``stop`` is set.

    A file is taken once its size and time of change have stood still from one look to the next, a second later: what
    is still being copied waits.

    Args:
        is_known: whether the image of this name and version has been had.
        leave_out, say: as for `walk`; each sentence is said once. A folder that goes away may come back.
    """
    said: set[str] = set()

    def say_once(sentence: str) -> None:
        if sentence not in said:
            said.add(sentence)
            say(sentence)

    moving: dict[Path, tuple[int, int]] = {}
    while not stop.wait(_POLL_SECONDS):
        seen: dict[Path, tuple[int, int]] = {}
        for folder in folders:
            if not folder.is_dir():
                say_once(f"The folder {folder} is gone; it is looked for every second.")
            for path in walk(folder, leave_out, say_once):
                version = version_of(path)
                if is_known(str(path), version):
                    continue
                seen[path] = version
                if moving.get(path) == version:
                    yield file_item(path, live=True)
                if stop.is_set():
                    return
        moving = seen
