"""From verdicts to receivers: each has a thread that sends what waits for it, oldest first, until it is taken."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from realnet import __version__
from realnet.progress import Notify
from realnet.signals.outbox import Outbox, open_outbox
from realnet.signals.sink import Message, Refused, Sink, Unreachable

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
_CLOSING_SECONDS = 10.0
Which = Literal["all", "anomalous"]
"""Of which verdicts receivers are told: of all, or of those that are not good."""


class Signals:
    """Sends messages to receivers. Made by :func:`open_signals`; any thread may use it.

    Args:
        outbox: where what is not taken yet waits.
        heartbeat: seconds between signs of life; None: none.
        say: told when a receiver is away, and when it is back.

    ``life`` is what each sign of life says beside the usual; whoever knows it puts it there.
    """

    def __init__(
        self, sinks: Sequence[Sink], outbox: Outbox, which: Which, heartbeat: float | None, say: Notify
    ) -> None:
        self.sinks, self.outbox, self._which = list(sinks), outbox, which
        self.life: Message = {}
        self._deliveries = [_Delivery(sink, outbox, heartbeat, say, self.life) for sink in sinks]

    def announce(self, message: Message) -> None:
        """Send ``message``, which has ``id`` and ``verdict``: on disk when this returns; UserError if that is full."""
        if self._which == "anomalous" and message["verdict"] == "good":
            return
        self.outbox.put([sink.key for sink in self.sinks], message)
        for delivery in self._deliveries:
            delivery.wake()

    def waiting(self) -> dict[str, int]:
        """How many signals wait, by the receiver's name."""
        return {sink.name: self.outbox.waiting(sink.key) for sink in self.sinks}

    def close(self, seconds: float = _CLOSING_SECONDS) -> None:
        """Send what can be sent within ``seconds``, then end; the rest stays on disk."""
        deadline = time.monotonic() + seconds
        for delivery in self._deliveries:
            delivery.end(deadline)
        for delivery in self._deliveries:
            delivery.join(deadline)


class _Delivery:
    def __init__(self, sink: Sink, outbox: Outbox, heartbeat: float | None, say: Notify, life: Message) -> None:
        self._sink, self._outbox, self._heartbeat, self._say, self._life = sink, outbox, heartbeat, say, life
        self._news, self._deadline = threading.Event(), float("inf")
        self._ending = threading.Event()
        self._away, self._late = False, 0
        self._next_beat = time.monotonic() if heartbeat else float("inf")
        self._thread = threading.Thread(target=self._work, name="signals", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._news.set()

    def end(self, deadline: float) -> None:
        self._deadline = deadline
        self._ending.set()
        self.wake()

    def join(self, deadline: float) -> None:
        self._thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        pause = _FIRST_PAUSE
        while time.monotonic() < self._deadline:
            self._news.clear()
            try:
                done = self._one()
                self._beat()
                pause = _FIRST_PAUSE
            except (Unreachable, sqlite3.Error) as error:
                if self._ending.is_set():
                    break
                if not self._away:
                    self._say(f"{self._sink.name} cannot be reached ({error}); signals wait in {self._outbox.path}.")
                self._away = True
                self._ending.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            if done:
                continue
            if self._ending.is_set():
                break
            self._news.wait(max(0.0, min(3600.0, self._next_beat - time.monotonic())))
        self._sink.close()

    def _one(self) -> bool:
        """Send the oldest signal that waits; False where there is none."""
        waiting = self._outbox.first(self._sink.key)
        if waiting is None:
            return False
        if self._sink.late is not None and time.time() - waiting.made > self._sink.late:
            self._outbox.settle(waiting, "late")
            self._late += 1
            return True
        self._outbox.trying(waiting)
        try:
            self._sink.send(waiting.message())
        except Refused as error:
            self._outbox.settle(waiting, "refused", str(error))
            self._say(f"{self._sink.name} refuses a signal ({error}); it stays in {self._outbox.path} as refused.")
            return True
        self._outbox.settle(waiting, "sent")
        self._note_back()
        return True

    def _beat(self) -> None:
        if self._heartbeat is None or time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + self._heartbeat
        self._sink.beat(
            {
                "kind": "heartbeat",
                "time": now(),
                "software": __version__,
                "waiting": self._outbox.waiting(self._sink.key),
                **self._life,
            }
        )
        self._note_back()

    def _note_back(self) -> None:
        if self._away:
            late = f"; {self._late} were too late and are left out" if self._late else ""
            self._say(f"{self._sink.name} is back{late}.")
        self._away, self._late = False, 0


def now() -> str:
    """The time in UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@contextlib.contextmanager
def open_signals(
    sinks: Sequence[Sink],
    queue: Path,
    which: Which = "all",
    heartbeat: float | None = None,
    say: Notify = lambda sentence: None,
) -> Iterator[Signals]:
    """Signals to ``sinks`` that wait in the file ``queue`` until they are sent; UserError where it cannot be used."""
    with open_outbox(queue) as outbox:
        elsewhere = outbox.waiting_elsewhere([sink.key for sink in sinks])
        if elsewhere:
            say(f"{elsewhere} signals in {queue} wait for receivers that are not named in this call.")
        signals = Signals(sinks, outbox, which, heartbeat, say)
        try:
            yield signals
        finally:
            signals.close()
            for name, count in signals.waiting().items():
                if count:
                    say(f"{count} signals for {name} wait in {queue}; the next call with it sends them.")
