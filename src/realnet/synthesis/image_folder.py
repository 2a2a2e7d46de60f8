"""A folder of images as a source of defects: listed once, decoded on demand, the first ones kept in memory."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from realnet.data import list_images, read_image
from realnet.data.finding import LeftOut
from realnet.errors import UserError
from realnet.synthesis.anomaly import Anomaly, Image, Mask, Proposer, Range, fitted, visible
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
        self._cache: dict[tuple[Path, tuple[int, int]], Image] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Workers fill a cache of their own rather than receive ours through a pipe.
        return {**self.__dict__, "_cache": {}}

    def draw(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[NDArray[np.uint8], str]:
        """Return a random image, resized to [h, w] = ``shape``, and its name within the folder."""
        file = self.files[int(rng.integers(len(self.files)))]
        image = self._cache.get((file, shape))
        if image is None:
            image = fitted(read_image(file), shape)
            # Each is as likely to be drawn again as any other: those that came first may stay.
            if (len(self._cache) + 1) * image.nbytes <= self._limit:
                self._cache[file, shape] = image
        return image, file.relative_to(self.directory).as_posix()


class FromFolder(Proposer):
    """A part that blends images of ``directory`` in through a Perlin mask in the foreground.

    A blend is used as it comes; ``least_change``, in grey levels, has those that show less drawn again. UserError
    where the folder is missing or holds no image.
    """

    kind: ClassVar[str]
    purpose: ClassVar[str]

    def __init__(self, directory: Path, opacity: Range | None = None, least_change: float = 0.0) -> None:
        super().__init__(opacity)
        self.least_change = least_change
        self.folder = ImageFolder(directory, self.purpose)

    def _source(self, drawn: Image, rng: np.random.Generator) -> Image:
        return drawn

    def _propose(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly | None:
        found, name = self.folder.draw((foreground.shape[0], foreground.shape[1]), rng)
        mask = perlin_mask(foreground, rng)
        source = self._source(found, rng)
        opacity = self._draw_opacity(rng)
        made = Anomaly(blend(image, source, mask, opacity), mask, source, opacity, self.kind, name)
        return visible(made, image, self.least_change)
