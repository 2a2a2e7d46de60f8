import os
import subprocess
import sys
from pathlib import Path

import pytest

from realnet.errors import UserError
from realnet.signals.outbox import open_outbox
from tests.signals.receivers import signal


def test_what_is_put_outlives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "signals.sqlite"
    code = (
        "import os, signal; from pathlib import Path; from realnet.signals.outbox import open_outbox\n"
        f"with open_outbox(Path({str(path)!r})) as box:\n"
        " for n in range(3): box.put(['a', 'b'], {'id': str(n), 'verdict': 'good'})\n"
        " box.trying(box.first('a'))\n"
        " os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False)
    assert done.returncode == -9
    with open_outbox(path) as box:
        assert box.waiting("a") == box.waiting("b") == 3
        first = box.first("a")
        assert first is not None and first.message() == {"id": "0", "verdict": "good", "repeated": True}
        assert box.first("b").message()["repeated"] is False  # type: ignore[union-attr]


def test_a_known_signal_is_not_kept_twice_even_once_it_is_sent(tmp_path: Path) -> None:
    with open_outbox(tmp_path / "q") as box:
        for _ in range(2):
            box.put(["a"], signal(1))
        assert box.waiting("a") == 1
        waiting = box.first("a")
        assert waiting is not None
        box.settle(waiting, "sent")
        box.put(["a"], signal(1))
        assert box.first("a") is None


def test_signals_come_in_the_order_in_which_they_were_put(tmp_path: Path) -> None:
    with open_outbox(tmp_path / "q") as box:
        for number in (5, 3, 9):
            box.put(["a"], signal(number))
        seen = []
        while (waiting := box.first("a")) is not None:
            seen.append(waiting.message()["image"])
            box.settle(waiting, "sent")
        assert seen == ["5.png", "3.png", "9.png"]


def test_a_series_goes_on_only_where_asked(tmp_path: Path) -> None:
    with open_outbox(tmp_path / "q") as box:
        first = box.series(again=True)
    with open_outbox(tmp_path / "q") as box:
        assert box.series(again=True) == first
        assert box.series(again=False) != first


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with open_outbox(tmp_path / "q"), pytest.raises(UserError, match="Another process"), open_outbox(tmp_path / "q"):
        pass


def test_a_file_of_another_kind_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"no data base" * 100)
    with pytest.raises(UserError, match="cannot be used as a queue"), open_outbox(path):
        pass
    assert path.read_bytes() == b"no data base" * 100


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is played by SQLite's own limit of pages")
def test_a_full_disk_is_said_and_nothing_is_half_kept(tmp_path: Path) -> None:
    with open_outbox(tmp_path / "q") as box:
        box.put(["a"], signal(0))
        pages = box._ask("PRAGMA page_count").fetchone()[0]
        box._ask(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UserError, match="free some space"):
            for number in range(1, 500):
                box.put(["a", "b"], signal(number))
        assert box.waiting("a") == box.waiting("b") + 1
        box._ask("PRAGMA max_page_count = 1000000")
        box.put(["a"], signal(1000))
