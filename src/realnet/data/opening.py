"""Opening a data set of whatever layout."""

import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from realnet.data import elpv, visa
from realnet.data.finding import ARCHIVES, LeftOut, list_images, no_images, subfolders
from realnet.data.folders import Reader, product_name
from realnet.data.samples import Category, Sample
from realnet.data.vocabulary import meaning
from realnet.errors import UserError, listed, raise_problems
from realnet.files import printable

_Read = Callable[[str, list[str]], Category]


def open_dataset(root: str | Path, category: str | None = None, good: Sequence[str] = ()) -> list[Category]:
    """The categories of a data set, sorted by name; of its images only masks that decide on a label are opened.

    Args:
        root: a folder that is laid out as docs/data.md says, or the word ``elpv`` (where there is no folder of that
            name) for the images of the package elpv-dataset.
        category: one of them; None or ``all`` for every one.
        good: names of the folders that hold good images, in the place of those that are usual.

    Raises:
        UserError: where there is no such folder or category, where it cannot be told which images are good, and, a
            sentence each, for what contradicts itself.
    """
    names, read = _readers(Path(root), good)
    if category not in (None, "all"):
        if category not in names:
            close = difflib.get_close_matches(str(category), names, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise UserError(f"{root} has no category {category}; it has {', '.join(names)}.{hint}")
        names = [str(category)]
    problems: list[str] = []
    categories = [read(name, problems) for name in names]
    raise_problems(problems)
    return categories


def open_good(places: Sequence[Path], good: Sequence[str] = ()) -> Category:
    """The good images of ``places`` as one category's ``train``: files as given, of folders the good ones in them.

    Of a folder that divides itself into splits, the images outside ``train/`` are taken, where there are any: good
    images that nothing was trained on. What was not taken is in ``left_out``. UserError as `open_dataset`, and for a
    path that does not exist, or where there is no good image.
    """
    samples: dict[Path, Sample] = {}
    left_out: list[LeftOut] = []
    for place in places:
        if not place.is_dir() or not any(place.iterdir()):
            files = list_images([place])
            samples |= {file: Sample(file, product_name(file.parent), "test") for file in files}
            continue
        for category in open_dataset(place, None, good):
            fresh, beside = _fresh(category)
            samples |= {sample.image: sample for sample in fresh}
            left_out += [*category.left_out, *beside]
    if not samples:
        raise UserError(f"{places[0]} holds no good images; choose a folder with good images of the product.")
    return Category("good images", "folders", tuple(samples.values()), (), (), tuple(left_out))


def with_further(categories: Sequence[Category], places: Sequence[Path]) -> list[Category]:
    """One product with the good images of ``places`` as well, none taken twice; UserError for several products."""
    if len(categories) != 1:
        raise UserError("Further good images belong to one product, and these are several: choose one of them.")
    (category,) = categories
    more = open_good(places)
    known = {sample.image.resolve() for sample in (*category.train, *category.test, *category.spare)}
    added = [
        replace(sample, category=category.name, split="train", place=str(sample.image))
        for sample in more.train
        if sample.image.resolve() not in known
    ]
    return [replace(category, train=(*category.train, *added), left_out=(*category.left_out, *more.left_out))]


def without(categories: Sequence[Category], named: Sequence[str]) -> list[Category]:
    """``categories`` without the good images for training that are ``named`` as a training does, or by their files.

    Of several categories an image is named with its own, ``CATEGORY/NAME``. They are counted as left out. UserError for
    one that is none of the good images, and a name that images of several categories have.
    """
    meant = _meant(categories, named, "nothing is excluded")
    found = []
    for category in categories:
        kept = tuple(sample for sample in category.train if sample.image not in meant)
        left = [LeftOut(sample.name, "excluded") for sample in category.train if sample.image in meant]
        found.append(replace(category, train=kept, left_out=(*category.left_out, *left)))
    return found


def with_confirmed(categories: Sequence[Category], named: Sequence[str]) -> list[Category]:
    """``categories`` with the good images that are ``named``, as for :func:`without`, marked as confirmed."""
    meant = _meant(categories, named, "nothing is kept")
    return [
        replace(category, train=tuple(replace(s, confirmed=s.confirmed or s.image in meant) for s in category.train))
        for category in categories
    ]


def _meant(categories: Sequence[Category], named: Sequence[str], outcome: str) -> set[Path]:
    """The good images for training that ``named`` means; UserError, with the ``outcome``, for one that is none."""
    samples = [sample for category in categories for sample in category.train]
    meant: set[Path] = set()
    for name in named:
        path = Path(name).resolve()
        found = [s for s in samples if printable(name) in (s.name, s.full_name) or path == s.image.resolve()]
        if not found:
            raise UserError(f"{name} is none of the good images: {outcome}. Look at its name again.")
        if len({sample.category for sample in found}) > 1:
            which = listed([sample.full_name for sample in found])
            raise UserError(f"{name} may be {which}: {outcome}. Name the one that is meant like this.")
        meant |= {sample.image for sample in found}
    return meant


def _fresh(category: Category) -> tuple[list[Sample], list[LeftOut]]:
    good = [sample for sample in (*category.test, *category.spare) if not sample.is_anomalous]
    kinds = Counter(sample.defect for sample in category.test if sample.is_anomalous)
    left = [LeftOut(kind, "defective", count) for kind, count in sorted(kinds.items())]
    if good and category.has_splits:
        left.append(LeftOut("train", "for training", len(category.train)))
        return good, left
    return sorted((*category.train, *good), key=lambda sample: sample.image), left


def dataset_folders(root: str) -> list[str]:
    """The data sets under ``root``: itself where it is one, else those in it; also ``elpv``; UserError for none."""
    place = Path(root)
    if _is_elpv(place) or visa.find(place):
        return [root]
    _check_folder(place)
    known = [str(path) for path in subfolders(place) if visa.find(path) or _holds_products(path)]
    return [root] if _holds_products(place) or not known else known


def _holds_products(place: Path) -> bool:
    """Whether folders of training images, or of good ones, lie in it or one below."""

    def has(folder: Path) -> bool:
        says = [meaning(path.name) for path in folder.iterdir() if path.is_dir()]
        return any(said.split == "train" or said.label == "good" for said in says)

    return has(place) or any(has(path) for path in place.iterdir() if path.is_dir())


def _readers(root: Path, good: Sequence[str]) -> tuple[list[str], _Read]:
    """The names of the categories, and what reads one of them."""
    own = elpv if _is_elpv(root) else None
    if own is None:
        _check_folder(root)
        own = visa if visa.find(root) else None
    if own is not None:
        if good:
            raise UserError(f"{root} has a table of its own that says what is good: leave --good out.")
        known = own.find(elpv.package_folder() if own is elpv else root)
        return sorted(known), lambda name, problems: own.read(known[name], name, problems)
    reader = Reader(root, good)
    if not reader.files:
        raise no_images(root, reader.left_out, "the good images of a product")
    return sorted(reader.products), reader.read


def _is_elpv(root: Path) -> bool:
    return str(root) == elpv.LAYOUT and not root.is_dir()


def _check_folder(root: Path) -> None:
    if not root.exists():
        raise UserError(f"The data set {root} does not exist; check the path.")
    if not root.is_dir():
        unpack = "unpack it, and " if root.suffix.lower() in ARCHIVES else ""
        raise UserError(f"The data set {root} is a file; {unpack}give the folder that holds the images.")
