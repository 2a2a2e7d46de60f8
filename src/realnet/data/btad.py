"""BTAD as it is distributed: {01,02,03}/{train/ok, test/ok, test/ko, ground_truth/ko}, BMP and PNG mixed."""

from pathlib import Path

from realnet.data.mvtec import find_trees, read_tree
from realnet.data.samples import Category

LAYOUT = "btad"
GOOD_FOLDER = "ok"


def find(root: Path) -> dict[str, Path]:
    """Name -> folder of each category in ``root``, which may itself be one; empty for another layout."""
    return find_trees(root, GOOD_FOLDER)


def read(folder: Path, name: str, problems: list[str]) -> Category:
    """One category; a sentence is added to ``problems`` for each thing wrong with its files."""
    return read_tree(folder, name, LAYOUT, GOOD_FOLDER, problems)
