"""MPDD (metal parts) as it is distributed: the layout of MVTec AD, known by its six category names."""

from pathlib import Path

from realnet.data.mvtec import find_trees, read_tree
from realnet.data.samples import GOOD, Category

LAYOUT = "mpdd"
CATEGORIES = frozenset(("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes"))


def find(root: Path) -> dict[str, Path]:
    """Name -> folder of each category in ``root``, which may itself be one; empty for another data set."""
    found = find_trees(root, GOOD)
    return found if found.keys() <= CATEGORIES else {}


def read(folder: Path, name: str, problems: list[str]) -> Category:
    """One category; a sentence is added to ``problems`` for each thing wrong with its files."""
    return read_tree(folder, name, LAYOUT, GOOD, problems)
