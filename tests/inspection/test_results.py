"""Many images: overlays and tables, whatever some of the images are and whatever happens meanwhile."""

import copy
import csv
import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from realnet import load
from realnet.data import read_image
from realnet.data.images import image_hashes
from realnet.errors import UserError
from realnet.inspection import result_folder as results
from realnet.inspection.inspector import Inspector
from realnet.inspection.items import Item, file_item
from realnet.inspection.journal import read_rows
from realnet.inspection.result_folder import InspectionRequest, inspect_items
from realnet.inspection.rows import Row, row_of
from realnet.inspection.sources import IsKnown
from realnet.inspection.trace import Origin
from realnet.run_folder import Run
from tests.data.layouts import picture, save
from tests.inspection.judged import inspect_files
from tests.traces import untraced

UNREADABLE = (1, 2, 5)


@pytest.fixture(scope="module")
def inspector(trained: Path) -> Inspector:
    return load(trained)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Eight files of different sizes; three in their midst are no pictures."""
    rng = np.random.default_rng(4)
    made = []
    for number in range(8):
        path = tmp_path / "in" / f"{number}.png"
        image = picture(rng, 40 + 10 * number, defect=number % 2 == 1)[0]
        save(path, image)
        if number in UNREADABLE:
            path.write_bytes(path.read_bytes()[:60])
        made.append(path)
    return made


def table(output: Path) -> list[Row]:
    return [row_of(fields) for fields in json.loads((output / "results.json").read_text())]


def tables(output: Path) -> list[bytes]:
    """Without ids and times, which no two judgements share."""
    return [untraced((output / f"results.{form}").read_bytes()) for form in ("csv", "json")]


def assert_same_up_to_the_batch(output: Path, other: Path) -> None:
    """The same rows; the last digits of a score and a peak depend on how many images were judged together."""
    for ours, theirs in zip(table(output), table(other), strict=True):
        for field in (field for field in dataclasses.fields(ours) if field.name not in ("id", "time")):
            a, b = getattr(ours, field.name), getattr(theirs, field.name)
            if field.name == "regions":
                assert [one.peak for one in a] == pytest.approx([one.peak for one in b], abs=1e-5)
                a, b = ([dataclasses.replace(one, peak=0.0) for one in regions] for regions in (a, b))
            assert a == (pytest.approx(b, abs=1e-5) if isinstance(b, float) else b), field.name


class Counting(Inspector):
    """Counts the images it is given."""

    def __init__(self, other: Inspector) -> None:
        super().__init__(other.model, other.config, other.threshold, other.pixel_threshold, other.minimum_area)
        self.origin = other.origin
        self.seen = 0

    def measure(self, images: Any) -> Any:
        self.seen += len(images)
        return super().measure(images)


def run(inspector: Inspector, files: list[Path], output: Path, **wanted: Any) -> results.Summary:
    def items(is_known: IsKnown, stop: object) -> Iterator[Item]:
        yield from map(file_item, files)

    return inspect_items(inspector, items, output, InspectionRequest(**wanted))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 20])
def test_unreadable_files_never_shift_their_neighbours(
    inspector: Inspector, files: list[Path], tmp_path: Path, batch_size: int
) -> None:
    done: list[int] = []
    summary = inspect_files(inspector, files, tmp_path / "out", done.append, batch_size)
    rows = table(tmp_path / "out")
    assert rows == list(read_rows(tmp_path / "out"))
    assert (summary.images, summary.unreadable, summary.earlier) == (8, 3, 0)
    assert [row.image for row in rows] == [str(file) for file in files]
    assert done[-1] == len(files)
    assert done == sorted(done)
    for number, (file, row) in enumerate(zip(files, rows, strict=True)):
        if number in UNREADABLE:
            assert (row.verdict, row.score, row.overlay) == ("unreadable", None, "")
            assert file.name in row.error
            continue
        alone = inspector.inspect(file)
        assert row.error == ""
        assert row.score == pytest.approx(alone.score, abs=1e-5)
        assert row.verdict == ("anomalous" if alone.is_anomalous else "good")
        assert row.anomalous_area == pytest.approx(alone.mask.mean(), abs=0.01)
        drawn = read_image(tmp_path / "out" / row.overlay)
        image = read_image(file)
        assert drawn.shape[0] == image.shape[0]
        assert np.array_equal(drawn[:, : image.shape[1]], image), "the overlay shows its own image"


def test_tables_say_the_same(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    scores = sorted(inspector.inspect(file).score for n, file in enumerate(files) if n not in UNREADABLE)
    judge = Inspector(inspector.model, inspector.config, (scores[1] + scores[2]) / 2, 0.0)
    summary = inspect_files(judge, iter(files), tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert written == {"overlays", "results.csv", "results.json", "results.jsonl", "results.html", "inspect.json"}
    rows = table(tmp_path / "out")
    text = (tmp_path / "out" / "results.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2)
    assert (summary.images, summary.anomalous, len(summary.scores)) == (8, 3, 5)
    with (tmp_path / "out" / "results.csv").open(newline="") as stream:
        from_csv = list(csv.DictReader(stream))
    for line, row in zip(from_csv, rows, strict=True):
        assert (line["image"], line["verdict"], line["error"]) == (row.image, row.verdict, row.error)
        assert line["score"] == ("" if row.score is None else str(row.score))
        assert float(line["threshold"]) == row.threshold == judge.threshold
        assert int(line["regions"]) == len(row.regions)
        assert row.level is None or (row.level > 0.5) == (row.verdict == "anomalous")
    verdicts = [row.verdict for row in rows]
    assert verdicts.count("good") == 2
    assert verdicts.count("anomalous") == 3
    assert all(row.anomalous_area == 0 for row in rows if row.verdict == "good")
    overlays = {row.overlay for row in rows if row.overlay}
    assert {f"overlays/{path.name}" for path in (tmp_path / "out" / "overlays").iterdir()} == overlays


def test_only_unreadable_files(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    inspect_files(inspector, [files[n] for n in UNREADABLE], tmp_path / "out")
    rows = table(tmp_path / "out")
    assert {row.verdict for row in rows} == {"unreadable"}
    assert not (tmp_path / "out" / "overlays").exists()


def test_files_of_one_name_do_not_overwrite_each_other(inspector: Inspector, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    places = [tmp_path / place for place in ("left/a.png", "right/a.png", "right/a.bmp", "right/A.tiff")]
    for place in places:
        save(place, picture(rng)[0])
    inspect_files(inspector, places, tmp_path / "out")
    rows = table(tmp_path / "out")
    assert len({row.overlay.lower() for row in rows}) == 4
    for row, place in zip(rows, places, strict=True):
        with Image.open(tmp_path / "out" / row.overlay) as drawn:
            assert np.array_equal(np.asarray(drawn)[:, :64], read_image(place))


@pytest.mark.parametrize("cut", [0, 1, 3, 6, 8])
def test_a_resumed_inspection_gives_the_same_bytes(
    inspector: Inspector, files: list[Path], tmp_path: Path, cut: int
) -> None:
    """The journal cut after some lines and in the midst of the next."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    run(inspector, files, whole, batch_size=3, masks=True)
    run(inspector, files, out, batch_size=3, masks=True)
    journal = out / "results.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:cut]) + (lines[cut][:50] if cut < 8 else b""))
    for form in ("csv", "json"):
        (out / f"results.{form}").unlink()
    counting = Counting(inspector)
    summary = run(counting, files, out, batch_size=3, masks=True, earlier="resume")
    assert tables(out) == tables(whole)
    assert (summary.images, summary.earlier) == (8, cut)
    assert journal.read_bytes().startswith(b"".join(lines[:cut]))
    assert untraced(journal.read_bytes()) == untraced(b"".join(lines))
    # Blocks that are begun are judged whole: 0, - -; 3, 4, -; 6, 7.
    assert counting.seen == {0: 5, 1: 5, 3: 4, 6: 2, 8: 0}[cut]


def test_what_changed_is_judged_again_and_keeps_its_place(
    inspector: Inspector, files: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(inspector, files, out)
    save(files[1], picture(np.random.default_rng(1), 50)[0])
    os.utime(files[1], ns=(1, 1))
    summary = run(inspector, files, out, earlier="resume")
    assert (summary.images, summary.unreadable, summary.earlier) == (8, 2, 7)
    run(inspector, files, tmp_path / "anew")
    assert_same_up_to_the_batch(out, tmp_path / "anew")
    run(inspector, files[:2], out, earlier="resume")
    assert [row.image for row in table(out)] == [str(file) for file in [*files[2:], *files[:2]]], "nothing is lost"
    before = tables(out)
    with pytest.raises(UserError, match=r"holds the results of an inspection .*--resume.*--overwrite"):
        run(inspector, files[:2], out)
    assert tables(out) == before
    run(inspector, files[:2], out, earlier="overwrite")
    assert len(table(out)) == len((out / "results.jsonl").read_bytes().splitlines()) == 2


def test_only_the_same_inspection_is_resumed(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(inspector, files[:1], out)
    stranger = Inspector(inspector.model, inspector.config, inspector.threshold, inspector.pixel_threshold)
    stranger.origin = Origin("b")
    other = Inspector(inspector.model, inspector.config, 0.25, inspector.pixel_threshold, 7)
    other.origin = inspector.origin
    for judge, wanted, message in (
        (stranger, {}, r"begun with another model: .* start anew with --overwrite"),
        (other, {}, r"another threshold .*, not 0.25, another minimum area 0, not 7"),
        (inspector, {"masks": True}, r"another masks False, not True"),
    ):
        with pytest.raises(UserError, match=message):
            run(judge, files, out, earlier="resume", **wanted)
    (out / "inspect.json").write_text("{")
    with pytest.raises(UserError, match=r"inspect.json is missing or damaged: start anew"):
        run(inspector, files, out, earlier="resume")
    run(inspector, files[:1], tmp_path / "damaged")
    with (tmp_path / "damaged" / "results.jsonl").open("ab") as stream:
        stream.write(b'{"image": 3}\n')
    with pytest.raises(UserError, match=r"results.jsonl is damaged in line 2: start anew"):
        run(inspector, files, tmp_path / "damaged", earlier="resume")


def test_one_process_at_a_time(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    def items(is_known: IsKnown, stop: object) -> Iterator[Item]:
        with pytest.raises(UserError, match=r"Another `realnet inspect` is writing into"):
            run(inspector, files, tmp_path / "out")
        yield file_item(files[0])

    assert inspect_items(inspector, items, tmp_path / "out", InspectionRequest()).images == 1


def test_masks_and_no_overlays(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    judge = Inspector(inspector.model, inspector.config, 0.0, 0.01)
    run(judge, files, tmp_path / "out", overlays=False, masks=True, formats=("csv",))
    assert not (tmp_path / "out" / "overlays").exists() and not (tmp_path / "out" / "results.json").exists()
    rows = [row for row in read_rows(tmp_path / "out") if not row.error]
    for row in rows:
        with Image.open(tmp_path / "out" / row.mask) as mask, Image.open(row.image) as image:
            assert (mask.mode, mask.size) == ("L", image.size)
            values = np.asarray(mask)
        assert set(np.unique(values)) <= {0, 255}
        assert (values > 0).mean() == pytest.approx(row.anomalous_area)
    assert any(row.anomalous_area for row in rows)


def test_an_error_of_the_source_comes_through(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    def items(is_known: IsKnown, stop: object) -> Iterator[Item]:
        yield file_item(files[0], live=True)
        raise UserError("The source is gone.")

    with pytest.raises(UserError, match="The source is gone"):
        inspect_items(inspector, items, tmp_path / "out", InspectionRequest())
    assert len(list(read_rows(tmp_path / "out"))) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB, where one can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_loses_nothing(inspector: Inspector, files: list[Path], tmp_path: Path, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    out = small_disk / "out"
    run(inspector, files, tmp_path / "whole")
    for left in (40, 8):
        run(inspector, files[:1], out, earlier="overwrite")
        ballast.write_bytes(bytes(max(0, os.statvfs(small_disk).f_bavail * 4096 - left * 1024)))
        with pytest.raises(UserError, match=r"Cannot write .*No space left on device.* continue with .*--resume"):
            run(inspector, files, out, earlier="resume")
        assert not list(out.rglob("*.part*"))
        for path in (out / "overlays").iterdir():
            read_image(path)
        text = (out / "results.jsonl").read_bytes()
        assert text.endswith(b"\n") or not text
        ballast.unlink()
        run(inspector, files, out, earlier="resume")
        assert_same_up_to_the_batch(out, tmp_path / "whole")


def test_a_journal_line_that_does_not_fit(
    inspector: Inspector, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system takes the first bytes of the third line only."""
    real, count = results.Journal.append, 0

    class Full:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def write(self, data: bytes) -> int:
            return int(self.stream.write(data[:10]))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.stream, name)

    def append(journal: Any, *given: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:
            journal._stream = Full(journal._stream)
        real(journal, *given)

    monkeypatch.setattr(results.Journal, "append", append)
    with pytest.raises(UserError, match=r"results.jsonl: No space left on device.*--resume"):
        run(inspector, files, tmp_path / "out")
    assert len(list(read_rows(tmp_path / "out"))) == 2
    assert (tmp_path / "out" / "results.jsonl").read_bytes().endswith(b"\n")
    monkeypatch.undo()
    run(inspector, files, tmp_path / "out", earlier="resume")
    run(inspector, files, tmp_path / "whole")
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")


def test_an_output_that_cannot_be_written(inspector: Inspector, files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"Cannot write .*folder that can be written"):
        inspect_files(inspector, files[:1], tmp_path / "file" / "out")


def test_images_that_were_trained_on_are_counted_and_are_no_drift(
    inspector: Inspector, files: list[Path], tmp_path: Path
) -> None:
    readable = [file for number, file in enumerate(files) if number not in UNREADABLE]
    known = frozenset(image_hashes(readable[:3], None))
    judge = copy.copy(inspector)
    judge.trained_on, judge.sizes = known, ()
    summary = run(judge, readable, tmp_path / "out")
    assert (summary.images, summary.seen, len(summary.scores)) == (5, 3, 2)
    (said,) = summary.notes
    assert said.startswith("The run was trained on 3 of these 5 images")
    assert run(judge, readable[3:], tmp_path / "new").notes == []


def test_images_of_other_sizes_than_the_run_was_trained_on_are_counted(
    inspector: Inspector, files: list[Path], tmp_path: Path, trained: Path
) -> None:
    readable = [file for number, file in enumerate(files) if number not in UNREADABLE]
    assert Run(trained).sizes == ((64, 64),)
    judge = copy.copy(inspector)
    judge.sizes = ((40, 40), (70, 70))
    (said,) = run(judge, readable, tmp_path / "out").notes
    assert said.startswith("3 images have other sizes than the images that the run was trained on")
    assert run(judge, readable[:1], tmp_path / "same").notes == []
    judge.sizes = ()
    assert run(judge, readable, tmp_path / "unknown").notes == []
