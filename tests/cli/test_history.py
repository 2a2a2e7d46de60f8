"""``realnet history``, ``realnet feedback``, and calibration by feedback."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from realnet.cli import history_commands
from realnet.history import Query, Store, search
from tests.cli.process import Finished
from tests.data.layouts import make_good, picture, save

Call = Callable[..., Finished]


@pytest.fixture
def judged(realnet: Call, trained: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the run, and a store with four good and two defective images and a broken one."""
    folder = tmp_path
    run, rng = Path(shutil.copytree(trained, folder / "widget")), np.random.default_rng(7)
    make_good(folder / "in", 4, rng)
    for number in range(2):
        save(folder / "in" / f"defect-{number}.png", picture(rng, defect=True)[0])
    (folder / "in" / "broken.png").write_bytes(b"no image")
    call = ("inspect", run, folder / "in", "--output", folder / "out", "--history", folder / "r.sqlite")
    finished = realnet(*call, "--log-level", "info", "--log-json")
    assert finished.status == 2 and "1 of 7 images" in finished.err
    verdicts = [json.loads(line) for line in finished.err.splitlines() if line.startswith("{")]
    assert [line["event"] for line in verdicts] == ["verdict"] * 7
    assert {line["model"] for line in verdicts} == {"widget"} and len({line["id"] for line in verdicts}) == 7
    again = realnet(*call, "--resume")
    assert "7 of them before" in again.out or "6 images judged, 7" in again.out
    return run, folder / "r.sqlite"


def test_what_was_judged_is_found(realnet: Call, judged: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run, store = judged
    everything = json.loads(realnet("history", store, "--format", "json").out)
    assert len(everything) == 7, "each image once, also after a resumed call"
    rows = [json.loads(line) for line in (store.parent / "out" / "results.jsonl").read_text().splitlines()]
    shared = ("id", "time", "verdict", "score", "threshold", "model_digest", "calibration", "software", "image_hash")
    assert [[row[name] for name in shared] for row in rows] == [[e[name] for name in shared] for e in everything[::-1]]
    found = realnet("history", store, "--image", store.parent / "in" / "defect-1.png", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(found.out))
    assert row["image"].endswith("defect-1.png") and row["calibration"] == "1" and row["model"] == "widget"
    shown = realnet("history", store, "--verdict", "unreadable")
    assert "broken.png" in shown.out and "1 result, all shown." in shown.out
    narrow = Console(width=80, file=io.StringIO())
    monkeypatch.setattr(history_commands, "console", narrow)
    history_commands.history(store)
    table = narrow.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line[:8] for line in table[1:]] == [entry["id"][:8] for entry in everything], "ids that feedback takes"
    assert max(map(len, table)) <= 80 and sum("defect-" in line for line in table) == 2
    for arguments, words in (
        ((store, "--verdict", "bad"), "none of"),
        ((store, "--since", "soon"), "no time"),
        ((store, "--format", "xml"), "no format"),
        ((run / "metrics.json",), "cannot be used"),
        ((run / "absent.sqlite",), "no results store"),
        ((store, "--keep-size", "big"), "no size"),
    ):
        finished = realnet("history", *arguments)
        assert finished.status == 2 and words in finished.err and "Traceback" not in finished.err


def test_feedback_moves_the_threshold_and_defects_measure_it(realnet: Call, judged: tuple[Path, Path]) -> None:
    run, store = judged
    nobody = realnet("calibrate", run, "--feedback", store, "--false-alarms", "10%")
    assert nobody.status == 2 and "Nobody has confirmed" in nobody.err
    entries = search(Store(store, make=False), Query())
    good = [entry.id for entry in entries if "good" in entry.image or entry.image.rpartition("/")[2][:1].isdigit()]
    assert len(good) == 4
    defects = [entry.id for entry in entries if "defect-" in entry.image]
    said = realnet("feedback", store, *(one[:12] for one in good), "--good", "--who", "Ann", "--why", "a reflection")
    assert said.status == 0 and "Of 4 confirmed good images" in said.out
    assert "Of 2 confirmed defects" in realnet("feedback", store, *defects, "--defective").out
    before = json.loads((run / "calibration.json").read_text())

    tried = realnet("calibrate", run, "--feedback", store, "--false-alarms", "20%", "--dry-run")
    assert tried.status == 0 and "Nothing is changed" in tried.out, tried.err
    assert json.loads((run / "calibration.json").read_text()) == before

    finished = realnet("calibrate", run, "--feedback", store, "--false-alarms", "20%")
    assert finished.status == 0, finished.err
    made = json.loads((run / "calibration.json").read_text())
    assert (made["version"], made["before"]) == (2, 1)
    assert sorted(made["good_scores"]) == sorted([*before["good_scores"], *(e.score for e in entries if e.id in good)])
    assert "Of 2 confirmed defects" in finished.out and "This is calibration 2" in finished.out
    same = realnet("calibrate", run, "--feedback", store, "--false-alarms", "20%", "--dry-run")
    assert f"from {len(made['good_scores'])} " in same.out, "confirmed images count once"
    listed = realnet("calibrate", run, "--list")
    assert "and 4 that people confirmed" in listed.out
    card = (run / "README.md").read_text()
    assert f"| threshold | {made['score']:.4f} (calibration 2)" in card

    undone = realnet("calibrate", run, "--undo")
    assert "Calibration 1 is in force again" in undone.out
    assert json.loads((run / "calibration.json").read_text()) == before
    assert "(calibration 1)" in (run / "README.md").read_text()
    for arguments, words in (
        ((store, good[0], "--good", "--defective"), "either"),
        ((store, "abc", "--good"), "no id"),
        ((store, good[0]), "either"),
    ):
        wrong = realnet("feedback", *arguments)
        assert wrong.status == 2 and words in wrong.err
