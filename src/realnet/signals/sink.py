"""What every receiver of signals is to the delivery."""

import hashlib
from abc import ABC, abstractmethod
from typing import Any

Message = dict[str, Any]


class Unreachable(Exception):
    """The receiver did not take the message, and may take it later; says why."""


class Refused(Exception):
    """The receiver will never take this message; says why."""


class Sink(ABC):
    """A receiver of messages, used by one thread at a time.

    Args:
        address: as the user gave it; signals that wait on disk belong to it.
        name: the address as it may be shown, without secrets.
        late: seconds after which a signal is no longer worth sending; None: it always is.
    """

    def __init__(self, address: str, name: str, late: float | None = None) -> None:
        self.name, self.late = name, late
        self.key = f"{name} {hashlib.sha256(address.encode()).hexdigest()[:8]}"

    @abstractmethod
    def send(self, message: Message) -> None:
        """Send a signal and wait until it is taken; Unreachable where that may be later, Refused where it never is."""

    def beat(self, message: Message) -> None:  # noqa: B027 - a receiver may have no use for it
        """Send a sign of life, once; Unreachable where it did not arrive."""

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """End what is open."""
