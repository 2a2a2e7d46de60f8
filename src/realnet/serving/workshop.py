"""Inspectors made on the page: good images gather in a folder, become an inspector, and further ones join it."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from realnet.atomic import atomic_path, write_text
from realnet.data.images import IMAGE_SUFFIXES, decode_image, image_hash
from realnet.errors import UserError
from realnet.files import plain_name

# Of one inspector: what a browser is asked to send by hand is far fewer.
MOST_IMAGES = 1000
LEAST_IMAGES = 2
"""Of one good image nothing varies."""
_LEARNED_FILE = "learned.txt"
_ENDING = ".good"

Make = Callable[[Path, Path], list[str]]
"""Makes the run (second) of the good images in a folder (first), and says what came out."""
Join = Callable[[Path, Sequence[Path]], list[str]]
"""Lets a run learn further good images, and says what came out."""


@dataclass(frozen=True)
class Gathered:
    """Good images that were given for an inspector.

    Attributes:
        name: of the inspector.
        images: how many there are; ``waiting``: how many of them it has not learned yet.
        known: whether the image that was given last had been given before.
    """

    name: str
    images: int
    waiting: int
    known: bool = False


class Workshop:
    """Keeps good images beside the runs that are made of them, ``NAME.good`` beside ``NAME``; nothing is overwritten.

    Args:
        folder: where both are; made when the first image comes.
        make, join: do the work.
        device: where inspectors are served that are made; ``minimum_area``: their smallest defect, in pixels.
    """

    def __init__(self, folder: Path, make: Make, join: Join, device: str = "cpu", minimum_area: int = 0) -> None:
        self.folder, self.device, self.minimum_area = folder, device, minimum_area
        self._make, self._join = make, join
        self._writing = threading.Lock()

    def runs(self) -> list[Path]:
        """The runs that were made here before."""
        return [run for run in (place.with_suffix("") for place in self._places()) if run.is_dir()]

    def gathered(self) -> list[Gathered]:
        """What there is, by inspector."""
        return [self._count(place.name.removesuffix(_ENDING)) for place in self._places()]

    def keep(self, name: str, image_name: str, data: bytes, max_pixels: int) -> Gathered:
        """Keep a good image for the inspector ``name``.

        Args:
            image_name: what it is called; its suffix says which format.
            data: the contents of the file.
            max_pixels: above this it is refused.

        Raises:
            UserError: for what is no image, too many of them, and a folder that cannot be written.
        """
        called = PurePosixPath(image_name.replace("\\", "/"))
        if called.suffix.lower() not in IMAGE_SUFFIXES:
            raise UserError(f"{image_name} does not end like an image file: name it .png, .jpg or as it is stored.")
        digest = image_hash(decode_image(data, image_name, max_pixels))[:16]
        with self._writing:
            place = self._place(name)
            if any(place.glob(f"{digest}-*")):
                return self._count(name, known=True)
            if self._count(name).images >= MOST_IMAGES:
                raise UserError(f"{name} has {MOST_IMAGES} good images; for more use `realnet train`.")
            stem = plain_name(called.stem, "image", 80)
            try:
                place.mkdir(parents=True, exist_ok=True)
                with atomic_path(place / f"{digest}-{stem}{called.suffix.lower()}") as temporary:
                    temporary.write_bytes(data)
            except OSError as error:
                raise UserError(f"{place} cannot be written ({error.strerror or error}).") from error
            return self._count(name)

    def learn(self, name: str, run: Path | None) -> tuple[Path, list[str], float]:
        """Make the inspector ``name`` of its images, or let it learn those that it has not.

        Args:
            run: its folder; None: it is to be made.

        Returns:
            Its folder, what came out in sentences, and the seconds it took.

        Raises:
            UserError: for too few images, images that do not go together, and a folder that is in use.
        """
        began = time.monotonic()
        place, done = self._place(name), self._learned(name)
        files = self._images(name)
        new = [file for file in files if file.name not in done]
        if run is None:
            if len(files) < LEAST_IMAGES:
                raise UserError(f"{name} has too few good images ({len(files)}): give {LEAST_IMAGES}, better 10.")
            run = self.folder / name
            said = self._make(place, run)
        else:
            if not new:
                raise UserError(f"{name} has learned all of its good images already: give it further ones.")
            said = self._join(run, new)
        write_text(place / _LEARNED_FILE, "".join(f"{file.name}\n" for file in files))
        return run, said, time.monotonic() - began

    def _places(self) -> list[Path]:
        return sorted(place for place in self.folder.glob(f"*{_ENDING}") if place.is_dir())

    def _place(self, name: str) -> Path:
        return self.folder / f"{name}{_ENDING}"

    def _images(self, name: str) -> list[Path]:
        place = self._place(name)
        found = place.iterdir() if place.is_dir() else ()
        return sorted(file for file in found if file.suffix in IMAGE_SUFFIXES)

    def _learned(self, name: str) -> set[str]:
        try:
            return set((self._place(name) / _LEARNED_FILE).read_text(encoding="utf-8").split("\n"))
        except FileNotFoundError:
            return set()

    def _count(self, name: str, known: bool = False) -> Gathered:
        files, done = self._images(name), self._learned(name)
        return Gathered(name, len(files), sum(file.name not in done for file in files), known)
