"""Signals by HTTP POST, signed as the Standard Webhooks specification says (https://www.standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from realnet.errors import UserError
from realnet.signals.sink import Message, Refused, Sink, Unreachable

_SECONDS = 10.0
# The receiver has read the message and does not want it; whatever else it answers may be different next time.
_NEVER = (400, 413, 422)


class Webhook(Sink):
    """POSTs each message as JSON; taken is what is answered by a status of 200 to 299.

    Args:
        address: ``http://`` or ``https://``.
        secret: signs the messages; ``whsec_`` and base64, or any text. None: they are not signed.
        seconds: that an answer may take.

    Raises:
        UserError: for an address with a password in it or without a host, or a secret that is no base64.
    """

    def __init__(self, address: str, secret: str | None = None, seconds: float = _SECONDS) -> None:
        parts = urlsplit(address)
        if not parts.hostname or parts.username is not None:
            raise UserError(
                "A webhook is http://HOST/PATH or https://HOST/PATH, without a name or password: the receiver knows us "
                "by the signature (REALNET_SINK_SECRET)."
            )
        super().__init__(address, f"{parts.scheme}://{parts.netloc}{parts.path}")
        self._address, self._key, self._seconds = address, _key_of(secret), seconds
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, message: Message) -> None:
        """As :meth:`Sink.send`."""
        body = json.dumps(message, separators=(",", ":")).encode()
        name, stamp = str(message.get("id", message["time"])), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "realnet",
            "webhook-id": name,
            "webhook-timestamp": stamp,
        }
        if self._key is not None:
            headers["webhook-signature"] = sign(self._key, name, stamp, body)
        request = urllib.request.Request(self._address, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._seconds) as response:
                response.read(1)
        except urllib.error.HTTPError as error:
            with error:
                problem = f"it answers {error.code}"
            raise (Refused if error.code in _NEVER else Unreachable)(problem) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(str(getattr(error, "reason", error)) or type(error).__name__) from error

    def beat(self, message: Message) -> None:
        """As :meth:`Sink.beat`."""
        try:
            self.send(message)
        except Refused as error:
            raise Unreachable(str(error)) from error


def sign(key: bytes, name: str, stamp: str, body: bytes) -> str:
    """The signature ``v1,BASE64`` of a message: HMAC-SHA256 of ``ID.TIMESTAMP.BODY``."""
    digest = hmac.new(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")


def _key_of(secret: str | None) -> bytes | None:
    if secret is None or not secret.startswith("whsec_"):
        return None if secret is None else secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise UserError("REALNET_SINK_SECRET begins with whsec_, but base64 does not follow.") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed message goes to whom it was meant for."""

    def redirect_request(self, *arguments: Any) -> None:
        return None
