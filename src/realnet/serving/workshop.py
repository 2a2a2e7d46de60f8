"""Inspectors made on the page: good images gather in a folder, become an inspector, and further ones join it."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from realnet.atomic import atomic_path, write_text
from realnet.calibration import read_calibration
from realnet.calibrations import install
from realnet.data.images import IMAGE_SUFFIXES, decode_image, image_hash
from realnet.errors import UserError
from realnet.files import plain_name
from realnet.run_folder import Run

# Of one inspector: what a browser is asked to send by hand is far fewer.
MOST_IMAGES = 1000
LEAST_IMAGES = 2
"""Of one good image nothing varies."""
_LEARNED_FILE = "learned.txt"
_ENDING, _OUT_ENDING = ".good", ".left-out"

Make = Callable[[Path, Path], list[str]]
"""Makes the run (second) of the good images in a folder (first), and says what came out."""
Join = Callable[[Path, Sequence[Path]], list[str]]
"""Lets a run learn further good images, and says what came out."""
LeaveOut = Callable[[Path, str], list[str]]
"""Lets a run unlearn the good image of that name, and says what came out."""


@dataclass(frozen=True)
class Gathered:
    """Good images given for inspector ``name``: all, those not learned yet, and whether the last one was known."""

    name: str
    images: int
    waiting: int
    known: bool = False


class Workshop:
    """Keeps good images beside the runs that are made of them, ``NAME.good`` beside ``NAME``; nothing is overwritten.

    What a person leaves out lies in ``NAME.left-out``; the version of the run before that stays, as every one does.

    Args:
        folder: where both are; made when the first image comes.
        make, join, leave_out: do the work.
        device: where inspectors are served that are made; ``minimum_area``: their smallest defect, in pixels.
    """

    def __init__(
        self, folder: Path, make: Make, join: Join, leave_out: LeaveOut, device: str = "cpu", minimum_area: int = 0
    ) -> None:
        self.folder, self.device, self.minimum_area = folder, device, minimum_area
        self._make, self._join, self._leave_out = make, join, leave_out
        self._writing = threading.Lock()

    def runs(self) -> list[Path]:
        """The runs that were made here before."""
        places = (place.with_suffix("") for place in self._places())
        return [run for run in places if Run(run).is_finished]

    def gathered(self) -> list[Gathered]:
        """What there is, by inspector."""
        return [self._count(place.name.removesuffix(_ENDING)) for place in self._places()]

    def keep(self, name: str, image_name: str, data: bytes, max_pixels: int) -> Gathered:
        """Keep a good image, by its own name and content, for the inspector ``name``.

        UserError for what is no image or above ``max_pixels``, too many of them, and a folder that cannot be written.
        """
        called = PurePosixPath(image_name.replace("\\", "/"))
        if called.suffix.lower() not in IMAGE_SUFFIXES:
            raise UserError(f"{image_name} does not end like an image file: name it .png, .jpg or as it is stored.")
        digest = image_hash(decode_image(data, image_name, max_pixels))[:16]
        with self._writing:
            place = self._place(name)
            if any(place.glob(f"{digest}-*")) or any(self._out(name).glob(f"{digest}-*")):
                return self._count(name, known=True)
            if self._count(name).images >= MOST_IMAGES:
                raise UserError(f"{name} has {MOST_IMAGES} good images; for more use `realnet train`.")
            stem = plain_name(called.stem, "image", 80)
            with atomic_path(place / f"{digest}-{stem}{called.suffix.lower()}") as temporary:
                temporary.write_bytes(data)
            return self._count(name)

    def learn(self, name: str, run: Path | None) -> tuple[Path, list[str], float]:
        """Make the inspector ``name`` of its images, or let that in the folder ``run`` learn those that it has not.

        Returns its folder, what came out in sentences, and the seconds it took. UserError for too few images, images
        that do not go together, and a folder that is in use.
        """
        began = time.monotonic()
        place, done = self._place(name), self._learned(name)
        files = self._images(name)
        new = [file for file in files if file.name not in done]
        if run is None:
            if len(files) < LEAST_IMAGES:
                raise UserError(f"{name} has too few good images ({len(files)}): give {LEAST_IMAGES}, better 10.")
            run = self.folder / name
            said = self._made(place, run)
        else:
            if not new:
                raise UserError(f"{name} has learned all of its good images already: give it further ones.")
            said = self._join(run, new)
        write_text(place / _LEARNED_FILE, "".join(f"{file.name}\n" for file in files))
        return run, said, time.monotonic() - began

    def odd(self, name: str, run: Path) -> list[Path]:
        """The good images that score far above the others and that nobody has called good, the highest first."""
        calibration, there = read_calibration(run), {file.name: file for file in self._images(name)}
        return [there[image] for image in (calibration.odd() if calibration is not None else []) if image in there]

    def confirm(self, name: str, run: Path, image: str) -> None:
        """A person calls ``image`` good: no run, now or later, names it again; UserError where there is none."""
        self._image(name, image)
        calibration = read_calibration(run)
        if calibration is not None and image not in calibration.confirmed:
            install(run, calibration.with_confirmed([image]))

    def leave_out(self, name: str, run: Path, image: str) -> tuple[list[str], float]:
        """Let the inspector unlearn the good image ``image``: what came out in sentences, and the seconds.

        UserError where there is no such image, too few are left, and where that fails: all is then as it was.
        """
        began = time.monotonic()
        file, files = self._image(name, image), self._images(name)
        if len(files) <= LEAST_IMAGES:
            raise UserError(f"Without {image} {name} has too few good images: give it further ones first.")
        out = self._out(name) / image
        try:
            out.parent.mkdir(exist_ok=True)
            said = self._leave_out(run, image)
            # Last: an image that lies there is in no inspector, whatever ends the server in the middle.
            file.rename(out)
        except OSError as error:
            raise UserError(f"{out.parent} cannot be written ({error.strerror or error}).") from error
        return said, time.monotonic() - began

    def _made(self, place: Path, run: Path) -> list[str]:
        """Make the run beside its place, and put it there once it is whole; UserError where something else is there."""
        if run.exists():
            raise UserError(f"{run} is there already, and no finished inspector: give this one another name.")
        making = run.with_name(f".{run.name}.making")
        shutil.rmtree(making, ignore_errors=True)  # of a server that was ended in the middle
        try:
            said = self._make(place, making)
            making.rename(run)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return [sentence.replace(str(making), str(run)) for sentence in said]

    def _image(self, name: str, image: str) -> Path:
        file = self._place(name) / image
        if file not in self._images(name):
            raise UserError(f"{image} is none of the good images of {name}.")
        return file

    def _out(self, name: str) -> Path:
        return self.folder / f"{name}{_OUT_ENDING}"

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
