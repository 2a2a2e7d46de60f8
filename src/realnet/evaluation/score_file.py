"""Image scores of somebody else's method, from a CSV file."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from realnet.data import Sample
from realnet.data.images import IMAGE_SUFFIXES
from realnet.errors import UserError, raise_problems

_TEST = "test"


def read_scores(path: Path, samples: Sequence[Sample]) -> np.ndarray:
    """The score of each of ``samples``: float64 ``[N]``, of a CSV file with the columns ``image`` and ``score``.

    Such as `realnet inspect` writes. An image is named by its path, or by ``CATEGORY/test/DEFECT/NAME`` from any part
    on that tells it from the others; lines of other images are skipped.

    Raises:
        UserError: for an unreadable file or other columns, and a sentence for each image without a score or with
            two, each name that fits several images, each score that is no finite number.
    """
    by_file = {sample.image.resolve(): index for index, sample in enumerate(samples)}
    by_name: dict[tuple[str, ...], set[int]] = {}
    for index, sample in enumerate(samples):
        for names in place_names(sample):
            for start in range(len(names)):
                by_name.setdefault(names[start:], set()).add(index)
    problems: list[str] = []
    scores: dict[int, float] = {}
    for line, (image, score) in _read(path):
        file = None if "\0" in image else Path(image).resolve()
        fitting = {by_file[file]} if file in by_file else by_name.get(_named(image), set())
        if len(fitting) > 1:
            problems.append(f"{path}, line {line}: {image} may be several images; write CATEGORY/test/DEFECT/NAME.")
        for index in fitting if len(fitting) == 1 else ():
            value = _number(score)
            if value is None:
                problems.append(f"{path}, line {line}: the score {score!r} of {image} is no finite number.")
            elif index in scores:
                problems.append(f"{path}, line {line}: {image} has a score already; keep one.")
            scores.setdefault(index, value or 0.0)
    if not problems:
        problems = [
            f"{path} has no score of {sample.image}; add a line."
            for index, sample in enumerate(samples)
            if index not in scores
        ]
    raise_problems(problems)
    return np.array([scores[index] for index in range(len(samples))])


def place_names(sample: Sample) -> list[tuple[str, str, str]]:
    """What a test image's (category, kind, name) may be called, in lower case.

    The category as the data set or the folder of its images has it, and the kind likewise: MVTec's evaluation calls
    good images ``good`` where BTAD's folder says ``ok``.
    """
    parts = sample.image.absolute().parts
    categories = [sample.category] + ([parts[-4]] if len(parts) > 3 and parts[-3] == _TEST else [])
    kinds = [sample.defect, parts[-2]]
    names = [(c.casefold(), k.casefold(), sample.image.stem.casefold()) for c in categories for k in kinds]
    return list(dict.fromkeys(names))


def _named(image: str) -> tuple[str, ...]:
    """The last parts of a path, without ``test`` and the suffix, in lower case."""
    parts = [part for part in image.replace("\\", "/").split("/") if part not in ("", ".")]
    if len(parts) > 2 and parts[-3] == _TEST:
        del parts[-3]
    if not parts:
        return ()
    suffix = Path(parts[-1]).suffix
    known = suffix.lower() in IMAGE_SUFFIXES or suffix.lower() in (".npy", ".npz")
    parts[-1] = parts[-1].removesuffix(suffix) if known else parts[-1]
    return tuple(part.casefold() for part in parts[-3:])


def _read(path: Path) -> list[tuple[int, tuple[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if not {"image", "score"} <= set(reader.fieldnames or ()):
                raise UserError(f"{path} needs the columns image and score in its first line.")
            return [(reader.line_num, ((row["image"] or "").strip(), (row["score"] or "").strip())) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a CSV file; check --scores.") from error


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
