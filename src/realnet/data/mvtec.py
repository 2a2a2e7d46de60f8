"""The layout of MVTec AD: <category>/{train/good, test/<defect>|good, ground_truth/<defect>/NNN_mask.png}."""

from pathlib import Path

from realnet.data.images import images_in
from realnet.data.masks import match_masks
from realnet.data.samples import GOOD, Category, Sample

LAYOUT = "mvtec"


def find(root: Path) -> dict[str, Path]:
    """Name -> folder of each category in ``root``, which may itself be one; empty for another layout."""
    return find_trees(root, GOOD)


def read(folder: Path, name: str, problems: list[str]) -> Category:
    """One category; a sentence is added to ``problems`` for each thing wrong with its files."""
    return read_tree(folder, name, LAYOUT, GOOD, problems)


def find_trees(root: Path, good: str) -> dict[str, Path]:
    """Name -> folder of the categories: folders with train/, at least one of them with train/``good``."""
    if (root / "train" / good).is_dir():
        return {root.resolve().name: root}
    folders = [folder for folder in subfolders(root) if (folder / "train").is_dir()]
    if not any((folder / "train" / good).is_dir() for folder in folders):
        return {}
    return {folder.name: folder for folder in folders}


def read_tree(folder: Path, name: str, layout: str, good: str, problems: list[str]) -> Category:
    """A category laid out as train/, test/, ground_truth/ with good images in folders called ``good``."""
    place = folder / "train" / good
    train = tuple(Sample(image, name, "train") for image in images_in(place))
    if not train:
        problems.append(f"{place} holds no images; put the good training images of {name} there.")
    test = read_tests(subfolders(folder / "test"), folder / "ground_truth", name, good, problems)
    return Category(name, layout, train, test)


def read_tests(kinds: list[Path], truth: Path, name: str, good: str, problems: list[str]) -> tuple[Sample, ...]:
    """The test samples of the folders ``kinds``, each a kind of defect with its masks in ``truth``/kind.

    Without any mask the category has image-level truth only; with some, every defective image needs one.
    """
    masks = {kind.name: images_in(kind) for kind in subfolders(truth) if kind.name != good}
    samples: list[Sample] = []
    for kind in kinds:
        if kind.name == good:
            samples += [Sample(image, name, "test") for image in images_in(kind)]
            continue
        images = images_in(kind)
        matched: dict[Path, Path] = {}
        if any(masks.values()):
            matched = match_masks(images, masks.get(kind.name, []), truth / kind.name, problems)
        samples += [Sample(image, name, "test", kind.name, matched.get(image)) for image in images]
    for kind_name in sorted(masks.keys() - {kind.name for kind in kinds}):
        match_masks([], masks[kind_name], truth / kind_name, problems)
    return tuple(samples)


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in ``folder`` that are not hidden, sorted; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != "__MACOSX"
    )
