"""VisA as distributed: <category>/Data/{Images/{Normal,Anomaly}, Masks/Anomaly} and split_csv/1cls.csv."""

import csv
from collections.abc import Sequence
from pathlib import Path

from realnet.data.finding import find_images, subfolders
from realnet.data.samples import GOOD, Category, Sample
from realnet.errors import UserError

LAYOUT = "visa"
SPLIT = Path("split_csv") / "1cls.csv"
COLUMNS = ("object", "split", "label", "image", "mask")


def find(root: Path) -> dict[str, Path]:
    """Name -> folder of each category in ``root``, which may itself be one; empty for another layout."""
    if (root / "Data" / "Images").is_dir():
        return {root.resolve().name: root}
    return {folder.name: folder for folder in subfolders(root) if (folder / "Data" / "Images").is_dir()}


def read(folder: Path, name: str, problems: list[str]) -> Category:
    """One category by split_csv/1cls.csv, each fault told to ``problems``; UserError where that is no such table."""
    root = folder.resolve().parent
    table = root / SPLIT
    rows = [row for row in _read_table(table) if row["object"] == name]
    samples = [found for row in rows if (found := _sample(root, name, row, table, problems)) is not None]
    train = tuple(sample for sample in samples if sample.split == "train")
    test = tuple(sample for sample in samples if sample.split == "test")
    if not train:
        problems.append(f"{table} lists no good training images of {name}; get the original table.")
    _check_masks(folder, test, table, problems)
    return Category(name, LAYOUT, train, test, has_splits=True)


def _read_table(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise UserError(f"{table} needs the columns {', '.join(COLUMNS)}; get the original table.")
            return [{column: (row[column] or "").strip() for column in COLUMNS} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{table} cannot be read; a VisA data set needs its split_csv folder beside the categories."
        ) from error


def _sample(root: Path, name: str, row: dict[str, str], table: Path, problems: list[str]) -> Sample | None:
    if row["split"] not in ("train", "test") or row["label"] not in ("normal", "anomaly"):
        problems.append(
            f"{table} gives {row['image']} the split {row['split']!r} and label {row['label']!r}; correct it."
        )
        return None
    if row["split"] == "train" and row["label"] == "anomaly":
        problems.append(f"{table} lists the defective {row['image']} for training; move it to test.")
        return None
    files = [root / row[column] if row[column] else None for column in ("image", "mask")]
    for column, file in zip(("image", "mask"), files, strict=True):
        if file is not None and not (file.is_file() and file.resolve().is_relative_to(root)):
            problems.append(f"{table} lists the {column} {row[column]}, which is not in {root}; add it.")
            return None
    image, mask = files
    if image is None:
        problems.append(f"{table} has a row of {name} without image; correct it.")
        return None
    if row["label"] == "normal":
        return Sample(image, name, "train" if row["split"] == "train" else "test", GOOD)
    return Sample(image, name, "test", "anomaly", mask)


def _check_masks(folder: Path, test: Sequence[Sample], table: Path, problems: list[str]) -> None:
    listed = {sample.mask.resolve() for sample in test if sample.mask is not None}
    if listed:
        problems += [
            f"{table} names no mask for {sample.image}; add it."
            for sample in test
            if sample.is_anomalous and sample.mask is None
        ]
    problems += [
        f"{mask} has no image in {table}; remove it or add the image."
        for mask in find_images(folder / "Data" / "Masks" / "Anomaly")[0]
        if mask.resolve() not in listed
    ]
