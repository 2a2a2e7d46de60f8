"""How work is shown in a terminal."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import progress as rich_progress

from realnet.cli.console import console, say, warn
from realnet.progress import Watcher

if TYPE_CHECKING:
    from realnet.training.checkpoint import Progress

_WHOLE = 1000


class Bar(Watcher):
    """A watcher that draws a progress bar, prints what is said, and of a training a line a validation.

    With a time budget the bar is full when the time or the steps are used up, whichever is further.

    Args:
        counts: only count steps: a diffusion model has no figure to show.
    """

    def __init__(self, counts: bool = False) -> None:
        self.trains(False, None)
        self.counts = counts
        self.shown = 0
        self.display = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(),
            rich_progress.TextColumn("{task.fields[figures]}"),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TextColumn("left:"),
            rich_progress.TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.task = self.display.add_task("", total=None, visible=False, figures="")
        self.now = ""

    def _show(self, what: str, done: float, total: float | None, figures: str) -> None:
        if what != self.now:
            # A task of its own: the time that is left is reckoned from the speed of this stage alone.
            self.display.remove_task(self.task)
            self.task = self.display.add_task(what, total=total, figures=figures)
            self.now = what
        self.display.update(self.task, total=total, completed=done, figures=figures)

    def stage(self, text: str, done: int = 0, total: int = 0) -> None:
        """A stage of preparation, or how far it is."""
        self._show(text, done, total or None, f"{done}/{total}" if total else "")

    def say(self, sentence: str) -> None:
        """A line above the bar."""
        say(sentence)

    def warn(self, sentence: str) -> None:
        """A line on standard error."""
        warn(sentence)

    def trains(self, oracle: bool, budget: float | None) -> None:
        """How figures are called, and when the bar is full."""
        self.judge, self.budget = "TEST IMAGES (oracle)" if oracle else "validation", budget

    def step(self, progress: "Progress", steps: int) -> None:
        """One step more; its figures where there are new ones."""
        if self.counts:
            self.stage("Training", progress.step, steps)
            return
        before = progress.log[-1] if progress.log else {}
        loss = progress.losses[0] / progress.averaged if progress.averaged else before.get("loss", 0.0)
        share, figures = progress.step / max(steps, 1), f"step {progress.step}/{steps}, loss {loss:.3f}"
        if self.budget is not None:
            share = max(share, min(1.0, progress.seconds / self.budget))
            figures += f", {_clock(progress.seconds)} of {_clock(self.budget)}"
        self._show("Training", share * _WHOLE, _WHOLE, figures)
        if len(progress.log) > self.shown:
            self.shown = len(progress.log)
            self._report(progress, steps)

    def _report(self, progress: "Progress", steps: int) -> None:
        row = progress.log[-1]
        pixels = f"pixel AP {row['validation_pixel_average_precision']:.3f}"
        if "validation_pixel_auroc" in row:
            pixels = f"pixel AUROC {row['validation_pixel_auroc']:.3f}"
        say(
            f"step {progress.step}/{steps}  {progress.seconds:.0f} s  loss {row['loss']:.3f}  {self.judge} "
            f"{row['validation']:.4f} (image AUROC {row['validation_image_auroc']:.3f}, {pixels})"
        )


@contextlib.contextmanager
def showing(text: str) -> Iterator[Bar]:
    """A bar that begins with ``text``."""
    bar = Bar()
    with bar.display:
        bar.stage(text)
        yield bar


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
