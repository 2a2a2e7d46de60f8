"""Miniature data sets of every layout, made of seeded noise and squares. Each maker returns its root."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 64


def picture(rng: np.random.Generator, size: int = SIZE, defect: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A product (a bright square with a little noise) as uint8 [size, size, 3] and its defect's bool mask."""
    image = np.full((size, size, 3), 40.0)
    edge = size // 5
    image[edge:-edge, edge:-edge] = (180, 160, 120)
    image += rng.normal(0, 4, image.shape)
    mask = np.zeros((size, size), dtype=bool)
    if defect:
        top, left = rng.integers(edge, size - edge - size // 5, 2)
        mask[top : top + size // 6, left : left + size // 6] = True
        image[mask] = (30, 30, 220)
    return np.clip(image, 0, 255).astype(np.uint8), mask


def save(path: Path, array: np.ndarray) -> Path:
    """Write uint8 or bool pixels to ``path``, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def save_mask(path: Path, mask: np.ndarray, value: int = 255) -> Path:
    """Write a bool mask as 8-bit grey with ``value`` where it is True."""
    return save(path, mask.astype(np.uint8) * np.uint8(value))


def make_good(folder: Path, count: int, rng: np.random.Generator, suffix: str = ".png") -> list[Path]:
    """``count`` good images NNN``suffix`` in ``folder``."""
    return [save(folder / f"{index:03}{suffix}", picture(rng)[0]) for index in range(count)]


def make_mvtec(
    root: Path,
    categories: Sequence[str] = ("widget",),
    train: int = 6,
    test_good: int = 3,
    defects: Sequence[str] = ("scratch", "stain"),
    per_defect: int = 2,
    masks: bool = True,
) -> Path:
    """MVTec AD: <category>/{train/good, test/<defect>|good, ground_truth/<defect>/NNN_mask.png}."""
    rng = np.random.default_rng(0)
    for category in categories:
        folder = root / category
        make_good(folder / "train" / "good", train, rng)
        make_good(folder / "test" / "good", test_good, rng)
        (folder / "license.txt").write_text("miniature")
        for defect in defects:
            for index in range(per_defect):
                image, mask = picture(rng, defect=True)
                save(folder / "test" / defect / f"{index:03}.png", image)
                if masks:
                    save_mask(folder / "ground_truth" / defect / f"{index:03}_mask.png", mask)
    return root


def make_mpdd(root: Path) -> Path:
    """MPDD: the layout of MVTec AD under the names of metal parts."""
    return make_mvtec(root, ("bracket_black", "tubes"), defects=("hole",))


def make_btad(root: Path) -> Path:
    """BTAD: 01 with BMP images and PNG masks, 02 all PNG, 03 all BMP; folders ok and ko."""
    rng = np.random.default_rng(1)
    for category, image_suffix, mask_suffix in (
        ("01", ".bmp", ".png"),
        ("02", ".png", ".png"),
        ("03", ".bmp", ".bmp"),
    ):
        folder = root / category
        make_good(folder / "train" / "ok", 5, rng, image_suffix)
        make_good(folder / "test" / "ok", 2, rng, image_suffix)
        for index in range(3):
            image, mask = picture(rng, defect=True)
            save(folder / "test" / "ko" / f"{index:04}{image_suffix}", image)
            save_mask(folder / "ground_truth" / "ko" / f"{index:04}{mask_suffix}", mask)
    return root


def make_visa(root: Path, categories: Sequence[str] = ("candle", "pcb1")) -> Path:
    """VisA: <category>/Data/..., masks valued 1, 2, ..., and split_csv/1cls.csv."""
    rng = np.random.default_rng(2)
    rows = []
    for category in categories:
        data = Path(category) / "Data"
        for index in range(6):
            image = data / "Images" / "Normal" / f"{index:04}.JPG"
            save(root / image, picture(rng)[0])
            rows.append((category, "train" if index < 4 else "test", "normal", image.as_posix(), ""))
        for index in range(2):
            image = data / "Images" / "Anomaly" / f"{index:03}.JPG"
            mask = data / "Masks" / "Anomaly" / f"{index:03}.png"
            pixels, truth = picture(rng, defect=True)
            save(root / image, pixels)
            save_mask(root / mask, truth, value=index + 1)
            rows.append((category, "test", "anomaly", image.as_posix(), mask.as_posix()))
    write_visa_table(root, rows)
    return root


def write_visa_table(root: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write split_csv/1cls.csv."""
    table = root / "split_csv" / "1cls.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows([("object", "split", "label", "image", "mask"), *rows])


def make_folder(root: Path, count: int = 6) -> Path:
    """A plain folder of good images, one of them a level deeper."""
    rng = np.random.default_rng(3)
    make_good(root, count - 1, rng)
    make_good(root / "second shift", 1, rng)
    return root


def make_sorted_folder(root: Path, masks: bool = False) -> Path:
    """good/ (ten images) beside dent/ (two), with ground_truth/dent where ``masks``."""
    rng = np.random.default_rng(4)
    make_good(root / "good", 10, rng)
    for index in range(2):
        image, mask = picture(rng, defect=True)
        save(root / "dent" / f"{index:03}.png", image)
        if masks:
            save_mask(root / "ground_truth" / "dent" / f"{index:03}.png", mask)
    return root


def make_elpv(root: Path, cells: int = 40) -> Path:
    """What elpv-dataset keeps in its data folder: images/cellNNNN.png (grey) and labels.csv."""
    rng = np.random.default_rng(5)
    lines = []
    for index in range(cells):
        probability = ("0.0", "0.0", "0.3333333333333333", "1.0")[index % 4]
        kind = "mono" if index < cells // 2 else "poly"
        name = f"images/cell{index + 1:04}.png"
        save(root / name, picture(rng, defect=probability == "1.0")[0][..., 0])
        lines.append(f"{name}  {probability}  {kind}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root
