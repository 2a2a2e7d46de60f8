"""Everything that can be wrong with a data set, found before hours are spent on it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from realnet.data.decoding import is_grey
from realnet.data.images import each_in_threads, image_shape, verify_image
from realnet.data.masks import read_truth
from realnet.data.samples import Category, Sample
from realnet.data.vocabulary import file_verdict
from realnet.errors import UserError, listed, raise_problems

_WHY = "Parts that look larger, smaller or distorted in some of them make small defects harder to find"
_MOST_MARKED = 0.8


def check_dataset(
    categories: Sequence[Category], need_test: bool, *, need_train: bool = True, test_files: bool = False
) -> list[str]:
    """Open every image and mask, and count them.

    Args:
        need_test: whether figures will be computed: test images are needed, both good and defective ones.
        test_files: whether test images are looked at, should there be any, though none is needed yet.

    Returns:
        A line a category whose images for training differ in size, one where some of them are grey, one where some of
        their names say defective, and those that name defective images whose masks mark nothing, or nearly everything,
        as far as there are any.

    Raises:
        UserError: with one sentence, on a line of its own, for each thing wrong (the first 20): unreadable
            files, masks of another size than their image, too few images.
    """
    problems: list[str] = []
    samples: list[Sample] = []
    for category in categories:
        if need_train:
            samples += category.train
            problems += _missing_good(category)
        if need_test or test_files:
            samples += category.test
        if need_test:
            problems += _missing_tests(category)
    checked = each_in_threads(_check, samples, problems)
    shapes = {sample.image: shape for sample, (shape, _) in zip(samples, checked, strict=True)}
    several, said = len(categories) > 1, []
    for one in categories if need_train else ():
        of = f"{len(one.train)} good images{f' of {one.name}' if several else ''}"
        said += [*_describe_sizes(one, of, shapes), *_describe_colours(one, of), *_describe_names(one, of)]
    return said + _describe_masks(samples, [marked for _, marked in checked])


def check_count(categories: Sequence[Category]) -> None:
    """Refuse too few good images, before any is opened; UserError, a sentence a category."""
    raise_problems([problem for category in categories for problem in _missing_good(category)])


def _describe_sizes(category: Category, of: str, shapes: Mapping[Path, tuple[int, ...]]) -> list[str]:
    """What is said of images for training, counted by ``of``, that differ in size."""
    counts = Counter(shapes[sample.image] for sample in category.train)
    if len(counts) < 2:
        return []
    usual, count = counts.most_common(1)[0]
    others = len(category.train) - count
    if count <= others:
        smallest, largest = min(counts, key=math.prod), max(counts, key=math.prod)
        return [
            f"The {of} have {len(counts)} different sizes, {_pixels(smallest)} to {_pixels(largest)} pixels. {_WHY}."
        ]
    odd = [sample for sample in category.train if shapes[sample.image] != usual]
    named = listed([f"{sample.name} ({_pixels(shapes[sample.image])})" for sample in odd])
    have = "has another size" if others == 1 else "have other sizes"
    return [
        f"{others} of {of} {have} than the usual {_pixels(usual)} pixels: {named}. {_WHY}; --exclude leaves one out."
    ]


def _describe_colours(category: Category, of: str) -> list[str]:
    """What is said where some images for training are stored in grey and others in colour."""
    stored = each_in_threads(is_grey, [sample.image for sample in category.train])
    grey = [sample.name for sample, is_one in zip(category.train, stored, strict=True) if is_one]
    colour = [sample.name for sample, is_one in zip(category.train, stored, strict=True) if not is_one]
    if not grey or not colour:
        return []
    few, what, others = (grey, "grey", "colour") if len(grey) <= len(colour) else (colour, "colour", "grey")
    return [
        f"{len(few)} of {of} {'is' if len(few) == 1 else 'are'} stored in {what}, the others in {others}: "
        f"{listed(few)}. One inspector is for the images of one camera; --exclude leaves one out."
    ]


def _describe_names(category: Category, of: str) -> list[str]:
    """What is said of images for training whose own names say that they are defective, where others' do not."""
    called = [s.name for s in category.train if not s.confirmed and file_verdict(s.image.stem) == "defective"]
    if not called or len(called) == len(category.train):
        return []
    return [
        f"The names of {len(called)} of {of} say that they are defective: {listed(called)}. Look at them; --exclude "
        "leaves one out."
    ]


def _describe_masks(samples: Sequence[Sample], marked: Sequence[float | None]) -> list[str]:
    """What is said of masks that hardly mean what they mark: nothing, or nearly the whole image."""
    shares = [(f"{sample.defect}/{sample.name}", share) for sample, share in zip(samples, marked, strict=True)]
    empty = [name for name, share in shares if share == 0]
    full = [name for name, share in shares if share is not None and share > _MOST_MARKED]
    said = []
    if empty:
        counted = f"{len(empty)}; these images count for the image figures only"
        said.append(f"Masks that mark nothing ({counted}): {listed(empty)}.")
    if full:
        said.append(
            f"Masks that mark more than {_MOST_MARKED:.0%} of their image ({len(full)}): {listed(full)}. Look at them: "
            "every pixel that is not black counts as defective."
        )
    return said


def _pixels(shape: tuple[int, ...]) -> str:
    """Width x height of an image ``[h, w]``."""
    return f"{shape[1]} x {shape[0]}"


def _missing_good(category: Category) -> list[str]:
    count = len(category.train)
    few = f"{category.name} has {count} good image{'s' * (count != 1)} to train on; give at least 2."
    return [few] if count < 2 else []


def _missing_tests(category: Category) -> list[str]:
    there = {sample.is_anomalous for sample in category.test}
    return [
        f"{category.name} has no {lacking} test images; a figure needs some beside the {others} ones."
        for anomalous, lacking, others in ((False, "good", "defective"), (True, "defective", "good"))
        if anomalous not in there
    ]


def _check(sample: Sample) -> tuple[tuple[int, ...], float | None]:
    """Height and width of a sample's image, and the share of it, 0..1, that its mask marks; None: it has none.

    UserError for what is wrong with its files.
    """
    shape: tuple[int, ...] = verify_image(sample.image)
    truth = read_truth(sample)
    if truth is None:
        return shape, None
    if truth.shape != shape:
        shape = image_shape(sample.image)
    if truth.shape != shape:
        raise UserError(
            f"{sample.mask} has {_pixels(truth.shape)} pixels, but its image {sample.image} has {_pixels(shape)}; make "
            "the mask as large as the image."
        )
    return shape, float(truth.mean())
