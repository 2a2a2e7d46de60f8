"""A folder of images as a source of defects: listed once, decoded on demand, the last ones kept in memory."""

from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from realnet.data import list_images, read_image
from realnet.data.finding import LeftOut
from realnet.errors import UserError
from realnet.synthesis.anomaly import Anomaly, Image, Mask, Range, draw_opacity, first_visible, fitted, visible
from realnet.synthesis.blending import blend
from realnet.synthesis.perlin import perlin_mask

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


class FromFolder:
    """A part that blends images of a folder in through a Perlin mask in the foreground.

    A blend is used as it comes; ``least_change``, in grey levels, has those that show less drawn again.
    """

    kind: ClassVar[str]

    def __init__(self, directory: Path, purpose: str, opacity: Range, least_change: float) -> None:
        self.opacity, self.least_change = opacity, least_change
        self.folder = ImageFolder(directory, purpose)

    def __call__(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
        """Return a defect of ``image``; see `Part`."""
        if self.least_change == 0:
            return self._draw(image, foreground, rng)

        def propose() -> Anomaly | None:
            return visible(self._draw(image, foreground, rng), image, self.least_change)

        return first_visible(propose, image, foreground, rng)

    def _source(self, image: Image, rng: np.random.Generator) -> Image:
        return image

    def _draw(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
        shape = (foreground.shape[0], foreground.shape[1])
        found, name = self.folder.draw(shape, rng)
        mask = perlin_mask(shape, foreground, rng)
        source = self._source(found, rng)
        opacity = draw_opacity(self.opacity, rng)
        return Anomaly(blend(image, source, mask, opacity), mask, source, opacity, self.kind, name)
