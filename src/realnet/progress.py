"""Progress in a notebook or a terminal, for those who call RealNet from Python."""

import warnings
from types import TracebackType
from typing import Any, Self

with warnings.catch_warnings():
    # Without ipywidgets a notebook gets a bar of text, which needs no advice.
    warnings.simplefilter("ignore")
    from tqdm.auto import tqdm

from realnet.training.checkpoint import Progress
from realnet.training.run import Watcher


class Bar(Watcher):
    """A bar that is told of images or of training, and says sentences; nothing is shown where ``shown`` is False."""

    def __init__(self, text: str, shown: bool, unit: str = "image") -> None:
        self._shown = shown
        self._bar: Any = tqdm(desc=text, unit=unit, disable=not shown)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def say(self, sentence: str) -> None:
        """A line beside the bar."""
        if self._shown:
            self._bar.write(sentence)

    def stage(self, text: str, done: int = 0, total: int = 0) -> None:
        """What is being done now, and how far it is where that is known."""
        self._bar.set_description(f"{text} ({done} of {total})" if total else text)

    def count(self, done: int, total: int | None = None) -> None:
        """So many are done, of so many."""
        self._bar.total = total or self._bar.total
        self._bar.update(done - self._bar.n)

    def step(self, progress: Progress, steps: int) -> None:
        """A step of training is done."""
        self._bar.set_description("Training", refresh=False)
        self.count(progress.step, steps)
