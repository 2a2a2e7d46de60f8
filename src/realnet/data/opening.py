"""Opening a data set of whatever layout."""

import difflib
from pathlib import Path
from typing import Protocol

from realnet.data import btad, elpv, folder, mpdd, mvtec, visa
from realnet.data.checks import raise_problems
from realnet.data.samples import Category
from realnet.errors import UserError


class _Layout(Protocol):
    """What each reader module offers."""

    def find(self, root: Path) -> dict[str, Path]: ...
    def read(self, folder: Path, name: str, problems: list[str]) -> Category: ...


def open_dataset(root: str | Path, category: str | None = None) -> list[Category]:
    """The categories of a data set, sorted by name; no image is opened yet.

    Args:
        root: a folder in the layout of MVTec AD, MPDD, BTAD or VisA, one category of such a data set, a plain
            folder of good images, or the word ``elpv`` for the images of the package elpv-dataset.
        category: one of them; None or ``all`` for every one.

    Raises:
        UserError: where there is no such folder or category, and, a sentence each, for everything wrong with
            the files: no good images, masks without image, defective images without mask where others
            have one.
    """
    place, layout = _detect(Path(root))
    known = layout.find(place)
    names = sorted(known)
    if category not in (None, "all"):
        if category not in known:
            close = difflib.get_close_matches(str(category), names, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise UserError(f"{root} has no category {category}; it has {', '.join(names)}.{hint}")
        names = [str(category)]
    problems: list[str] = []
    categories = [layout.read(known[name], name, problems) for name in names]
    raise_problems(problems)
    return categories


def dataset_folders(root: str) -> list[str]:
    """The data sets under ``root``: itself where it is one, otherwise the folders in it that are; also ``elpv``.

    Raises:
        UserError: where there is no such folder.
    """
    place, layout = _detect(Path(root))
    if layout is not folder:
        return [root]
    inner = [path for path in sorted(place.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    known = [str(path) for path in inner if _detect(path)[1] is not folder]
    return known or [root]


def _detect(root: Path) -> tuple[Path, _Layout]:
    if str(root) == elpv.LAYOUT:
        return elpv.package_folder(), elpv
    if not root.exists():
        raise UserError(f"The data set {root} does not exist; check the path.")
    if not root.is_dir():
        raise UserError(f"The data set {root} is a file; give the folder that holds the images.")
    layouts: tuple[_Layout, ...] = (visa, btad, mpdd, mvtec)
    return root, next((layout for layout in layouts if layout.find(root)), folder)
