"""What of images is read differently than a person might expect, counted while they are read."""

import threading
from collections import Counter

PAGES, FRAMES, CLEAR, PARTLY, FURTHER, SIZE = "pages", "frames", "clear", "partly", "further", "size"
_SENTENCES = {
    PAGES: ("holds several pages: the largest is read", "hold several pages: the largest of each is read"),
    FRAMES: ("is an animation: its first frame is read", "are animations: the first frame of each is read"),
    CLEAR: (
        "has an alpha channel that is 0 everywhere: it is not applied",
        "have alpha channels that are 0 everywhere: they are not applied",
    ),
    PARTLY: ("is transparent in part: that is put on white", "are transparent in part: that is put on white"),
    FURTHER: (
        "holds further channels beside its colours: they are not read",
        "hold further channels beside their colours: they are not read",
    ),
    SIZE: (
        "has another size than the images that the run was trained on: parts look larger, smaller or distorted in it",
        "have other sizes than the images that the run was trained on: parts look larger, smaller or distorted in them",
    ),
}


class Notes:
    """Counts them; any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, kind: str, name: str) -> None:
        """Count one of ``kind`` (PAGES, FRAMES, ...), in the image ``name``."""
        with self._lock:
            self._counts[kind] += 1
            self._first.setdefault(kind, name)

    def sentences(self) -> list[str]:
        """One for each kind that there was, with how many images and one of them by name."""
        with self._lock:
            return [
                f"{self._first[kind]} {one}."
                if self._counts[kind] == 1
                else f"{self._counts[kind]} images {more} (such as {self._first[kind]})."
                for kind, (one, more) in _SENTENCES.items()
                if self._counts[kind]
            ]
