"""Rows as ``results.csv``, ``results.json`` and ``results.parquet``, one after the other or a batch at a time."""

import csv
import itertools
import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any

from realnet.atomic import atomic_path
from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.inspection.rows import Row

FORMATS = ("csv", "json", "parquet")
_PARQUET_ROWS = 1000


def table_name(form: str) -> str:
    """The file of a format in the output folder."""
    return f"results.{form}"


def check_formats(forms: Sequence[str]) -> None:
    """Raise UserError for a format that there is not, or that lacks its package."""
    for form in forms:
        if form not in FORMATS:
            raise UserError(f"There is no format {form!r}: choose csv, json or parquet.")
    if "parquet" in forms:
        _pyarrow()


def write_table(path: Path, form: str, rows: Iterable[Row]) -> None:
    """Write ``rows``, which memory never holds, to ``path``; UserError for a full disk, for Parquet without pyarrow."""
    write = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[form]
    with atomic_path(path) as temporary:
        write(temporary, rows)


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    # A file's name that is no Unicode is written as the bytes it has.
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=[field.name for field in fields(Row)])
        writer.writeheader()
        for row in rows:
            writer.writerow({**row.as_dict(), "regions": len(row.regions)})


def _write_json(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        before = "[\n"
        for row in rows:
            stream.write(before + textwrap.indent(json.dumps(row.as_dict(), indent=2), "  "))
            before = ",\n"
        stream.write("[]" if before == "[\n" else "\n]")


def to_parquet(rows: Iterable[Row]) -> bytes:
    """``rows`` as the content of a Parquet file, the columns as in ``results.parquet``."""
    stream = BytesIO()
    _write_parquet(stream, rows)
    return stream.getvalue()


def names_to_parquet(names: Sequence[str]) -> bytes:
    """The column ``image`` alone."""
    pyarrow = _pyarrow()
    stream = BytesIO()
    printable = [_printable({"image": name})["image"] for name in names]
    pyarrow.parquet.write_table(pyarrow.table({"image": pyarrow.array(printable, pyarrow.string())}), stream)
    return stream.getvalue()


def from_parquet(content: bytes, columns: Sequence[str]) -> list[list[Any]]:
    """The values of ``columns`` in a Parquet file's content; UserError where it is damaged or lacks them."""
    pyarrow = _pyarrow()
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content), columns=list(columns))
        return [table[name].to_pylist() for name in columns]
    except (pyarrow.ArrowException, KeyError) as error:
        raise UserError("A Parquet file of these results is damaged: start anew in another --output.") from error


def _write_parquet(path: Path | BytesIO, rows: Iterable[Row]) -> None:
    pyarrow = _pyarrow()
    schema = _schema(pyarrow)
    remaining = iter(rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while batch := [_printable(row.as_dict()) for row in itertools.islice(remaining, _PARQUET_ROWS)]:
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))


def _printable(cells: dict[str, Any]) -> dict[str, Any]:
    """Parquet's text is Unicode throughout."""
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in cells.items()
    }


def _schema(pyarrow: Any) -> Any:
    text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
    region = {
        "area": whole,
        "share": number,
        "centroid": pyarrow.list_(number, 2),
        "box": pyarrow.list_(whole, 4),
        "peak": number,
        "peak_at": pyarrow.list_(whole, 2),
    }
    numbers = ("score", "threshold", "anomalous_area", "level", "moved_x", "moved_y", "turned", "match")
    kinds = {
        **dict.fromkeys(numbers, number),
        "calibration": whole,
        "regions": pyarrow.list_(pyarrow.struct(list(region.items()))),
    }
    return pyarrow.schema([(field.name, kinds.get(field.name, text)) for field in fields(Row)])


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as error:
        raise UserError(f"Parquet needs pyarrow, which is not installed: {install_hint('parquet')}.") from error
    return pyarrow
