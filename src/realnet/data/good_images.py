"""Images at the working size, read when they are asked for."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np

from realnet.data.images import image_hash, image_shape, read_image, resize_image
from realnet.data.levels import Levels
from realnet.data.tiling import Box, cut, tile_boxes
from realnet.files import printable


def short_names(files: Sequence[Path]) -> list[str]:
    """What each file is called: its name, with the folders below the one that holds them all where they differ."""
    if not files:
        return []
    try:
        common = Path(os.path.commonpath([file.absolute().parent for file in files]))
    except ValueError:  # on several drives
        return [printable(str(file)) for file in files]
    return [printable(file.absolute().relative_to(common).as_posix()) for file in files]


class Looking(Protocol):
    """What of an image is seen; :class:`realnet.view.View` is one."""

    def see(self, image: np.ndarray, name: str) -> np.ndarray:
        """What is seen of ``image`` uint8 ``[h, w, 3]``, called ``name``: uint8 ``[h', w', 3]``."""
        ...

    def shape(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what is seen of an image of that size."""
        ...


class GoodImages(Sequence[np.ndarray]):
    """A sequence of uint8 [size, size, 3] images that need not fit in memory.

    What has been read is kept until ``cache_bytes`` are full, in each process for itself; a pickled copy
    starts with an empty cache. Each access gives an array of its own.

    Args:
        size: side in pixels (plain resize).
        cache_bytes: memory for decoded images; 0 keeps none.
        tile: side in pixels of the tiles that each file is cut into, which are then the images; None: none. UserError
            where a file cannot be read, which is looked at for that.
        most: number of tiles; more are thinned out evenly.
        levels: the stored values that become black and white, as for `read_image`.
        names: what the files are called; default: as `short_names` has it.
        view: of each file nothing but what it sees; None: all of it.
    """

    def __init__(
        self,
        paths: Iterable[str | Path],
        size: int,
        cache_bytes: int = 0,
        tile: int | None = None,
        most: int | None = None,
        levels: Levels | None = None,
        names: Sequence[str] | None = None,
        view: Looking | None = None,
    ) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self.file_names = tuple(short_names(self.paths) if names is None else names)
        self.size = size
        self.cache_bytes = cache_bytes
        self.levels = levels
        self.view = view
        self.tiled = tile is not None
        self._cache: dict[int, np.ndarray] = {}
        self._digests: dict[int, str] = {}
        self._places: list[tuple[int, Box | None]] = [(file, None) for file in range(len(self.paths))]
        if tile is not None:
            sizes = [seen_shape(path, view) for path in self.paths]
            places = [(file, box) for file, (h, w) in enumerate(sizes) for box in tile_boxes(h, w, tile)]
            count = len(places) if most is None else min(most, len(places))
            self._places = [places[round(i * (len(places) - 1) / max(1, count - 1))] for i in range(count)]

    def __len__(self) -> int:
        return len(self._places)

    @property
    def files(self) -> list[int]:
        """Which of ``paths`` each image is, or is a tile of."""
        return [i for i, _ in self._places]

    @property
    def names(self) -> list[str]:
        """What each image is called: as its file, with the corner ``@x,y`` of a tile."""
        return [self.file_names[i] + (f"@{box.left},{box.top}" if box else "") for i, box in self._places]

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
            file, box = self._places[position]
            if box is not None:
                return self._read_tiles(position, file, box)
            image = resize_image(self._read(file), self.size)
            if not self._keep(position, image):
                return image
        return image.copy()

    def digests(self) -> list[str]:
        """The :func:`image_hash` of each file, by all of its picture; read for that is only what never was.

        UserError where one cannot be read.
        """
        for file in range(len(self.paths)):
            if file not in self._digests:
                self._read(file)
        return [self._digests[file] for file in range(len(self.paths))]

    def _read(self, file: int) -> np.ndarray:
        """What is seen of a file, at its own size; UserError where it cannot be read or, by the view, aligned."""
        path = self.paths[file]
        whole = read_image(path, levels=self.levels)
        if file not in self._digests:
            self._digests[file] = image_hash(whole)
        return whole if self.view is None else self.view.see(whole, str(path))

    def _keep(self, position: int, image: np.ndarray) -> bool:
        """Nothing is evicted: in shuffled passes over more than fits, every policy serves the same share."""
        fits = (len(self._cache) + 1) * image.nbytes <= self.cache_bytes
        if fits:
            self._cache[position] = image
        return fits

    def _read_tiles(self, position: int, file: int, own: Box) -> np.ndarray:
        """The tile at ``position``; those of the same file are kept as well, as reading it is what costs."""
        whole = self._read(file)
        for other in range(position, len(self)):
            number, box = self._places[other]
            if number != file or box is None or not self._keep(other, cut(whole, box, self.size)):
                break
        return cut(whole, own, self.size)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}


def seen_shape(path: Path, view: Looking | None) -> tuple[int, int]:
    """Its height and width."""
    shape = image_shape(path)
    return shape if view is None else view.shape(*shape)
