"""Folders under watch: images as they appear."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from realnet.data.finding import OWN_PICTURES, is_own_picture, walk
from realnet.inspection.items import Item, file_item, key_of, version_of
from realnet.progress import Notify

_POLL_SECONDS = 1.0


def watch(
    folders: Sequence[Path],
    is_known: Callable[[str, tuple[int, int]], bool],
    leave_out: Collection[Path],
    say: Notify,
    stop: threading.Event,
) -> Iterator[Item]:
    """Images in ``folders`` and below that are new or replaced, by ``is_known``, until ``stop`` is set.

    A file is taken once its size and time of change have stood still from one look to the next, a second later: what
    is still being copied waits. ``say`` is told what is left out and why, each place once. A folder may come back.
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
                continue
            # Only what is about to be taken is opened: a look at a large folder has to be cheap.
            for path in walk(folder, leave_out, is_own=lambda path: False):
                if not isinstance(path, Path):
                    say_once(f"Not inspected: {folder / path.place}, {path.reason}.")
                    continue
                version = version_of(path)
                if is_known(key_of(path), version):
                    continue
                seen[path] = version
                if moving.get(path) == version:
                    if is_own_picture(path):
                        say_once(f"Not inspected: {path}, {OWN_PICTURES}.")
                    else:
                        yield file_item(path, live=True)
                if stop.is_set():
                    return
        moving = seen
