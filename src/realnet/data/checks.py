"""Everything that can be wrong with a data set, found before hours are spent on it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from realnet.data.images import image_shape, verify_image
from realnet.data.masks import read_truth
from realnet.data.samples import Category, Sample
from realnet.errors import UserError, listed

MOST_SHOWN = 20


def check_dataset(
    categories: Sequence[Category], need_test: bool, *, need_train: bool = True, test_files: bool = False
) -> list[str]:
    """Open every image and mask, and count them.

    Args:
        need_test: whether figures will be computed: test images are needed, both good and defective ones.
        test_files: whether test images are looked at, should there be any, though none is needed yet.

    Returns:
        A line that names the defective images whose masks mark nothing; none where there are none.

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
    with ThreadPoolExecutor() as pool:
        checked = list(pool.map(_check, samples))
    raise_problems([*problems, *(one for one in checked if isinstance(one, str))])
    empty = [sample for sample, marked in zip(samples, checked, strict=True) if marked is False]
    if not empty:
        return []
    names = listed([f"{sample.defect}/{sample.name}" for sample in empty])
    counted = f"{len(empty)}; these images count for the image figures only"
    return [f"Masks that mark nothing ({counted}): {names}."]


def raise_problems(problems: Sequence[str]) -> None:
    """Raise a `UserError` of these sentences, one a line, the first 20; none: nothing."""
    if not problems:
        return
    lines = list(problems[:MOST_SHOWN])
    if len(problems) > MOST_SHOWN:
        lines.append(f"And {len(problems) - MOST_SHOWN} more things are wrong.")
    raise UserError("\n".join(lines))


def _missing_good(category: Category) -> list[str]:
    count = len(category.train)
    if count >= 2:
        return []
    what = f"{count} good image{'s' * (count != 1)}"
    return [f"{category.name} has {what} to train on; give at least 2."]


def _missing_tests(category: Category) -> list[str]:
    problems = []
    if not any(not sample.is_anomalous for sample in category.test):
        problems.append(f"{category.name} has no good test images; a figure needs some beside the defective ones.")
    if not any(sample.is_anomalous for sample in category.test):
        problems.append(f"{category.name} has no defective test images; a figure needs some beside the good ones.")
    return problems


def _check(sample: Sample) -> str | bool | None:
    """What is wrong with the files of a sample, in a sentence; else whether its mask, if any, marks anything."""
    try:
        width, height = verify_image(sample.image)
        truth = read_truth(sample)
        if truth is None:
            return None
        if truth.shape == (height, width):
            return bool(truth.any())
        height, width = image_shape(sample.image)
    except UserError as error:
        return str(error)
    if truth.shape == (height, width):
        return bool(truth.any())
    return (
        f"{sample.mask} has {truth.shape[1]} x {truth.shape[0]} pixels, but its image {sample.image} has "
        f"{width} x {height}; make the mask as large as the image."
    )
