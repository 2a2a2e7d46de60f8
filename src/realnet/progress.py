"""How work that takes its time says how far it is, and is ended by Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from realnet.training.checkpoint import Progress

Notify = Callable[[str], None]
"""Whoever is told a sentence."""


class Stage(Protocol):
    """Told what is being done, and how far it is: :meth:`Watcher.stage`."""

    def __call__(self, text: str, done: int = 0, total: int = 0) -> None:
        """A stage called ``text`` has done that many of ``total``; 0: nobody knows of how many."""
        ...


class Watcher:
    """Whoever is told how work goes: a bar of the terminal or of a notebook, a log; this one hears nothing."""

    def say(self, sentence: str) -> None:
        """Something that a person should know of the images or the work."""

    def warn(self, sentence: str) -> None:
        """Something that a person should look at."""
        self.say(sentence)

    def stage(self, text: str, done: int = 0, total: int = 0) -> None:
        """What is being done begins, or is so far (``total`` 0: nobody knows of how many)."""

    def trains(self, oracle: bool, budget: float | None) -> None:
        """Steps of training begin: judged by test images or not, for so many seconds at most."""

    def step(self, progress: "Progress", steps: int) -> None:
        """A step of training is done."""


class Listener(Watcher):
    """Keeps what is said, for whoever shows it later."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        """Keep ``sentence``."""
        self.said.append(sentence)


quiet: Stage = Watcher().stage
"""Tells nobody."""


@contextmanager
def interruptible(*told: threading.Event) -> Iterator[threading.Event]:
    """Let the first Ctrl-C set the event that this yields, and those that are ``told``; a second one interrupts.

    So what is begun can be finished. In another thread than the first nothing is changed.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def note(number: int, frame: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        for event in (pressed, *told):
            event.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
