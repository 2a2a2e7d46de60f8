"""What a server is told when it starts."""

from pydantic import Field

from realnet.config import Node


class Settings(Node):
    """Limits of a server.

    Attributes:
        api_key: what every request but those for the page and ``/health`` has to carry; None: nothing.
        max_bytes: of a request.
        max_pixels: of an image.
        requests_per_minute: of one client (by its address); None: any number.
        batch_size: images judged at a time, at most.
        waiting: requests that may wait or be worked on; more are sent away with status 503.
    """

    api_key: str | None = Field(default=None, min_length=8)
    max_bytes: int = Field(default=32 * 2**20, ge=1024)
    max_pixels: int = Field(default=50_000_000, ge=1)
    requests_per_minute: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=8, ge=1, le=256)
    waiting: int = Field(default=64, ge=1)
