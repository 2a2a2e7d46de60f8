"""Receivers of signals that can be killed: a web server, and a broker with a subscriber that comes back by itself."""

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
TOPIC = "line/week"
_SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with open(sys.argv[2], "ab") as log:
            log.write(body + b"\\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 30) -> None:
    """Return once somebody listens on ``port``."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Receiver:
    """Takes signals on a port of its own, and may be killed and started again.

    Args:
        folder: where it writes down what it takes.
    """

    def __init__(self, folder: Path) -> None:
        self.log, self.port = folder / "webhook.jsonl", free_port()
        self.address = f"http://127.0.0.1:{self.port}/taken"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, or begin again."""
        self._process = subprocess.Popen([sys.executable, "-c", _SERVER, str(self.port), str(self.log)])
        wait_for_port(self.port)

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def messages(self) -> list[dict[str, Any]]:
        """What was taken, in order."""
        return [json.loads(line) for line in self.log.read_bytes().splitlines()] if self.log.exists() else []


class Broker:
    """Mosquitto, which keeps on disk what it has acknowledged, and a subscriber. As :class:`Receiver` otherwise."""

    def __init__(self, folder: Path) -> None:
        import paho.mqtt.client as paho

        self.port, self.taken = free_port(), list[dict[str, Any]]()
        self.address = f"mqtt://127.0.0.1:{self.port}/{TOPIC}"
        self._file = folder / "mosquitto.conf"
        self._file.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
            f"persistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="week", clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *rest: client.subscribe(TOPIC, qos=1)
        self._client.on_message = lambda client, data, message: self._take(message)

    def _take(self, message: Any) -> None:
        """A broker that delivers again, of its own, says so in the protocol."""
        taken = json.loads(message.payload)
        self.taken.append({**taken, "repeated": taken["repeated"] or message.dup})

    def start(self) -> None:
        """Begin, or begin again; the subscriber comes back by itself."""
        assert MOSQUITTO
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_port(self.port)
        if not self._client.is_connected() and self._client._thread is None:
            self._client.connect("127.0.0.1", self.port)
            self._client.loop_start()

    def kill(self) -> None:
        """End it as a restarted machine would: what it acknowledged is on its disk."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def messages(self) -> list[dict[str, Any]]:
        """What the subscriber got, in order."""
        return list(self.taken)
