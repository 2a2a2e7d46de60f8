"""A plain folder of good images, or one with good/ (or ok/) beside folders of defective images."""

from pathlib import Path

from realnet.data.images import images_in, is_image_file
from realnet.data.mvtec import read_tests, subfolders
from realnet.data.samples import Category, Sample, name_rank
from realnet.errors import UserError

LAYOUT = "folder"
GOOD_FOLDERS = ("good", "ok")
# Images generated for the product, which lie beside the data: neither good nor a kind of defect.
GENERATED_FOLDER = "SIA"
# Folders that tell of another structure: taking what is in them for good images would teach defects.
FOREIGN = frozenset(
    ("train", "test", "ground_truth", "mask", "masks", "bad", "defect", "defects", "defective", "ng", "ko")
)


def find(root: Path) -> dict[str, Path]:
    """The one category, named like the folder."""
    return {root.resolve().name: root}


def read(folder: Path, name: str, problems: list[str]) -> Category:
    """The folder as a category.

    Without a sub-folder ``good`` or ``ok`` every image in it, however deep, is good and for training.
    With one beside others, its images are the good ones and the others are kinds of defect for the test
    (their masks, where there are any, in ground_truth/<defect>); then a fifth of the good images, fixed by
    their names, is held out for the test.

    Raises:
        UserError: where the folder holds no image or is laid out in another way.
    """
    good = next((folder / part for part in GOOD_FOLDERS if (folder / part).is_dir()), None)
    if good is not None and len(_own_folders(folder)) > 1:
        return _with_defects(folder, good, name, problems)
    generated = folder / GENERATED_FOLDER
    found = (file for file in folder.rglob("*") if is_image_file(file, folder))
    images = sorted(file for file in found if not file.is_relative_to(generated))
    if not images:
        raise UserError(f"{folder} holds no images; choose a folder with the good images of a product.")
    for image in images:
        foreign = FOREIGN.intersection(part.lower() for part in image.relative_to(folder).parts[:-1])
        if foreign:
            raise UserError(
                f"{folder} has no known layout, yet holds {image.parent}: give the folder of the data set "
                f"itself, or put good images into {folder / 'good'} and defective ones into folders beside."
            )
    return Category(name, LAYOUT, tuple(Sample(image, name, "train") for image in images), ())


def _with_defects(folder: Path, good: Path, name: str, problems: list[str]) -> Category:
    problems += [f"{image} lies beside {good}; move it into a folder." for image in images_in(folder)]
    wrong = next((path for path in subfolders(folder) if path.name.lower() in ("train", "test", "mask", "masks")), None)
    if wrong is not None:
        raise UserError(
            f"{wrong} does not belong beside {good}: there go folders of defective images, and ground_truth."
        )
    images = sorted(images_in(good), key=lambda image: name_rank(image.name))
    if not images:
        problems.append(f"{good} holds no images; put the good images of {name} there.")
    held_out = set(images[: max(1, len(images) // 5)])
    train = tuple(Sample(image, name, "train") for image in sorted(images) if image not in held_out)
    test = [Sample(image, name, "test") for image in sorted(held_out)]
    truth = folder / "ground_truth"
    kinds = [path for path in _own_folders(folder) if path not in (good, truth)]
    defective = read_tests(kinds, truth, name, good.name, problems)
    return Category(name, LAYOUT, train, (*test, *defective))


def _own_folders(folder: Path) -> list[Path]:
    return [path for path in subfolders(folder) if path.name != GENERATED_FOLDER]
