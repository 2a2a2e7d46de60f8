"""What is written stays as it was written."""

import multiprocessing
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from realnet import load
from realnet.data import decode_image
from realnet.data.images import image_hash
from realnet.errors import UserError
from realnet.history import Query, Retention, Store, find, open_history, remove_old, search
from realnet.history.pictures import for_browsers
from tests.data.layouts import picture
from tests.history.conftest import Add, made
from tests.history.writing import write


def test_a_result_of_python_is_found_with_all_that_makes_it_traceable(store: Store, trained: Path) -> None:
    inspector = load(trained)
    image = picture(np.random.default_rng(1), defect=True)[0]
    found = inspector.inspect(image, threshold=0.0001)
    calibrated = inspector.inspect(image)
    for result in (found, calibrated):
        store.record(result, "part 4711", "widget")
    second, first = search(store, Query(image="PART 47"))
    assert (first.id, first.score, first.threshold) == (found.trace.id, found.score, 0.0001)
    assert (first.calibration, second.calibration) == (None, 1), "a threshold named by hand is no calibration's"
    assert first.image_hash == image_hash(image) == calibrated.trace.image_hash
    assert first.model_digest == inspector.origin.model_digest and len(first.model_digest) == 64
    assert first.software.startswith("realnet ") and first.time.endswith("Z")
    assert (first.width, first.height, len(first.regions)) == (64, 64, len(found.regions))
    assert first.id != second.id


def test_rows_are_only_ever_added(store: Store, add: Add) -> None:
    row = add(1, 0.3)
    add(1, 0.9)
    assert [entry.score for entry in search(store, Query())] == [0.3], "an id counts once, the first time"
    store.add_feedback(row.id, "good", "Ann")
    for statement in (
        "UPDATE results SET verdict = 'anomalous'",
        "DELETE FROM results",
        "UPDATE feedback SET label = 'defective'",
        "DELETE FROM feedback",
    ):
        with pytest.raises(sqlite3.IntegrityError, match=r"never|only"):
            store.ask(statement)


def test_what_is_kept_of_images(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (500, 640, 3), dtype=np.uint8)
    shapes = {}
    for keep in ("nothing", "thumbnails", "originals"):
        opened = open_history(tmp_path / f"{keep}.sqlite", keep)  # type: ignore[arg-type]
        from realnet.history.recording import Recording

        Recording(opened, "bottle", "test", Retention()).add(made(1, 0.2), image)
        content = opened.picture(made(1, 0.2).id)
        shapes[keep] = None if content is None else decode_image(content, "kept")
        assert find(opened, made(1, 0.2).id).width == 640
    assert shapes["nothing"] is None
    assert shapes["thumbnails"] is not None and shapes["thumbnails"].shape == (250, 320, 3)
    assert np.array_equal(shapes["originals"], image)
    with pytest.raises(UserError, match="not 'all'"):
        open_history(tmp_path / "x.sqlite", "all")  # type: ignore[arg-type]


def test_formats_that_browsers_do_not_show_are_converted(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    shown, kind = for_browsers((tmp_path / "a.tif").read_bytes())
    assert kind == "image/png" and np.array_equal(decode_image(shown, "a"), pixels)


def test_a_journal_s_missing_rows_are_caught_up_with_once(store: Store, add: Add) -> None:
    add(1, 0.3)
    rows = [made(number, 0.3) for number in range(1, 4)]
    for _ in range(2):
        store.catch_up(rows, "bottle", "test")
        assert len(search(store, Query())) == 3


def test_several_processes_share_a_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(tmp_path / "r.sqlite", start)) for start in (0, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    assert len(search(Store(tmp_path / "r.sqlite", make=False), Query(limit=1000))) == 80


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, and long enough to be looked at" * 50)
    with pytest.raises(UserError, match="cannot be used"):
        open_history(tmp_path / "text")
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    with pytest.raises(UserError, match="no results store"):
        open_history(tmp_path / "other.sqlite")
    with pytest.raises(UserError, match="There is no results store"):
        Store(tmp_path / "absent.sqlite", make=False)
    with pytest.raises(UserError, match="cannot be used"):
        open_history(tmp_path / "no" / "folder.sqlite")


def test_a_full_disk_is_a_sentence_and_what_was_written_stays(store: Store, add: Add) -> None:
    add(1, 0.3)
    (pages,) = store.ask("PRAGMA page_count")
    store.ask(f"PRAGMA max_page_count = {pages[0]}")
    with pytest.raises(UserError, match=r"full.*free some space"):
        for number in range(2, 200):
            add(number, 0.3, image="x" * 1000)
    kept = len(search(store, Query(limit=1000)))
    store.ask("PRAGMA max_page_count = 100000")
    add(1000, 0.3)
    assert len(search(store, Query(limit=1000))) == kept + 1


def test_retention_by_age_and_size_keeps_what_people_confirmed(store: Store, add: Add) -> None:
    import datetime

    old = [add(number, 0.3, f"2026-01-01T00:00:00.{number:03d}Z") for number in range(10)]
    store.add_feedback(old[3].id, "good", "Ann")
    for number in range(10, 20):
        add(number, 0.3, "2026-03-01T00:00:00.000Z")
    now = datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC)
    assert remove_old(store, Retention(days=30), now) == 9
    assert remove_old(store, Retention(days=30), now) == 0
    assert [entry.number for entry in search(store, Query())][-2:] == [11, 4], "the confirmed one stays"
    assert store.picture(old[0].id) is None and store.picture(old[3].id) is not None
    store.catch_up(old, "bottle", "test")
    assert len(search(store, Query())) == 11, "and a journal does not bring them back"
    for number in range(100, 700):
        add(number, 0.3, f"2026-03-01T00:00:{number % 60:02d}.000Z")
    before = store.path.stat().st_size
    assert remove_old(store, Retention(bytes=before // 2)) > 0
    assert store.path.stat().st_size < 0.75 * before
    assert search(store, Query(label="good"))
