"""Tables of rows, without holding them."""

import json
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from realnet.errors import UserError
from realnet.inspection.regions import Region
from realnet.inspection.rows import Row, line_of, row_of
from realnet.inspection.summary_page import Summary, write_page
from realnet.inspection.tables import check_formats, write_table

REGION = Region(area=4, share=0.25, centroid=(1.5, 2.0), box=(1, 2, 2, 2), peak=0.75, peak_at=(1, 2))


def rows(count: int) -> Iterator[Row]:
    for number in range(count):
        if number % 3 == 2:
            yield Row(f"é\udcff{number}.png", "unreadable", None, None, 0.5, None, error='torn, "half"\nof it')
        else:
            yield Row(f"{number}.png", "anomalous", 1 / (number + 3), 0.7, 0.5, 0.1, (REGION,) * 2, "overlays/a.png")


@pytest.mark.parametrize("count", [0, 1, 7])
def test_json_is_that_of_a_list(tmp_path: Path, count: int) -> None:
    write_table(tmp_path / "results.json", "json", rows(count))
    text = (tmp_path / "results.json").read_text()
    assert text == json.dumps([row.as_dict() for row in rows(count)], indent=2)
    assert [row_of(fields) for fields in json.loads(text)] == list(rows(count))
    assert [row_of(json.loads(line_of(row.as_dict()))) for row in rows(count)] == list(rows(count))


def test_parquet_says_the_same(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(tmp_path / "results.parquet", "parquet", rows(2050))
    assert parquet.ParquetFile(tmp_path / "results.parquet").num_row_groups == 3
    read = parquet.read_table(tmp_path / "results.parquet").to_pylist()
    for found, row in zip(read, rows(2050), strict=True):
        expected = json.loads(json.dumps(row.as_dict()))
        expected["image"] = row.image.replace("\udcff", "?")
        assert found == expected
    write_table(tmp_path / "empty.parquet", "parquet", rows(0))
    assert parquet.read_table(tmp_path / "empty.parquet").num_rows == 0


def test_the_page_names_and_shows_every_image(tmp_path: Path) -> None:
    names = ["a b.png", "é\udcff.png"]
    shown = [Row(name, "anomalous", 0.7, 0.7, 0.5, 0.1, (REGION,), f"overlays/{name}") for name in names]
    summary = Summary(0.5)
    for row in shown:
        summary.add(row)
    write_page(tmp_path, summary)
    page = (tmp_path / "results.html").read_text(encoding="utf-8")
    assert "a b.png" in page
    assert r"é\udcff.png" in page
    assert 'src="overlays/a%20b.png"' in page
    assert 'src="overlays/%C3%A9%FF.png"' in page, "the bytes of the name, as browsers open it"


@pytest.mark.parametrize("form", ["csv", "json"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, form: str) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        write_table(tmp_path / "results", form, rows(count))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    few, many = (min(peak(count) for _ in range(3)) for count in (100, 800))  # other tests' threads allocate as well
    assert many < few + 50_000


def test_what_cannot_be_written_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no format 'xls': choose csv, json or parquet"):
        check_formats(["csv", "xls"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    check_formats(["csv", "json"])
    with pytest.raises(UserError, match=r"pip install .*\[parquet\]"):
        check_formats(["parquet"])
