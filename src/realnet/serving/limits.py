"""Who may ask, how much and how often: checked before anything of a request is read."""

import hmac
import math
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from realnet.errors import UserError
from realnet.serving.settings import Settings

_CLIENTS = 10_000


class Refusal(Exception):
    """Why a request gets no answer: status, one sentence, and headers."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers or {}

    def response(self) -> JSONResponse:
        """As it is sent."""
        return JSONResponse({"error": self.sentence}, self.status, self.headers)


@contextmanager
def refusing(status: int) -> Iterator[None]:
    """Refuse, with this status, what a user's mistake keeps from being done."""
    try:
        yield
    except UserError as error:
        raise Refusal(status, str(error)) from error


class RateLimiter:
    """A bucket of tokens a client: ``per_minute`` of them, refilled evenly; ``clock`` counts seconds."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._rate, self._clock = float(per_minute), per_minute / 60, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Take a token for ``client``: 0 where there was one, otherwise the seconds until there is."""
        now = self._clock()
        tokens, before = self._buckets.pop(client, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - before) * self._rate)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > _CLIENTS:  # the one that has been silent the longest; its bucket is full by then
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / self._rate


class Gate:
    """ASGI middleware: API key, rate and announced size of the requests to ``/v1`` and ``/metrics``."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.limiter = RateLimiter(settings.requests_per_minute) if settings.requests_per_minute else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and scope["path"].startswith(("/v1", "/metrics")):
            try:
                self._check(scope)
            except Refusal as refusal:
                await refusal.response()(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        key = self.settings.api_key
        if key is not None and not hmac.compare_digest(_given_key(headers).encode(), key.encode()):
            raise Refusal(
                401, "This server wants an API key: send it as the header X-API-Key.", {"WWW-Authenticate": "Bearer"}
            )
        if scope["method"] != "POST":
            return
        if self.limiter is not None:
            seconds = self.limiter.wait((scope.get("client") or ("unknown", 0))[0])
            if seconds > 0:
                raise Refusal(
                    429,
                    f"More than {self.settings.requests_per_minute} requests a minute: send fewer.",
                    {"Retry-After": str(math.ceil(seconds))},
                )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.settings.max_bytes:
            raise too_large(self.settings)


def too_large(settings: Settings) -> Refusal:
    """What a request of too many bytes is told; the connection is closed, what is left of it unread."""
    return Refusal(
        413,
        f"The request has more than the {settings.max_bytes:,} bytes that this server takes.",
        {"Connection": "close"},
    )


async def bounded(request: Request, settings: Settings) -> AsyncGenerator[bytes, None]:
    """The body of ``request`` piece by piece, however long it said it was; Refusal once it is longer than allowed."""
    length = 0
    async for piece in request.stream():
        length += len(piece)
        if length > settings.max_bytes:
            raise too_large(settings)
        yield piece


def _given_key(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
