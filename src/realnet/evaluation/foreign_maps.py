"""Anybody's anomaly maps, in the layout of MVTec's evaluation, judged as our own are.

``MAPS/CATEGORY/test/DEFECT/NAME`` with NAME the image's and one of `MAP_SUFFIXES`. That evaluation takes maps as large
as the images (https://www.mvtec.com/company/research/datasets/mvtec-ad); here a map of any size is judged at its own
size, to which the mask is brought by `shrink_mask`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from realnet.data import Category, Sample, read_truth
from realnet.data.finding import subfolders
from realnet.data.masks import shrink_mask
from realnet.errors import UserError, raise_problems
from realnet.evaluation.figures import evaluate_maps, merge
from realnet.evaluation.results import Protocol, Provenance, Results
from realnet.evaluation.score_file import place_names, read_scores
from realnet.evaluation.scores import image_scores

MAP_SUFFIXES = (".tiff", ".tif", ".npy", ".npz", ".png")


def score_maps(
    maps_dir: Path,
    data: str,
    categories: Sequence[Category],
    *,
    name: str,
    image_score: str = "max",
    scores: Path | None = None,
    protocol: Protocol = "exact",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Results:
    """The figures of maps that somebody else's method gave for the test images of ``categories``.

    Their preset is ``name``; seed and selection are not known. One category is in memory at a time.

    Args:
        maps_dir: holds ``CATEGORY/test/DEFECT/NAME.tiff`` (or another suffix of `MAP_SUFFIXES`), or, of one
            category, ``test/DEFECT/NAME.tiff``. Larger values are more anomalous; any range.
        data: name of the data set, for the record.
        image_score: ``max`` or ``pooled16``, of the maps.
        scores: CSV file with the method's own image scores, which count instead (exact only); see `read_scores`.
        protocol: ``exact``, or ``realnet`` for the authors' evaluator, which has an image score of its own.

    Raises:
        UserError: with a sentence, on a line of its own, for each thing wrong (the first 20): missing maps, maps
            without image, damaged or transposed ones, other values than finite numbers, missing scores.
    """
    if image_score not in image_scores:
        raise UserError(f"There is no image score {image_score!r}; choose one of {', '.join(image_scores)}.")
    if protocol == "realnet" and scores is not None:
        raise UserError("The protocol realnet has an image score of its own (pooled16): leave --scores out.")
    samples = [sample for category in categories for sample in category.test]
    problems = [f"{category.name} has no test images to judge maps of." for category in categories if not category.test]
    files = {category.name: find_maps(maps_dir, category, problems, len(categories) == 1) for category in categories}
    raise_problems(problems)
    own = None if scores is None else read_scores(scores, samples)
    score = image_score if scores is None else f"the method's own ({scores.name})"
    provenance = Provenance.of_tests(
        Path(data).name, categories, seed=None, preset=name, image_score=score, selection="unknown"
    )
    parts: list[Results] = []
    resized = done = 0
    for category in categories:
        loaded = _Loaded(category, problems)
        for sample, file in zip(category.test, files[category.name], strict=True):
            loaded.add(sample, file)
            done += 1
            progress(done, len(samples))
        loaded.check_values()
        resized += loaded.resized
        if not problems:
            first = done - len(category.test)
            values = image_scores[image_score](loaded.maps) if own is None else own[first:done]
            parts.append(loaded.evaluate(values, provenance, protocol))
    raise_problems(problems)
    results = merge(parts)
    return results.model_copy(update={"notes": (*_notes(name, resized), *results.notes)})


def with_maps(maps_dir: Path, categories: Sequence[Category]) -> list[Category]:
    """Those of ``categories`` that ``maps_dir`` has a folder of, or whose it is; UserError where that is not clear."""
    if not maps_dir.is_dir():
        raise UserError(f"{maps_dir} is no folder; give the one that holds CATEGORY/test/DEFECT/NAME.tiff.")
    found = [c for c in categories if any((maps_dir / folder / "test").is_dir() for folder in _folders(c))]
    if found:
        return found
    if (maps_dir / "test").is_dir():
        named = [c for c in categories if maps_dir.resolve().name in _folders(c)] or list(categories)
        if len(named) == 1:
            return named
        raise UserError(f"{maps_dir} holds the maps of one category, but of which? Name it with --category.")
    raise UserError(
        f"{maps_dir} holds no maps of {', '.join(c.name for c in categories)}: "
        f"they belong into {maps_dir / categories[0].name / 'test'}/DEFECT/NAME.tiff."
    )


def find_maps(maps_dir: Path, category: Category, problems: list[str], alone: bool = True) -> list[Path]:
    """The map of each test image, in order; ``problems`` gets a sentence for each that is missing or doubtful.

    ``alone``: ``maps_dir`` may be the category's own folder.
    """
    places = [maps_dir / folder / "test" for folder in _folders(category)] + ([maps_dir / "test"] if alone else [])
    place = next((place for place in places if place.is_dir()), places[0])
    maps: dict[tuple[str, str], list[Path]] = {}
    for folder in subfolders(place):
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in MAP_SUFFIXES and not file.name.startswith(".") and file.is_file():
                maps.setdefault((folder.name.casefold(), file.stem.casefold()), []).append(file)
    if not maps and category.test:
        problems.append(f"{category.name} has no maps: they belong into {place}/DEFECT/NAME.tiff.")
        return []
    owners: dict[Path, Sample] = {}
    found: list[Path] = []
    for sample in category.test:
        keys = dict.fromkeys(names[1:] for names in place_names(sample))
        own = [file for key in keys for file in maps.get(key, [])]
        if not own:
            problems.append(f"{sample.image} has no map; add {place / sample.defect / sample.image.stem}.tiff.")
        elif len(own) > 1:
            problems.append(f"{sample.image} has the maps {own[0]} and {own[1]}; keep one.")
        elif own[0] in owners:
            problems.append(f"{own[0]} fits both {owners[own[0]].image} and {sample.image}; rename one image.")
        else:
            found.append(own[0])
        owners.update(dict.fromkeys(own, sample))
    left = (file for files in maps.values() for file in files if file not in owners)
    problems += [f"{file} has no test image of its name in {category.name}; remove it." for file in left]
    return found


def read_map(path: Path) -> np.ndarray:
    """The anomaly map at ``path``: float32 ``[h, w]``, or float64 where the file's numbers need it.

    A TIFF of one channel (float or 16 bit), a PNG of 16 bit, ``.npy``, or ``.npz`` with one array; a channel axis of
    one is dropped. Nothing is scaled. UserError for damaged files, 8-bit pictures, pickled objects, colours, NaN and
    infinite values.
    """
    try:
        values = _array(path) if path.suffix.lower() in (".npy", ".npz") else _picture(path)
    except UserError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise UserError(f"{path} is damaged or no map; write it as float32 TIFF, .npy or 16-bit PNG.") from error
    if values.dtype.kind not in "buif":
        raise UserError(f"{path} holds values of type {values.dtype}; a map holds real numbers.")
    shape = list(values.shape)
    if values.ndim == 3 and 1 in (shape[0], shape[2]):
        values = values[0] if shape[0] == 1 else values[..., 0]
    if values.ndim != 2 or not values.size:
        raise UserError(f"{path} has the shape {shape}; a map is [height, width], one value a pixel.")
    wrong = int((~np.isfinite(values)).sum())
    if wrong:
        raise UserError(f"{path} holds {wrong} values that are NaN or infinite; a map is all finite numbers.")
    wide = np.float32 if np.result_type(values.dtype, np.float32) == np.float32 else np.float64
    return values.astype(wide, copy=False)


def _array(path: Path) -> np.ndarray:
    with path.open("rb") as stream:
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            if len(loaded.files) != 1:
                raise UserError(f"{path} holds {len(loaded.files)} arrays; save the map alone in it.")
            return np.asarray(loaded[loaded.files[0]])


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        if getattr(picture, "n_frames", 1) > 1:
            raise UserError(f"{path} holds several pictures; a map is one.")
        if picture.mode not in ("F", "I") and not picture.mode.startswith("I;16"):
            kind = "has 8 bits a pixel, too few" if picture.mode in ("1", "L") else "is a colour picture, useless"
            raise UserError(f"{path} {kind} to rank pixels by; write float32 TIFF, .npy or 16-bit PNG.")
        return np.array(picture)


class _Loaded:
    """The maps and masks of a category as they are read; faults are added to ``problems`` as sentences."""

    def __init__(self, category: Category, problems: list[str]) -> None:
        self.category, self.problems = category, problems
        self.maps: list[np.ndarray] = []
        self.masks: list[np.ndarray | None] = []
        self.resized = 0
        self.constant = 0

    def add(self, sample: Sample, file: Path) -> None:
        """Read a sample's map and, at the map's size, its mask."""
        try:
            values = read_map(file)
            mask = read_truth(sample)
        except UserError as error:
            self.problems.append(str(error))
            return
        if mask is not None and mask.shape != values.shape:
            if mask.shape == values.shape[::-1]:
                height, width = mask.shape
                self.problems.append(
                    f"{file} has {height} columns and {width} rows, its image has it the other way round; transpose it."
                )
                return
            height, width = values.shape
            mask = shrink_mask(mask, (height, width))
            self.resized += 1
        self.constant += bool(values.min() == values.max())
        self.maps.append(values)
        self.masks.append(mask)

    def check_values(self) -> None:
        """Refuse maps that all hold one and the same value."""
        if self.maps and self.constant == len(self.maps) and len({float(values.flat[0]) for values in self.maps}) == 1:
            self.problems.append(
                f"Every map of {self.category.name} holds the value {self.maps[0].flat[0]:g} everywhere, "
                "which tells nothing apart; check how they were written."
            )

    def evaluate(self, scores: np.ndarray, provenance: Provenance, protocol: Protocol) -> Results:
        """The category's figures, with what is to be known of its maps; UserError where the protocol has no answer."""
        name = self.category.name
        try:
            results = evaluate_maps(self.category.test, self.maps, self.masks, scores, provenance, protocol=protocol)
        except ValueError as error:
            raise UserError(f"{name}: protocol {protocol} has no answer here ({error}); use exact.") from error
        notes = list(results.notes)
        if self.constant:
            notes.append(f"{name}: {self.constant} of {len(self.maps)} maps hold one value everywhere.")
        return results.model_copy(update={"notes": tuple(notes)})


def _folders(category: Category) -> list[str]:
    """What the folder of a category's maps may be called: as the category, or as the folder of its images."""
    names = [category.name]
    for sample in category.test:
        parts = sample.image.absolute().parts
        if len(parts) > 3 and parts[-3] == "test":
            names.append(parts[-4])
    return list(dict.fromkeys(names))


def _notes(name: str, resized: int) -> list[str]:
    notes = [f"Maps of {name}, made elsewhere: how that model was trained and selected is not known."]
    if resized:
        notes.append(
            f"Judged at the size of the maps, to which {resized} masks were brought by nearest neighbour, every region "
            "kept; MVTec's own evaluation asks for maps as large as the images."
        )
    return notes
