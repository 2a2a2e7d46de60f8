"""Masks: how they are told from images, which image each belongs to, how they are read, and shrink without loss."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from realnet.data.decoding import decode_file
from realnet.data.finding import LeftOut, folder_reason, own_output
from realnet.data.images import stored_values
from realnet.data.samples import Sample
from realnet.data.vocabulary import meaning, split_words
from realnet.errors import UserError
from realnet.files import beginning

_WORDS = r"(?:mask|masks|gt|ground[ ._-]?truth|segmentation)"
# These words may name a product as well: only beside an image of the name do they tell a mask.
_DOUBTFUL = r"(?:label|labels|seg|annotation|defect)"
_ENDS = re.compile(rf"(?P<image>.+?)[ ._-]+{_WORDS}(?:[ ._-]*\d+)?", re.IGNORECASE)
_MAY_END = re.compile(rf"(?P<image>.+?)[ ._-]+{_DOUBTFUL}(?:[ ._-]*\d+)?", re.IGNORECASE)
_MAY_BEGIN = re.compile(rf"(?:{_WORDS}|{_DOUBTFUL})[ ._-]+(?P<image>.+)", re.IGNORECASE)
_NUMBERED = re.compile(rf".+?[ ._-]+(?:{_WORDS}|{_DOUBTFUL})[ ._-]*\d+", re.IGNORECASE)
_LOSSLESS = frozenset((".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".pbm"))
_MASK_COLOURS = 8
_ANNOTATIONS = frozenset((".json", ".xml", ".txt", ".csv"))
_TABLES, _SPREADSHEETS = _ANNOTATIONS | {".tsv"}, frozenset((".xlsx", ".xlsm", ".xls", ".ods"))
# Of a table, in bytes, and of the images that it may name.
_LOOKED_AT, _ASKED_FOR = 2**16, 500
_NOT_READ = "which are not read: only folders and masks count"
_GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")

Place = tuple[str, ...]
"""The names of the folders a file lies in, below the product's own."""


def masks_beside(files: Iterable[Path]) -> set[Path]:
    """Those of ``files`` that are masks lying beside images, by their names.

    ``000_mask``, ``000_gt`` and the like are masks whatever lies beside; ``000_label``, ``mask_000`` where an image
    ``000`` does; ``000.png`` beside ``000.jpg`` where it has a handful of colours and the other more.
    """
    folders: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        folders[file.parent].append(file)
    found: set[Path] = set()
    for own in folders.values():
        stems: dict[str, list[Path]] = defaultdict(list)
        for file in own:
            stems[file.stem.casefold()].append(file)
        found |= {file for file in own if _is_named_mask(file.stem, stems)}
        for twins in stems.values():
            found |= _drawn_twins([file for file in twins if file not in found])
    return found


def unread_annotations(root: Path, images: Iterable[Path]) -> list[LeftOut]:
    """Files below ``root`` that annotate images in a form that is not read (LabelMe, VOC, COCO, YOLO), by folder.

    They have the name of an image beside them, are called as annotations are, or lie in a folder that is. Tables that
    name images of ``images``, and spreadsheets, which may, are told apart.
    """
    images = list(images)
    beside = {(str(file.parent), file.stem) for file in images}
    asked = {file.name.casefold() for file in images[:_ASKED_FOR]}
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if folder_reason(name) is None)
        if own_output(names):
            inner.clear()
            continue
        place = Path(folder).relative_to(root)
        count = 0
        for file in (Path(name) for name in sorted(names) if not name.startswith(".")):
            suffix, whole = file.suffix.lower(), Path(folder, file)
            called = meaning(place.name).mask or meaning(file.stem).mask or "coco" in split_words(file.stem)
            if suffix in _ANNOTATIONS and (called or (folder, file.stem) in beside):
                count += 1
            elif suffix in _SPREADSHEETS or (suffix in _TABLES and _names_images(whole, asked)):
                found.append(LeftOut((place / file).as_posix(), f"tables, {_NOT_READ}"))
        if count:
            found.append(LeftOut(place.as_posix(), f"annotations, {_NOT_READ}", count))
    return found


def _names_images(table: Path, names: Iterable[str]) -> bool:
    """Whether the text in ``table`` holds two of these ``names`` at least."""
    text = beginning(table, _LOOKED_AT).decode("utf-8", "replace").casefold()
    return sum(name in text for name in names) > 1


def _is_named_mask(stem: str, stems: dict[str, list[Path]]) -> bool:
    if _ENDS.fullmatch(stem):
        return True
    doubtful = (pattern.fullmatch(stem) for pattern in (_MAY_END, _MAY_BEGIN))
    return any(match is not None and match["image"].casefold() in stems for match in doubtful)


def _drawn_twins(twins: Sequence[Path]) -> set[Path]:
    """Of files that share a stem: the drawings, where there is one photograph beside them."""
    if len({file.suffix.lower() for file in twins}) < 2:
        return set()
    drawn = {file for file in twins if file.suffix.lower() in _LOSSLESS and _has_few_colours(file)}
    return drawn if len(drawn) == len(twins) - 1 else set()


def _has_few_colours(file: Path) -> bool:
    try:
        image = stored_values(file)
    except UserError:
        return False
    values = np.unique(image[..., 0])
    return len(values) <= _MASK_COLOURS and len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) <= _MASK_COLOURS


def image_stem(mask: Path) -> str:
    """The stem, in lower case, of the image that a mask's name belongs to."""
    for pattern in (_ENDS, _MAY_END, _MAY_BEGIN):
        match = pattern.fullmatch(mask.stem)
        if match is not None:
            return match["image"].casefold()
    return mask.stem.casefold()


def pair_masks(
    images: Sequence[tuple[Path, Place]],
    masks: Sequence[tuple[Path, Place]],
    preferred: Callable[[Path], bool],
    problems: list[str],
) -> tuple[dict[Path, list[Path]], list[Path]]:
    """The masks of each image that has any, and the masks that no image has.

    A mask belongs to the image of its name. Of several, to that whose folders hold all of the mask's own (but for those
    called as mask folders are), then to the ``preferred`` one. A folder of masks that is called as an image belongs to
    that image (MVTec LOCO).

    Args:
        images, masks: with the folders each lies in.
        preferred: whether an image is more likely meant: one of a defect.
        problems: a sentence is added for each mask that fits several images, and each image with masks of two names.
    """
    by_stem: dict[str, list[tuple[Path, Place]]] = defaultdict(list)
    for image, place in images:
        by_stem[image.stem.casefold()].append((image, _telling(place)))
    found: dict[Path, list[Path]] = defaultdict(list)
    orphans: list[Path] = []
    for mask, place in masks:
        own = _telling(place)
        fitting = _fitting(by_stem.get(own[-1], []), own[:-1], preferred) if own else []
        fitting = fitting or _fitting(by_stem.get(image_stem(mask), []), own, preferred)
        fitting = fitting or _fitting(by_stem.get(mask.stem.casefold(), []), own, preferred)
        fitting = fitting or _with_kind(by_stem, mask, own)
        if not fitting:
            orphans.append(mask)
        elif len(fitting) > 1:
            problems.append(f"{mask} fits both {fitting[0]} and {fitting[1].name}; rename one image or use folders.")
        else:
            found[fitting[0]].append(mask)
    for image, own_masks in found.items():
        _refuse_two(image, own_masks, problems)
    return dict(found), orphans


def _telling(place: Place) -> Place:
    """The folders that tell files apart: not those that only say what sort of file lies in them."""
    kept = []
    for name in place:
        says = meaning(name)
        if not (says.plain and not says.group):
            kept.append(name.casefold() if not says.mask else (says.split or ""))
    return tuple(name for name in kept if name)


def _fitting(candidates: Sequence[tuple[Path, Place]], own: Place, preferred: Callable[[Path], bool]) -> list[Path]:
    """Those of ``candidates`` in whose folders all of ``own`` occur; the preferred ones, where there are any."""
    fitting = [image for image, place in candidates if set(own) <= set(place)]
    same = [image for image, place in candidates if place == own]
    likely = same if len(same) == 1 else [image for image in fitting if preferred(image)]
    return likely or fitting


def _with_kind(by_stem: dict[str, list[tuple[Path, Place]]], mask: Path, own: Place) -> list[Path]:
    """Of masks in one flat folder that are called by kind and name: ``scratch_000``."""
    wanted = image_stem(mask)
    found = []
    for stem, candidates in by_stem.items():
        if wanted.endswith(stem):
            rest = wanted.removesuffix(stem).strip(" ._-")
            found += [i for i, place in candidates if rest and place and rest == place[-1] and set(own) <= set(place)]
    return found


def _refuse_two(image: Path, masks: Sequence[Path], problems: list[str]) -> None:
    """Masks that a folder of the image's name, or their numbers, tell apart are merged; two others are a mistake."""
    stem = image.stem.casefold()
    plain = [m for m in masks if m.parent.name.casefold() != stem and not _NUMBERED.fullmatch(m.stem)]
    if len(plain) > 1:
        problems.append(f"{image} has the masks {plain[0].name} and {plain[1].name}; keep one.")


def read_mask(path: str | Path) -> np.ndarray:
    """The mask at ``path`` as bool [h, w], True where the value is not zero (a JPEG's: 128 or more).

    A palette counts by its colours, and what is fully transparent is False. UserError as `read_image`.
    """
    picture = decode_file(Path(path))
    content = picture.content
    if isinstance(content, Image.Image) and content.mode not in _GREY_MODES:
        rgba = np.asarray(content.convert("RGBA"))
        values = rgba[..., :3].max(axis=2) * (rgba[..., 3] > 0)
    else:
        values = np.asarray(content)
        values = values.max(axis=2) if values.ndim == 3 else values
    # JPEG leaves faint noise around every edge; lossless masks may number their defects 1, 2, 3, ...
    return values >= 128 if picture.form == "JPEG" else values != 0


def read_truth(sample: Sample, shape: tuple[int, int] | None = None) -> np.ndarray | None:
    """Where ``sample`` is defective: bool ``[h, w]``; None where no mask says so.

    Several masks are merged. ``shape`` (height, width): at that size, see :func:`shrink_mask`. UserError for a mask
    that cannot be read, or masks of different sizes.
    """
    if sample.mask is None:
        return None
    truth = read_mask(sample.mask)
    for file in sample.more_masks:
        other = read_mask(file)
        if other.shape != truth.shape:
            raise UserError(f"{file} is not as large as {sample.mask}; make the masks of an image the same size.")
        truth = truth | other
    return truth if shape is None else shrink_mask(truth, shape)


def shrink_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """``mask`` bool ``[H, W]`` at the size ``shape`` (height, width), every region of it kept.

    Nearest neighbour; a region (8-connected) of which that leaves nothing marks every pixel that it touches.
    """
    height, width = shape
    if mask.shape == (height, width):
        return mask
    small = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT) > 0
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    kept = cv2.resize(labels.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    lost = np.setdiff1d(np.arange(1, count), np.unique(kept).astype(int))
    rows, columns = np.nonzero(np.isin(labels, lost))
    small[rows * height // mask.shape[0], columns * width // mask.shape[1]] = True
    return small
