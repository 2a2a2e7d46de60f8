"""Images at the working size, read when they are asked for."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from realnet.data.images import read_image


class GoodImages(Sequence[np.ndarray]):
    """A sequence of uint8 [size, size, 3] images that need not fit in memory.

    What has been read is kept until ``cache_bytes`` are full, in each process for itself; a pickled copy
    starts with an empty cache. Each access gives an array of its own.

    Args:
        paths: image files.
        size: side in pixels (plain resize).
        cache_bytes: memory for decoded images; 0 keeps none.
    """

    def __init__(self, paths: Iterable[str | Path], size: int, cache_bytes: int = 0) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self.size = size
        self.cache_bytes = cache_bytes
        self._cache: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        """The image (or a list of them); raises `UserError` where the file cannot be read."""
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        image = self._cache.get(position)
        if image is None:
            image = read_image(self.paths[position], self.size)
            # Nothing is evicted: in shuffled passes over more than fits, every policy serves the same share.
            if (len(self._cache) + 1) * image.nbytes > self.cache_bytes:
                return image
            self._cache[position] = image
        return image.copy()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}
