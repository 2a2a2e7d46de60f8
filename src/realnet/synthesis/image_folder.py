"""A folder of images as a source: listed once, decoded on demand, the last ones kept in memory."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realnet.data import list_images, read_image
from realnet.data.finding import LeftOut
from realnet.errors import UserError
from realnet.synthesis.anomaly import Image, fitted

_CACHE_BYTES = 256 * 2**20


class ImageFolder:
    """Random images of ``directory`` and below; ``left_out``: what is not used. UserError by ``purpose`` for none."""

    def __init__(self, directory: Path, purpose: str, cache_bytes: int = _CACHE_BYTES) -> None:
        self.directory = directory
        if not directory.is_dir():
            raise UserError(f"{directory} is not a folder: give the folder of {purpose}.")
        self.left_out: list[LeftOut] = []
        self.files = list_images([directory], self.left_out)
        self._limit = cache_bytes
        self._cache: OrderedDict[tuple[Path, tuple[int, int]], Image] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        # Workers fill a cache of their own rather than receive ours through a pipe.
        return {**self.__dict__, "_cache": OrderedDict()}

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray[np.uint8], str]:
        """Return a random image, resized to [h, w] = ``shape``, and its name within the folder."""
        file = self.files[int(rng.integers(len(self.files)))]
        key = (file, shape)
        image = self._cache.get(key)
        if image is None:
            image = fitted(read_image(file), shape)
            self._cache[key] = image
            while len(self._cache) > 1 and len(self._cache) * image.nbytes > self._limit:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(key)
        return image, file.relative_to(self.directory).as_posix()
