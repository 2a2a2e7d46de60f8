"""Progress in a notebook or a terminal, for those who call RealNet from Python."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

with warnings.catch_warnings():
    # Without ipywidgets a notebook gets a bar of text, which needs no advice.
    warnings.simplefilter("ignore")
    from tqdm.auto import tqdm

from realnet.progress import Watcher

if TYPE_CHECKING:
    from realnet.training.checkpoint import Progress


class Bar(Watcher):
    """A bar that is told of images or of training, and says sentences."""

    def __init__(self, text: str, unit: str) -> None:
        self._bar: Any = tqdm(desc=text, unit=unit)
        self._text = text

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def say(self, sentence: str) -> None:
        """A line beside the bar."""
        self._bar.write(sentence)

    def stage(self, text: str, done: int = 0, total: int = 0) -> None:
        """What is being done now, and how far it is where that is known."""
        self._bar.set_description(text, refresh=False)
        if done < self._bar.n:  # another stage begins
            self._bar.reset()
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)

    def step(self, progress: "Progress", steps: int) -> None:
        """A step of training is done."""
        self.stage("Training", progress.step, steps)


@contextlib.contextmanager
def watching(text: str, progress: bool | Watcher, unit: str = "image") -> Iterator[Watcher]:
    """Who is told how work goes: a bar, nobody, or the watcher that was given."""
    if isinstance(progress, Watcher):
        yield progress
    elif progress:
        with contextlib.closing(Bar(text, unit)) as bar:
            yield bar
    else:
        yield Watcher()
