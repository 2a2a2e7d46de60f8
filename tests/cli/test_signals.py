"""``--sink``, ``--fail-on-anomaly`` and ``realnet doctor`` as a user meets them."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cli.process import Finished, Started
from tests.data.layouts import picture, save
from tests.signals.receivers import Receiver, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path)
    yield made
    made.kill()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(24):
        save(folder / f"{number:03}.png", picture(rng, 320, defect=number % 3 == 0)[0])
    return folder


def test_a_killed_inspection_and_a_dead_receiver_lose_nothing(
    receiver: Receiver, photos: Path, trained: Path, tmp_path: Path, realnet: Callable[..., Finished]
) -> None:
    output = tmp_path / "out"
    call = ("inspect", trained, photos, "--output", output, "--sink", receiver.url, "--no-overlays")
    started = Started(call, tmp_path)
    try:
        journal = output / "results.jsonl"
        until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 5, 120)
    finally:
        started.process.kill()
        started.process.join()
    receiver.start()
    finished = realnet(*call, "--resume")
    assert finished.status == 0
    names = [Path(message["image"]).name for message in receiver.messages()]
    assert sorted(set(names)) == [f"{number:03}.png" for number in range(24)]
    ids = [message["id"] for message in receiver.messages() if not message["repeated"]]
    assert len(ids) == len(set(ids))
    assert all(message["model"] == trained.resolve().name for message in receiver.messages())
    rows = {row["id"]: row for row in map(json.loads, journal.read_text().splitlines())}
    for message in receiver.messages():
        row = rows[message["id"]]
        for name in ("image", "score", "model_digest", "calibration", "software", "image_hash"):
            assert message[name] == row[name] and row[name] is not None
    before = len(names)
    again = realnet(*call, "--resume")
    assert again.status == 0 and len(receiver.messages()) == before


def test_the_exit_status_says_whether_an_image_is_anomalous(
    in_process: Callable[..., tuple[int, str]], photos: Path, trained: Path, tmp_path: Path
) -> None:
    call = ("inspect", trained, photos / "000.png", "--no-overlays", "--fail-on-anomaly")
    assert in_process(*call, "--output", tmp_path / "a", "--threshold", "0")[0] == 3
    assert in_process(*call, "--output", tmp_path / "b", "--threshold", "1")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sink", "kafka://x"], "no receiver of signals"),
        (["--heartbeat", "5s"], "name one with --sink"),
        (["--signals", "some", "--sink", "http://127.0.0.1:1/x"], "all or anomalous"),
        (["--sink", "http://127.0.0.1:1/x", "--heartbeat", "often"], "no duration"),
    ],
)
def test_what_makes_no_sense_is_refused(
    in_process: Callable[..., tuple[int, str]],
    photos: Path,
    trained: Path,
    tmp_path: Path,
    arguments: list[str],
    said: str,
) -> None:
    status, error = in_process("inspect", trained, photos, "--output", tmp_path / "out", *arguments)
    assert status == 2 and said in error
    assert not (tmp_path / "out" / "results.jsonl").exists()


def test_a_server_tells_before_it_answers_and_after_it_was_killed(
    receiver: Receiver, photos: Path, trained: Path, tmp_path: Path
) -> None:
    requests = pytest.importorskip("requests")
    queue, answers = tmp_path / "queue.sqlite", set()

    def serve(number: int) -> tuple[Started, str]:
        folder = tmp_path / str(number)
        folder.mkdir()
        started = Started(
            ["serve", f"line={trained}", "--port", "0", "--sink", receiver.url, "--sink-queue", queue], folder
        )
        out = folder / "stdout.txt"
        until(lambda: out.exists() and "Ctrl-C" in out.read_text(), 120)
        return started, out.read_text().split(" at ")[1].split("/ ")[0]

    started, address = serve(1)
    try:
        for number in range(3):
            body = (photos / f"{number:03}.png").read_bytes()
            for attempt in range(100):
                try:
                    answer = requests.post(
                        f"{address}/v1/inspect", files={"image": (f"{number}.png", body)}, timeout=60
                    )
                    break
                except requests.ConnectionError:
                    assert attempt < 99
                    time.sleep(0.2)
            assert answer.status_code == 200
            answers.add((answer.json()["id"], answer.json()["image_hash"]))
        assert 'realnet_signals_waiting{sink="' in requests.get(f"{address}/metrics", timeout=60).text
    finally:
        started.process.kill()
        started.process.join()
    receiver.start()
    started, address = serve(2)
    try:
        until(lambda: len(receiver.messages()) >= 3, 60)
    finally:
        os.kill(started.pid, signal.SIGINT)
        finished = started.wait(60)
    assert finished.status in (0, 130)
    assert [message["image"] for message in receiver.messages()] == ["0.png", "1.png", "2.png"]
    assert {message["model"] for message in receiver.messages()} == {"line"}
    assert {(message["id"], message["image_hash"]) for message in receiver.messages()} == answers


def test_doctor_looks_at_everything_and_times_a_run(in_process: Callable[..., tuple[int, str]], trained: Path) -> None:
    status, said = in_process("doctor", trained, "--json")
    found = json.loads(said)
    assert status == 0
    assert {one["topic"] for one in found} == {"versions", "extras", "devices", "weights", "disk", "inference"}
    assert not [one for one in found if one["state"] == "wrong"]
    (timed,) = [one for one in found if one["topic"] == "inference" and one["state"] == "ok"]
    assert "ms an image of 64 x 64" in timed["text"] and str(trained) in timed["text"] and " on cpu" in timed["text"]


def test_doctor_times_the_preset_lite_where_no_run_is_named(in_process: Callable[..., tuple[int, str]]) -> None:
    status, said = in_process("doctor", "--json")
    (timed,) = [one for one in json.loads(said) if one["topic"] == "inference" and " ms an image " in one["text"]]
    assert timed["state"] == "ok" and status == 0
    assert "preset lite, random weights, on cpu" in timed["text"]


def test_doctor_names_what_is_wrong(realnet: Callable[..., Finished], tmp_path: Path) -> None:
    finished = realnet("doctor", tmp_path / "nowhere")
    assert finished.status == 1
    assert "WRONG" in finished.out and "nowhere" in finished.out
