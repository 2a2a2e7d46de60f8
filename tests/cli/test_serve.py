"""``realnet serve`` as a process."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import requests

from tests.cli.process import Finished, Started


def address_of(server: Started) -> str:
    for _ in range(1200):
        found = re.search(r"http://[\d.]+:\d+/", server.files[0].read_text() if server.files[0].exists() else "")
        if found:
            return found[0]
        assert server.process.exitcode is None, server.files[1].read_text()
        time.sleep(0.05)
    raise TimeoutError


def test_it_serves_until_it_is_told_to_stop(trained: Path, tmp_path: Path) -> None:
    for number, sign in enumerate((signal.SIGINT, signal.SIGTERM)):
        folder = tmp_path / str(number)
        folder.mkdir()
        server = Started(["serve", trained, "--port", "0"], folder)
        address = address_of(server)
        for _ in range(400):
            try:
                assert requests.get(f"{address}health", timeout=20).json()["status"] == "ok"
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        os.kill(server.pid, sign)
        finished = server.wait()
        assert "Traceback" not in finished.out + finished.err
        assert finished.status in (0, 130, -sign)


def test_a_port_in_use(realnet: Callable[..., Finished], trained: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = realnet("serve", trained, "--port", str(port))
    assert finished.status == 2
    assert f"port {port}" in finished.err


def test_what_is_no_inspector(realnet: Callable[..., Finished], tmp_path: Path) -> None:
    finished = realnet("serve", tmp_path / "nothing", "--port", "0")
    assert finished.status == 2
    assert "There is no run" in finished.err


def test_a_short_key(realnet: Callable[..., Finished], trained: Path) -> None:
    finished = realnet("serve", trained, "--api-key", "short", "--port", "0")
    assert finished.status == 2
    assert "8 characters" in finished.err
