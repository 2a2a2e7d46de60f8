"""Which images a run has seen, known by what they show: those it was trained on and those it was calibrated on."""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from realnet.atomic import write_text
from realnet.calibration import read_calibration
from realnet.data import read_image
from realnet.data.levels import Levels
from realnet.errors import UserError
from realnet.inspection.trace import image_hash
from realnet.taught import taught_in_force

SEEN_FILE = "images.json"
_SHOWN = 5


def picture_digests(files: Sequence[Path], levels: Levels | None) -> list[str]:
    """The :func:`image_hash` of each file: the same for copies under other names and in other lossless formats.

    Args:
        levels: the run's, by which results have their hashes, too.

    Raises:
        UserError: where a file cannot be read.
    """
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda file: image_hash(read_image(file, levels=levels)), files))


def save_seen(folder: Path, digests: Iterable[str]) -> None:
    """Write ``images.json``: :func:`picture_digests` of what a run was trained on, or taught.

    Raises:
        UserError: where the folder cannot be written.
    """
    write_text(folder / SEEN_FILE, json.dumps({"trained_on": list(digests)}, indent=1))


@dataclass(frozen=True)
class Seen:
    """Those of some images that a run has seen before."""

    trained: tuple[Path, ...]
    calibrated: tuple[Path, ...]

    def __bool__(self) -> bool:
        return bool(self.trained or self.calibrated)

    def sentence(self, run: Path, total: int) -> str:
        """Which images these are, of ``total``, and why it matters."""
        parts = [
            f"{len(files)} of the {total} images {what}: {_some(files)}"
            for files, what in ((self.trained, "were trained on"), (self.calibrated, "set its threshold"))
            if files
        ]
        return f"{run} has seen these images before, so that they judge nothing: {'; '.join(parts)}."


def find_seen(run: Path, files: Sequence[Path], levels: Levels | None) -> Seen:
    """Those of ``files`` whose pixels the run (or export) in the folder ``run`` has seen.

    Args:
        levels: the run's.

    Raises:
        UserError: where a file cannot be read, or ``images.json`` is damaged.
    """
    trained = read_trained(run)
    calibration = read_calibration(run)
    thresholded = frozenset(calibration.good_digests) if calibration is not None else frozenset()
    if not trained and not thresholded:
        return Seen((), ())
    digests = picture_digests(files, levels)
    return Seen(
        tuple(file for file, digest in zip(files, digests, strict=True) if digest in trained),
        tuple(file for file, digest in zip(files, digests, strict=True) if digest in thresholded - trained),
    )


def read_trained(run: Path) -> frozenset[str]:
    """Digests of the images that a run was trained on or taught; none where it does not say.

    Raises:
        UserError: where ``images.json`` is damaged.
    """
    taught = taught_in_force(run)
    return read_digests(run) | (read_digests(taught) if taught is not None else frozenset())


def read_digests(folder: Path) -> frozenset[str]:
    """What ``images.json`` in ``folder`` names; nothing where there is none.

    Raises:
        UserError: where it is damaged.
    """
    path = folder / SEEN_FILE
    if not path.is_file():  # imported, or an export of such a run
        return frozenset()
    try:
        return frozenset(map(str, json.loads(path.read_text(encoding="utf-8"))["trained_on"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged; restore it or train again.") from error


def _some(files: Sequence[Path]) -> str:
    names = ", ".join(str(file) for file in files[:_SHOWN])
    return f"{names} and {len(files) - _SHOWN} more" if len(files) > _SHOWN else names
