"""Requests that no library would send, each over a socket of its own."""

import json
import socket
from dataclasses import dataclass

import numpy as np
from benchmarks.reliability.client import Answer, as_json, multipart


@dataclass(frozen=True)
class Raw:
    """Bytes of one request.

    Attributes:
        ends: whether the client closes its side after them, so that no answer is due.
        plain: whether the HTTP library may answer in its own words, or hang up, as it is no HTTP.
    """

    kind: str
    data: bytes
    ends: bool = False
    plain: bool = False


def requests(image: bytes, rng: np.random.Generator) -> list[Raw]:
    """One of each kind, random where there is something to choose."""
    good, plain_json = multipart(image, "a.png"), as_json(image, "a.png")
    cut = int(rng.integers(1, len(good.data)))
    garbage = rng.bytes(int(rng.integers(1, 3000)))
    boundary = good.kind.partition("boundary=")[2].encode()
    two = good.data.replace(b"--\r\n", b"\r\n", 1) if good.data.endswith(b"--\r\n") else good.data
    made = {
        "another boundary": _post(good.data, "multipart/form-data; boundary=other"),
        "no boundary": _post(good.data, "multipart/form-data"),
        "boundary of 5,000 characters": _post(good.data, "multipart/form-data; boundary=" + "b" * 5000),
        "body of nothing": _post(b"", good.kind),
        "no image part": _post(good.data.replace(b'name="image"', b'name="other"'), good.kind),
        "part without a name": _post(good.data.replace(b'; name="image"', b""), good.kind),
        "part without headers": _post(b"--" + boundary + b"\r\n\r\n" + image + b"\r\n--" + boundary + b"--", good.kind),
        "two images": _post(two + good.data, good.kind),
        "cut multipart": _post(good.data[:cut], good.kind),
        "garbage as multipart": _post(garbage, good.kind),
        "10,000 fields": _post(_fields(boundary, 10_000), good.kind),
        "a field of 1 MB": _post(_fields(boundary, 1, b"x" * 2**20), good.kind),
        "a threshold of NaN": _post(_fields(boundary, 1, b"nan", b"threshold") + good.data, good.kind),
        "garbage as JSON": _post(garbage, "application/json"),
        "deep JSON": _post(b"[" * 200_000, "application/json"),
        "deep JSON in a field": _post(b'{"image":' + b"[" * 900 + b"]" * 900 + b"}", "application/json"),
        "JSON of another type": _post(b'[1, null, "x"]', "application/json"),
        "JSON with a number of 10,000 digits": _post(b'{"image": ' + b"9" * 10_000 + b"}", "application/json"),
        "JSON in UTF-16": _post(plain_json.data.decode().encode("utf-16"), "application/json"),
        "base64 that is none": _post(json.dumps({"image": "@@@" * 10}).encode(), "application/json"),
        "base64 with a surrogate": _post(b'{"image": "\\udcff"}', "application/json"),
        "name with a surrogate": _post(b'{"image": "", "name": "\\ud800"}', "application/json"),
        "model with a surrogate": _post(b'{"image": "", "model": "\\ud800"}', "application/json"),
        "model by path": _post(b'{"image": "", "model": "../../etc/passwd"}', "application/json"),
        "unknown field": _post(b'{"image": "", "__class__": {}}', "application/json"),
        "threshold of infinity": _post(b'{"image": "", "threshold": Infinity}', "application/json"),
        "huge area": _post(
            plain_json.data[:-1] + b', "minimum_area": 99999999999999999999999}', "application/json"
        ),
        "another content type": _post(image, "image/png"),
        "no content type": _post(image, ""),
        "announced 10 GB": _post(b"", good.kind, length=10 * 2**30),
        "announced less than nothing": _post(b"", good.kind, length=-5),
        "announced a word": _post(b"", good.kind, length="many"),
    }  # fmt: skip
    raws = [
        Raw(kind, data, plain=kind in ("announced less than nothing", "announced a word"))
        for kind, data in made.items()
    ]
    whole = _post(good.data, good.kind)
    head = f"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Type: {good.kind}\r\n".encode()
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    return [
        *raws,
        Raw("cut and gone", whole[: len(whole) - len(good.data) + cut], ends=True),
        Raw("headers cut and gone", whole[: int(rng.integers(1, 60))], ends=True),
        Raw("chunked garbage", chunked + garbage, plain=True, ends=True),
        Raw("chunk of a length that is none", chunked + b"zz\r\nabc\r\n", plain=True),
        Raw("chunk of 2**64 bytes", chunked + b"ffffffffffffffff\r\nabc\r\n", plain=True, ends=True),
        Raw("chunks of an image", chunked + b"%x\r\n" % len(good.data) + good.data + b"\r\n0\r\n\r\n"),
        Raw("header of 1 MB", b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 2**20 + b"\r\n\r\n", plain=True),
        Raw("20,000 headers", b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", plain=True),
        Raw("no HTTP", garbage + b"\r\n\r\n", plain=True, ends=True),
        Raw("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.bytes(500), plain=True, ends=True),
        Raw(
            "length and chunks", head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", plain=True
        ),
        Raw(
            "path out", b"GET /v1/models/..%2f..%2fetc%2fpasswd/report HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ),
        Raw("unknown method", b"BREW /v1/inspect HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", plain=True),
    ]


def _post(body: bytes, kind: str, length: int | str | None = None) -> bytes:
    said = len(body) if length is None else length
    head = f"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {said}\r\n"
    return (head + (f"Content-Type: {kind}\r\n" if kind else "") + "\r\n").encode() + body


def _fields(boundary: bytes, count: int, value: bytes = b"1", name: bytes = b"name") -> bytes:
    part = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value + b"\r\n"
    return part * count


def send(raw: Raw, port: int, seconds: float = 60) -> Answer:
    """Send it and read what comes until the end of the answer; status 0 where nothing does."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(raw.data)
            if raw.ends:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it may answer, and hang up, before it has read everything
        return _answer(connection)


def _answer(connection: socket.socket) -> Answer:
    received = b""
    try:
        while (piece := connection.recv(65536)) and not _complete(received := received + piece):
            pass
    except OSError as error:
        if not received:
            return Answer(0, f"{type(error).__name__}: {error}")
    head, _, text = received.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return Answer(status, text.decode("utf-8", "replace"))


def _complete(received: bytes) -> bool:
    head, end, text = received.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end and lengths) and len(text) >= int(lengths[0])


def problem(raw: Raw, answer: Answer) -> str:
    """What is wrong with the answer to ``raw``; empty for nothing."""
    if raw.ends and answer.status == 0 and "imeout" not in answer.text:
        return ""
    if raw.plain and (answer.status == 0 or 200 <= answer.status < 500) and "imeout" not in answer.text:
        return ""
    return answer.problem()
