"""Receivers of signals that can be killed: each in a process of its own."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.receivers import free_port, wait_for_port

_RECEIVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/moved":
            self.send_response(307); self.send_header("Location", "/taken"); self.end_headers(); return
        if self.path.startswith("/status/"):
            self.send_response(int(self.path[8:])); self.end_headers(); return
        with open(sys.argv[2], "a") as log:
            headers = {k.lower(): v for k, v in self.headers.items()}
            log.write(json.dumps({"headers": headers, "body": body.decode()}) + "\\n")
        self.send_response(204); self.end_headers()
    def log_message(self, *a): pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Receiver:
    """A web server that writes down what it takes; it may be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.log, self.port = folder / "received.jsonl", free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/taken"

    def start(self) -> "Receiver":
        self.process = subprocess.Popen([sys.executable, "-c", _RECEIVER, str(self.port), str(self.log)])
        wait_for_port(self.port)
        return self

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def received(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(entry["body"]) for entry in self.received()]


def until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def signal(number: int, verdict: str = "good") -> dict[str, Any]:
    return {"id": f"{number:032x}", "kind": "result", "time": "2026-01-01T00:00:00.000+00:00", "verdict": verdict,
            "image": f"{number}.png", "score": 0.25}  # fmt: skip
