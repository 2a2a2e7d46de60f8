"""The folder of a run, or of an export of one: each of its files is read when it is first asked for, and in one way.

Nothing here imports torch; :func:`realnet.model.saving.load_model` reads the network.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from realnet.atomic import write_text
from realnet.calibration import Calibration, drift, read_calibration
from realnet.config import Config
from realnet.data import Category
from realnet.data.images import image_hashes, image_shape
from realnet.data.levels import Levels
from realnet.data.notes import SIZE, Notes
from realnet.errors import UserError, listed
from realnet.files import name_pattern, quoted, read_json
from realnet.manifest import INSPECTOR_FILE, Manifest, combined_digest, describe_file, read_manifest
from realnet.overriding import as_yaml, from_yaml, reading
from realnet.record import Record, read_record
from realnet.taught import SUBSPACES_FILE, taught_folder, taught_versions
from realnet.view import REFERENCE_FILE, find_reference, keep_reference

CONFIG_FILE, MODEL_FILE, SEEN_FILE = "config.yaml", "model.safetensors", "images.json"
# What that file names by their digests: all images that were learned, and those of them that a person has taken out.
TRAINED_ON, LEFT_OUT = "trained_on", "left_out"
# Of an inspector for several products: which inspectors it joins.
PRODUCTS_FILE, PRODUCTS_FOLDER = "products.json", "products"
# Both thresholds of a run that was imported and never calibrated.
UNCALIBRATED = 0.5
_ANOTHER_P = 1e-4


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
            f"{len(files)} of the {total} images {what}: {listed(files)}"
            for files, what in ((self.trained, "were trained on"), (self.calibrated, "set its threshold"))
            if files
        ]
        return f"{run} has seen these images before, so that they judge nothing: {'; '.join(parts)}."


@dataclass(frozen=True)
class Run:
    """What ``realnet train``, ``import-official`` or ``export`` left in ``folder``, as far as anybody asks.

    Every property raises :class:`UserError` where its file is missing or damaged. What was read stays as it was read;
    for what has changed since, make another ``Run``.
    """

    folder: Path

    @cached_property
    def is_export(self) -> bool:
        """Whether it is named as an export: it has an ``inspector.json``."""
        return (self.folder / INSPECTOR_FILE).is_file()

    @cached_property
    def is_finished(self) -> bool:
        """Whether a run has its model."""
        return (self.folder / MODEL_FILE).is_file() or (self.folder / PRODUCTS_FILE).is_file()

    def check_usable(self) -> None:
        """Refuse a folder that images cannot be judged by, by a UserError: it is no run and no export, or not done."""
        if not self.is_export and not self.is_finished:
            raise unfinished(self.folder) if (self.folder / CONFIG_FILE).is_file() else no_run(self.folder)

    @cached_property
    def members(self) -> tuple["Run", ...]:
        """The runs in its folder that it joins, of one product each; none where it is of one product itself."""
        path = self.folder / PRODUCTS_FILE
        if not path.is_file():
            return ()
        with reading(path, "restore it or train again"):
            names = [str(name) for name in read_json(path)["products"]]
        if not names or not all(re.fullmatch(name_pattern(100), name) for name in names):
            raise UserError(f"{path} names no folders of {PRODUCTS_FOLDER}; restore it or train again.")
        return tuple(Run(self.folder / PRODUCTS_FOLDER / name) for name in names)

    @cached_property
    def config(self) -> Config:
        """The configuration of a run."""
        path = self.folder / CONFIG_FILE
        if not path.is_file():
            raise no_run(self.folder)
        remedy = "restore it from the run that made it, or update RealNet, should a newer version have made it"
        with reading(path, remedy, "is no valid configuration"):
            config = from_yaml(Config, path.read_text(encoding="utf-8"))
        view = find_reference(self.folder, config.model.view)
        return config.model_copy(update={"model": config.model.model_copy(update={"view": view})})

    @cached_property
    def manifest(self) -> Manifest:
        """What an export says of itself."""
        return read_manifest(self.folder)

    @cached_property
    def record(self) -> Record:
        """How a run was made, and what was measured of it."""
        return read_record(self.folder)

    @cached_property
    def calibration(self) -> Calibration | None:
        """What its thresholds rest on; None where it was imported and never calibrated."""
        return read_calibration(self.folder)

    @cached_property
    def thresholds(self) -> tuple[float, float]:
        """Of image score and anomaly map: the calibration's, otherwise those that an export or import came with."""
        if self.calibration is not None:
            return self.calibration.score, self.calibration.pixel
        if self.is_export:
            return self.manifest.threshold, self.manifest.pixel_threshold
        if self.record.imported is not None:
            return UNCALIBRATED, UNCALIBRATED
        raise UserError(
            f"{self.folder} has no calibration.json, which holds its thresholds; restore it or train again."
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of what it computes, not of its thresholds; by it results name the model.

        Of several products the thresholds of each are part of what is computed.
        """
        if self.is_export:
            return self.manifest.digest
        if self.members:
            own = describe_file(self.folder / CONFIG_FILE).sha256
            return combined_digest([own, *(f"{member.digest}{member.thresholds}" for member in self.members)])
        return self._digest_with(self.taught)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Likewise of a run in every version: as it was trained, and with all that it was ever taught."""
        if self.members:
            return (self.digest,)
        return (self._digest_with(None), *(self._digest_with(taught) for taught in taught_versions(self.folder)))

    @cached_property
    def taught(self) -> Path | None:
        """The folder of what it was taught, by the calibration in force; None: it is as it was trained.

        The calibration says so because it appears whole or not at all: thresholds and subspaces belong together.
        """
        if self.calibration is None or self.calibration.taught is None or self.is_export:
            return None
        folder = taught_folder(self.folder, self.calibration.taught)
        if not (folder / SUBSPACES_FILE).is_file():
            raise UserError(
                f"{folder / SUBSPACES_FILE}, which calibration {self.calibration.version} rests on, is missing: "
                f"restore it, or go back with `realnet calibrate {quoted(self.folder)} --undo`."
            )
        return folder

    @cached_property
    def levels(self) -> Levels | None:
        """The stored values that are black and white in images of more than 8 bits; None: each type's own."""
        return self.manifest.levels if self.is_export else self.config.data.pair

    @cached_property
    def products(self) -> tuple[str, ...]:
        """The categories that it was trained on; none where it does not say."""
        if self.is_export:
            return self.manifest.categories
        if not self.is_finished or self.record.training is None:
            return ()
        return self.record.training.categories

    @cached_property
    def trained_on(self) -> frozenset[str]:
        """Digests of the images that it was trained on or taught; none where it does not say."""
        if self.members:
            return frozenset().union(*(member.trained_on for member in self.members))
        taught = read_digests(self.taught) if self.taught is not None else ()
        return frozenset((*read_digests(self.folder), *taught))

    @cached_property
    def remembered(self) -> frozenset[str]:
        """As `trained_on`; none where the file that says so is damaged: a verdict does not need it."""
        try:
            return self.trained_on
        except UserError:
            return frozenset()

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Widths and heights of the images that it was trained on; none where it does not say, or not any more."""
        if self.is_export:
            return self.manifest.sizes
        try:
            training = self.record.training
        except UserError:
            return ()
        return () if training is None else training.sizes

    def other_sizes(self, files: Sequence[Path]) -> list[str]:
        """What is said of ``files`` of other sizes than these; whoever reads them says which cannot be read."""
        notes = Notes()
        for file in files if self.sizes else ():
            with contextlib.suppress(UserError):
                if image_shape(file)[::-1] not in self.sizes:
                    notes.add(SIZE, str(file))
        return notes.sentences()

    def seen(self, files: Sequence[Path]) -> Seen:
        """Those of ``files`` whose pixels it has seen; UserError where one cannot be read."""
        calibrated = frozenset(self.calibration.good_digests) if self.calibration is not None else frozenset()
        if not self.trained_on and not calibrated:
            return Seen((), ())
        digests = list(zip(files, image_hashes(files, self.levels), strict=True))
        return Seen(
            tuple(file for file, digest in digests if digest in self.trained_on),
            tuple(file for file, digest in digests if digest in calibrated - self.trained_on),
        )

    def own(self, categories: Sequence[Category]) -> list[Category]:
        """Those of ``categories`` that it was trained on; all where there is none of them."""
        return [one for one in categories if one.name in self.products] or list(categories)

    def tests_of(self, categories: Sequence[Category]) -> tuple[list[Category], Seen]:
        """Likewise, to be measured on; and which of their test images it has seen.

        Where no folder names a split, all good images that it has not seen are tests. A fifth of them is, of a data set
        that is trained on; of one that was kept back, none need be left out.
        """
        own = self.own(categories)
        joining = [one for one in own if self.trained_on and not one.has_splits]
        tests = {sample.image for one in own for sample in one.test}
        seen = self.seen([*sorted(tests), *(sample.image for one in joining for sample in one.train)])
        known = {*seen.trained, *seen.calibrated}
        for place, one in enumerate(own):
            if one in joining:
                new = [replace(sample, split="test") for sample in one.train if sample.image not in known]
                test = sorted((*one.test, *new), key=lambda sample: str(sample.image))
                train = tuple(sample for sample in one.train if sample.image in known)
                own[place] = replace(one, train=train, test=tuple(test))
        # Good images that joined the tests are new to it.
        return own, Seen(*(tuple(sorted(tests.intersection(part))) for part in (seen.trained, seen.calibrated)))

    def looks_other(self, names: Sequence[str], good: Sequence[float]) -> str:
        """Why images of products ``names`` seem to show another than it was trained on; empty where they do not.

        More than half of the scores of the ``good`` ones are above the threshold, and that either is no chance
        (Kolmogorov-Smirnov, p below 0.0001) or goes with another name than it was trained on.
        """
        high = sum(score > self.thresholds[0] for score in good)
        if not good or high / len(good) <= 0.5:
            return ""
        renamed = bool(self.products) and not set(self.products) & set(names)
        found = drift(self.calibration.good_scores, good) if self.calibration is not None else None
        if not renamed and not (found is not None and found.higher and found.p_value < _ANOTHER_P):
            return ""
        was = f"{', '.join(self.products)}, this is {', '.join(names)}; " if renamed else ""
        return (
            f"These images seem to show another product than {self.folder} was trained on: {was}"
            f"{high} of {len(good)} good images score above its threshold."
        )

    def _digest_with(self, taught: Path | None) -> str:
        files = [self.folder / name for name in (CONFIG_FILE, MODEL_FILE)]
        files += [self.folder / REFERENCE_FILE] if (self.folder / REFERENCE_FILE).is_file() else []
        files += [] if taught is None else [taught / SUBSPACES_FILE]
        return combined_digest(describe_file(file).sha256 for file in files)


def save_seen(folder: Path, digests: Iterable[str], left_out: Iterable[str] = ()) -> None:
    """Write ``images.json``: the hashes of the images that a run was trained on, or taught, in order.

    ``left_out`` are those of all these that a person has taken out again.
    """
    write_text(folder / SEEN_FILE, json.dumps({TRAINED_ON: list(digests), LEFT_OUT: sorted(left_out)}, indent=1))


def no_run(folder: Path) -> UserError:
    """What is said of a path that is no run: what it is, and which runs lie in it."""
    if inner := sorted(path.parent.name for path in folder.glob(f"*/{CONFIG_FILE}")):
        return UserError(f"{folder} is no trained run, but a folder of such: name one in it: {listed(inner)}.")
    what = f"has no {CONFIG_FILE}" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
    return UserError(f"{folder} is no trained run: it {what}. Give the --output folder of `realnet train`.")


def unfinished(folder: Path) -> UserError:
    """What is said of a run that has no model yet."""
    return UserError(f"{folder} has no {MODEL_FILE}: its training has not finished. Continue it with --resume.")


def read_digests(folder: Path, kind: str = TRAINED_ON) -> tuple[str, ...]:
    """The digests of that ``kind`` in the ``images.json`` of ``folder``, in order; UserError where it is damaged."""
    path = folder / SEEN_FILE
    if not path.is_file():
        return ()
    with reading(path, "restore it or train again"):
        return tuple(map(str, read_json(path)[kind]))


def open_run(folder: str | Path) -> Run:
    """The run in ``folder``, which a training was started in; UserError for a missing folder, no run, or an export."""
    run = Run(Path(folder))
    if not (run.folder / CONFIG_FILE).is_file():
        if run.is_export:
            raise UserError(f"{folder} is an export of a run; here the run itself is needed.")
        raise no_run(run.folder)
    return run


def open_run_or_export(folder: str | Path) -> Run:
    """Likewise, but an export will do; UserError for a folder that is missing or neither."""
    run = Run(Path(folder))
    return run if run.is_export else open_run(folder)


def save_config(folder: Path, config: Config) -> None:
    """Write ``config`` as YAML, to be read again as :attr:`Run.config`; the reference image of its view beside it."""
    view = keep_reference(folder, config.model.view, config.data.pair)
    config = config.model_copy(update={"model": config.model.model_copy(update={"view": view})})
    write_text(folder / CONFIG_FILE, as_yaml(config))
