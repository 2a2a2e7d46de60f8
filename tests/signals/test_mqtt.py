import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realnet.errors import UserError
from realnet.signals import Unreachable
from realnet.signals.delivery import open_signals
from realnet.signals.mqtt import Mqtt
from tests.signals.receivers import free_port, signal, until, wait_for_port

paho = pytest.importorskip("paho.mqtt.client")
_MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
broker_needed = pytest.mark.skipif(_MOSQUITTO is None, reason="the broker mosquitto is not installed")


class Broker:
    """Mosquitto with a store on disk, so that it remembers what it has acknowledged."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true") -> None:
        self.port, self.process = free_port(), None  # type: ignore[var-annotated]
        self.file = folder / "mosquitto.conf"
        self.file.write_text(
            f"listener {self.port} 127.0.0.1\n{settings}\nuser root\npersistence true\n"
            f"persistence_location {folder}/\nautosave_interval 1\n"
        )

    def start(self) -> None:
        assert _MOSQUITTO
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([_MOSQUITTO, "-c", str(self.file)], **quiet)  # type: ignore[call-overload]
        wait_for_port(self.port)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path)
    yield made
    made.kill()


class Listener:
    """A subscriber that comes back by itself."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, Any]] = []
        self.ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("line/1/#", qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda c, d, m: self.messages.append((m.topic, m.payload))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(60)

    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for topic, payload in self.messages if topic == "line/1"]

    def status(self) -> list[bytes]:
        return [payload for topic, payload in self.messages if topic == "line/1/status"]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@broker_needed
def test_every_signal_arrives_though_the_broker_is_killed(broker: Broker, tmp_path: Path) -> None:
    broker.start()
    listener = Listener(broker.port)
    sink = Mqtt(f"mqtt://127.0.0.1:{broker.port}/line/1", seconds=3)
    with open_signals([sink], tmp_path / "q", heartbeat=30) as signals:
        for number in range(5):
            signals.announce(signal(number))
        until(lambda: len(listener.taken()) == 5)
        broker.kill()
        for number in range(5, 15):
            signals.announce(signal(number))
        listener.ready.clear()
        broker.start()
        assert listener.ready.wait(60)
        until(lambda: signals.waiting() == {sink.name: 0})
    until(lambda: listener.status()[-1:] == [b"offline"])
    listener.close()
    taken = listener.taken()
    assert {message["id"] for message in taken} == {signal(number)["id"] for number in range(15)}
    first = [m["id"] for m in taken if not m["repeated"]]
    assert len(first) == len(set(first)), "what came twice is marked as repeated"
    assert b"online" in listener.status()
    beats = [json.loads(payload) for topic, payload in listener.messages if topic == "line/1/heartbeat"]
    assert beats and beats[0]["kind"] == "heartbeat"


@broker_needed
def test_a_wrong_password_is_said(tmp_path: Path) -> None:
    users = tmp_path / "users"
    passwd = shutil.which("mosquitto_passwd")
    if passwd is None:
        pytest.skip("mosquitto_passwd is not installed")
    subprocess.run([passwd, "-b", "-c", str(users), "line", "right"], check=True)
    broker = Broker(tmp_path, f"allow_anonymous false\npassword_file {users}")
    broker.start()
    try:
        address = f"mqtt://line@127.0.0.1:{broker.port}/line/1"
        with pytest.raises(Unreachable, match=r"refuses.*[Nn]ot authori"):
            Mqtt(address, "wrong", seconds=5).send(signal(1))
        sink = Mqtt(address, "right", seconds=5)
        sink.send(signal(1))
        sink.close()
    finally:
        broker.kill()


def test_an_absent_broker_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        Mqtt(f"mqtt://127.0.0.1:{free_port()}/line", seconds=2).send(signal(1))


@pytest.mark.parametrize("address", ["mqtt://host", "mqtt://host/a/#", "mqtt:///x", "mqtt://me:secret@host/x"])
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(UserError, match="MQTT"):
        Mqtt(address)
