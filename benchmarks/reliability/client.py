"""Requests to a server, made ready beforehand, and what may come back."""

import base64
import http.client
import json
import os
import secrets
from dataclasses import dataclass
from typing import Any

PATH = "/v1/inspect"


@dataclass(frozen=True)
class Body:
    """What is sent: bytes and their content type."""

    data: bytes
    kind: str


@dataclass(frozen=True)
class Answer:
    """What came back; ``status`` 0 where the connection was dropped, and then ``text`` says how."""

    status: int
    text: str

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object in it; empty where it is none."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def problem(self) -> str:
        """Why this is no proper answer; empty for status 200 with a score, and for 4xx with a sentence."""
        if self.status == 200:
            return (
                "" if isinstance(self.fields.get("score"), float) else f"status 200 without a score: {self.text[:200]}"
            )
        sentence = self.fields.get("error")
        if 400 <= self.status < 500 and isinstance(sentence, str) and sentence.endswith((".", "...")):
            return ""
        return f"status {self.status}: {self.text[:300]}"


def multipart(data: bytes, name: str) -> Body:
    """As browsers send a file; of the name those characters are escaped that end a header."""
    boundary = secrets.token_hex(16).encode()
    safe = os.fsencode(name).replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")
    head = b'Content-Disposition: form-data; name="image"; filename="' + safe + b'"\r\nContent-Type: image/png\r\n\r\n'
    body = b"--" + boundary + b"\r\n" + head + data + b"\r\n--" + boundary + b"--\r\n"
    return Body(body, f"multipart/form-data; boundary={boundary.decode()}")


def as_json(data: bytes, name: str) -> Body:
    """The same as JSON; a name that is no Unicode stays one."""
    fields = {"image": base64.b64encode(data).decode(), "name": name}
    return Body(json.dumps(fields).encode(), "application/json")


class Client:
    """One connection, kept alive."""

    def __init__(self, port: int, seconds: float = 120, path: str = PATH) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
        self.path = path

    def post(self, body: Body) -> Answer:
        """Send and wait; a connection that the server announced to close is opened again, a dropped one is status 0."""
        try:
            self.connection.request("POST", self.path, body.data, {"Content-Type": body.kind})
            response = self.connection.getresponse()
            return Answer(response.status, response.read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            return Answer(0, f"dropped: {type(error).__name__}: {error}")

    def get(self, path: str) -> Answer:
        """GET."""
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        return Answer(response.status, response.read().decode("utf-8", "replace"))

    def close(self) -> None:
        """End the connection."""
        self.connection.close()
