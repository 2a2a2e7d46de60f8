"""Everything that can be wrong with a data set, found before hours are spent on it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from realnet.data.images import read_image, read_mask, verify_image
from realnet.data.samples import Category, Sample
from realnet.errors import UserError

MOST_SHOWN = 20


def check_dataset(categories: Sequence[Category], need_test: bool) -> None:
    """Open every image and mask, and count them.

    Args:
        categories: from `open_dataset`.
        need_test: whether the test images are needed too: both good and defective ones.

    Raises:
        UserError: with one sentence, on a line of its own, for each thing wrong (the first 20): unreadable
            files, masks that are empty or of another size than their image, too few images.
    """
    problems: list[str] = []
    samples: list[Sample] = []
    for category in categories:
        samples += category.train
        if len(category.train) < 2:
            problems.append(f"{category.name} has {len(category.train)} good images to train on; give at least 2.")
        if need_test:
            samples += category.test
            problems += _missing_tests(category)
    with ThreadPoolExecutor() as pool:
        problems += [problem for problem in pool.map(_problem, samples) if problem]
    raise_problems(problems)


def raise_problems(problems: Sequence[str]) -> None:
    """Raise a `UserError` of these sentences, one a line, the first 20; none: nothing."""
    if not problems:
        return
    lines = list(problems[:MOST_SHOWN])
    if len(problems) > MOST_SHOWN:
        lines.append(f"And {len(problems) - MOST_SHOWN} more things are wrong.")
    raise UserError("\n".join(lines))


def _missing_tests(category: Category) -> list[str]:
    problems = []
    if not any(not sample.is_anomalous for sample in category.test):
        problems.append(f"{category.name} has no good test images; a figure needs some beside the defective ones.")
    if not any(sample.is_anomalous for sample in category.test):
        problems.append(f"{category.name} has no defective test images; a figure needs some beside the good ones.")
    return problems


def _problem(sample: Sample) -> str | None:
    try:
        size = verify_image(sample.image)
        if sample.mask is None:
            return None
        mask = read_mask(sample.mask)
        if mask.shape[::-1] != size:
            height, width = read_image(sample.image).shape[:2]
            size = width, height
    except UserError as error:
        return str(error)
    if mask.shape[::-1] != size:
        width, height = mask.shape[::-1]
        return (
            f"{sample.mask} has {width} x {height} pixels, but its image {sample.image} has "
            f"{size[0]} x {size[1]}; make the mask as large as the image."
        )
    if not mask.any():
        return f"{sample.mask} is empty, but {sample.image} is said to be defective; draw the defect or move the image."
    return None
