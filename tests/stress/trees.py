"""Data sets as people lay them out, from a seed, with what has to be found in them counted while they are made."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

GOOD = ("good", "OK", "Normal", "pass", "i.O.", "gut", "defect-free", "良品", "MT_Free")
BAD = ("NG", "nok", "bad", "defective", "n.i.O.", "anomaly", "scratch", "Dent_2", "not_ok", "不良")
DAYS = ("", "day2", "cam_left", "2024-05-01", "batch 7/shift1", "images")
SUFFIXES = (".png", ".bmp", ".JPG", ".tif", ".webp")


@dataclass
class Tree:
    """A data set that was made: its folder, how many files lie in it, and what a person would say is there.

    ``left_out`` counts by a word of the reason.
    """

    root: Path
    good: int = 0
    defective: int = 0
    masked: int = 0
    files: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def make_tree(root: Path, seed: int, count: int) -> Tree:
    """A folder of a line with about ``count`` files: good ones, defects with masks, and what else gathers there."""
    rng = np.random.default_rng(seed)
    tree = Tree(root)
    good, days = str(rng.choice(GOOD)), [str(day) for day in rng.permutation(DAYS)[:3]]
    bad = [str(name) for name in rng.permutation(BAD)[:2]]
    masks_beside = bool(rng.integers(2))
    beside = list(_BESIDE.items())
    while tree.files < count:
        number = tree.files
        if number % 10 < 6:
            _photo(root / good / str(rng.choice(days)) / f"{number:05}{rng.choice(SUFFIXES)}", rng)
            tree.good, tree.files = tree.good + 1, tree.files + 1
        elif number % 10 < 9:
            kind = str(rng.choice(bad))
            photo = _photo(root / kind / f"{number:05}.png", rng)
            mask = Image.new("L", (12, 12))
            mask.paste(255, (3, 3, 6, 6))
            place = photo.with_name(f"{photo.stem}_mask.png") if masks_beside else root / "masks" / kind / photo.name
            place.parent.mkdir(parents=True, exist_ok=True)
            mask.save(place)
            tree.defective, tree.masked, tree.files = tree.defective + 1, tree.masked + 1, tree.files + 2
        else:
            word, make = beside[int(rng.integers(len(beside)))]
            make(root / good, number, rng)
            tree.left_out[word] += 1
            tree.files += 1
    return tree


def _photo(path: Path, rng: np.random.Generator) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    return path


def _thumbnail(folder: Path, number: int, rng: np.random.Generator) -> None:
    _photo(folder / "@eaDir" / f"{number:05}.png", rng)


def _result(folder: Path, number: int, rng: np.random.Generator) -> None:
    _photo(folder / "results" / "overlays" / f"{number:05}.png", rng)
    (folder / "results" / "results.jsonl").touch()


def _export(folder: Path, number: int, rng: np.random.Generator) -> None:
    _photo(folder / "export" / f"{number:05}.png", rng)
    (folder / "export" / "inspector.json").touch()


def _sheet(folder: Path, number: int, rng: np.random.Generator) -> None:
    from realnet.synthesis import write_figure

    write_figure(folder / f"sheet{number:05}.png", rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))


def _raw(folder: Path, number: int, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:05}.CR2").write_bytes(rng.bytes(20))


def _nameless(folder: Path, number: int, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    photo = _photo(folder / f"{number:05}.jpg", rng)
    photo.rename(photo.with_name(f"{number:05}{rng.choice(['', '.part', '.jpg_'])}"))


def _nowhere(folder: Path, number: int, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:05}.png").symlink_to(folder / "gone.png")


_BESIDE: dict[str, Callable[[Path, int, np.random.Generator], None]] = {
    "folder of the system": _thumbnail,
    "results of realnet inspect": _result,
    "RealNet export": _export,
    "own pictures": _sheet,
    "CR2 files": _raw,
    "lead nowhere": _nowhere,
    "names do not say so": _nameless,
}
