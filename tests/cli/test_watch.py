"""``realnet watch``: several cameras, each with its run, by name."""

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realnet.history import Query, Store, search
from tests.cli.process import Started
from tests.data.layouts import make_good, picture, save
from tests.signals.receivers import Receiver, until

InProcess = Callable[..., tuple[int, str]]


@pytest.fixture
def line(trained: Path, tmp_path: Path) -> Path:
    """Two cameras whose images have the same names."""
    for name, seed in (("top", 1), ("side", 2)):
        make_good(tmp_path / name, 3, np.random.default_rng(seed))
    shutil.copytree(trained, tmp_path / "lid")
    file = tmp_path / "line.yaml"
    file.write_text(
        f"cameras:\n  top: {{source: {tmp_path / 'top'}, run: {tmp_path / 'lid'}}}\n"
        f"  side: {{source: {tmp_path / 'side'}, run: {trained}}}\n"
    )
    return file


def test_every_result_and_signal_names_its_camera(line: Path, trained: Path, tmp_path: Path) -> None:
    receiver, store = Receiver(tmp_path), tmp_path / "line.sqlite"
    receiver.start()
    call: tuple[str | Path, ...] = ("watch", line, "--output", tmp_path / "out", "--no-overlays", "--history", store)
    call += ("--sink", receiver.url, "--heartbeat", "0.2s", "--log-level", "info", "--log-json")
    started = Started(call, tmp_path)

    def told(kind: str) -> list[dict[str, Any]]:
        return [message for message in receiver.messages() if message["kind"] == kind]

    try:
        until(lambda: len(told("result")) >= 6, 120)
        save(tmp_path / "side" / "later.png", picture(np.random.default_rng(3), defect=True)[0])
        until(lambda: len(told("result")) >= 7, 60)
        until(lambda: all(told("heartbeat")[-1]["cameras"].values()), 20)
    finally:
        os.kill(started.pid, signal.SIGINT)
    finished = started.wait()
    receiver.kill()
    assert finished.status == 0, finished.err
    assert "side: 4 images judged" in finished.out and "top: 3 images judged" in finished.out
    entries = search(Store(store), Query())
    assert Counter((e.source, e.model) for e in entries) == {("top", "lid"): 3, ("side", trained.name): 4}
    assert {e.source for e in search(Store(store), Query(source="top"))} == {"top"}
    sent = {message["id"]: message for message in told("result")}
    assert {e.id: e.source for e in entries} == {id: message["camera"] for id, message in sent.items()}
    said = [json.loads(text) for text in finished.err.splitlines() if text.startswith("{")]
    assert Counter(fact["camera"] for fact in said if fact["event"] == "verdict") == {"top": 3, "side": 4}
    assert set(told("heartbeat")[-1]["cameras"]) == {"top", "side"}


def test_goes_on_where_it_ended(in_process: InProcess, line: Path, tmp_path: Path) -> None:
    call = ("watch", line, "--output", tmp_path / "out", "--no-overlays", "--history", tmp_path / "line.sqlite")
    assert in_process(*call, "--limit", "2")[0] == 0
    status, said = in_process(*call, "--limit", "2")
    assert status == 2 and "holds the results of an inspection" in said and said.startswith("Error: top: ")
    assert in_process(*call, "--limit", "3", "--resume")[0] == 0
    rows = [(tmp_path / "out" / name / "results.jsonl").read_text().splitlines() for name in ("top", "side")]
    assert [len(own) for own in rows] == [3, 3]
    assert len(search(Store(tmp_path / "line.sqlite"), Query())) == 6


def test_mistakes_are_named(in_process: InProcess, line: Path, trained: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    for text, words in (
        ("cameras: {}", "names no cameras"),
        (f"cameras: {{a b: {{source: {tmp_path}, run: {trained}}}}}", "names no cameras"),
        (f"cameras: {{top: {{source: {tmp_path / 'top'}}}}}", "cameras.top.run"),
        (f"cameras: {{top: {{source: absent.png, run: {trained}}}}}", "top: absent.png does not exist"),
        (f"cameras: {{top: {{source: {tmp_path / 'top'}, run: absent}}}}", "absent"),
        (f"cameras: {{top: {{source: {tmp_path / 'top'}, run: {trained}, every: 1}}}}", "top: --every"),
        ("[", "names no cameras"),
    ):
        bad.write_text(text)
        status, said = in_process("watch", bad, "--output", tmp_path / "out")
        assert status == 2 and words in said, said
    assert in_process("watch", tmp_path / "absent.yaml", "--output", tmp_path / "out")[0] == 2
    assert not (tmp_path / "out").exists()
