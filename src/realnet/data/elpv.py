"""ELPV, electroluminescence photographs of solar cells, from the package ``elpv-dataset``.

2,624 cells of 300x300 pixels with a defect probability (0, 1/3, 2/3, 1) and the kind of cell (mono, poly), no
masks. Deitsch et al., Solar Energy 185 (2019), doi:10.1016/j.solener.2019.02.067; CC BY-NC-SA 4.0.
"""

import importlib.util
from pathlib import Path

from realnet.data.samples import Category, Sample, name_rank
from realnet.distribution import install_hint
from realnet.errors import UserError

LAYOUT = "elpv"
CATEGORIES = ("mono", "poly")
TRAIN_SHARE = 0.6


def package_folder() -> Path:
    """Where the installed package keeps labels.csv and images/; its code is not run; UserError where there is none."""
    specification = importlib.util.find_spec("elpv_dataset")
    places = specification.submodule_search_locations if specification is not None else None
    folder = Path(next(iter(places or [""]))) / "data"
    if not (folder / "labels.csv").is_file():
        raise UserError(f"The ELPV images are not installed: {install_hint('demo')}.")
    return folder


def find(root: Path) -> dict[str, Path]:
    """Both categories lie in the one folder; empty where it is not one of ELPV."""
    return dict.fromkeys(CATEGORIES, root) if (root / "labels.csv").is_file() else {}


def read(folder: Path, name: str, problems: list[str]) -> Category:
    """The cells of one kind: good are those of probability 0, defective those of probability 1.

    The grades in between, on which the experts were unsure, are left out. Of the good cells about
    `TRAIN_SHARE` are for training, chosen by a hash of the file name, so always the same ones.
    """
    train: list[Sample] = []
    test: list[Sample] = []
    for line in (folder / "labels.csv").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if len(fields) != 3 or fields[2] != name or float(fields[1]) not in (0.0, 1.0):
            continue
        image = folder / fields[0]
        if not image.is_file():
            problems.append(f"{image} is missing; install elpv-dataset again.")
        elif float(fields[1]) == 1.0:
            test.append(Sample(image, name, "test", "defective"))
        elif name_rank(image.name) < TRAIN_SHARE:
            train.append(Sample(image, name, "train"))
        else:
            test.append(Sample(image, name, "test"))
    if not train:
        problems.append(f"{folder / 'labels.csv'} lists no good cells of kind {name}; install elpv-dataset again.")
    return Category(name, LAYOUT, tuple(train), tuple(test), has_splits=True)
