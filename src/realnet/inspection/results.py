"""Inspection of many files: overlays, ``results.csv`` and ``results.json``."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from realnet.atomic import write_text
from realnet.data import read_image
from realnet.errors import UserError
from realnet.inspection.judging import Judge
from realnet.inspection.overlay import side_by_side
from realnet.inspection.regions import Region, find_regions
from realnet.synthesis import write_image


@dataclass(frozen=True)
class Row:
    """One image's line in the results; ``error`` says why there is no verdict.

    ``level`` is the score on the scale on which the threshold is 0.5. ``regions`` is a list of regions in JSON, their
    number in CSV.
    """

    image: str
    verdict: str
    score: float | None
    threshold: float
    anomalous_area: float | None
    overlay: str
    error: str = ""
    level: float | None = None
    regions: tuple[Region, ...] = ()


def inspect_files(
    inspector: Judge,
    files: Sequence[Path],
    output: Path,
    progress: Callable[[int], None] = lambda done: None,
    batch_size: int = 8,
) -> list[Row]:
    """Judge ``files`` and write overlays and tables into ``output``; an unreadable file never stops the rest.

    Args:
        inspector: a loaded run or export.
        files: images, any mode and size.
        output: folder; ``overlays/NAME.png``, ``results.csv`` and ``results.json`` appear in it.
        progress: told how many files are done.
        batch_size: images judged at a time.

    Returns:
        One row a file, in order. ``anomalous_area`` is the share of the image that is outlined, 0..1.

    Raises:
        UserError: where ``output`` cannot be written.
    """
    names = overlay_names(files)
    rows: list[Row] = []
    for start in range(0, len(files), batch_size):
        readable: list[tuple[int, np.ndarray]] = []
        unreadable: dict[int, str] = {}
        numbers = range(start, min(start + batch_size, len(files)))
        for number in numbers:
            try:
                readable.append((number, read_image(files[number])))
            except UserError as error:
                unreadable[number] = str(error)
        judged = dict(
            zip((n for n, _ in readable), inspector.inspect_many((i for _, i in readable), batch_size), strict=True)
        )
        for number in numbers:
            file = str(files[number])
            if number in unreadable:
                rows.append(Row(file, "unreadable", None, inspector.threshold, None, "", unreadable[number]))
                continue
            result = judged[number]
            overlay = f"overlays/{names[number]}"
            write_image(output / overlay, side_by_side(result.image, result.anomaly_map, result.mask))
            verdict = "anomalous" if result.is_anomalous else "good"
            mask = result.mask
            rows.append(
                Row(
                    image=file,
                    verdict=verdict,
                    score=result.score,
                    threshold=inspector.threshold,
                    anomalous_area=float(mask.mean()),
                    overlay=overlay,
                    level=result.level,
                    regions=find_regions(result.anomaly_map, mask),
                )
            )
        progress(numbers.stop)
    write_text(output / "results.csv", _csv(rows))
    write_text(output / "results.json", json.dumps([asdict(row) for row in rows], indent=2))
    return rows


def overlay_names(files: Sequence[Path]) -> list[str]:
    """A file name for each overlay: the image's stem, with its folders where two would share one."""
    names, taken = [], set()
    for file in files:
        name, parts = file.stem, list(file.parent.parts)
        while name.lower() in taken and parts:
            name = parts.pop().strip("/\\:") + "-" + name
        number = 2
        while name.lower() in taken:
            name, number = f"{file.stem}-{number}", number + 1
        taken.add(name.lower())
        names.append(f"{name}.png")
    return names


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=[field.name for field in fields(Row)])
    writer.writeheader()
    for row in rows:
        cells = {**asdict(row), "regions": len(row.regions)}
        writer.writerow({name: "" if value is None else value for name, value in cells.items()})
    return text.getvalue()
