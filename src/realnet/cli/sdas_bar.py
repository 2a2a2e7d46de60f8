"""How the training of a diffusion model, and its work, are shown in a terminal."""

from rich import progress as rich_progress

from realnet.cli.console import console
from realnet.progress import Watcher
from realnet.training.checkpoint import Progress


class SdasBar(Watcher):
    """A watcher that draws a progress bar and prints what is said."""

    def __init__(self) -> None:
        self.display = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console,
            transient=True,  # what is refused after all leaves no bar behind
        )
        self.task = self.display.add_task("", total=None, visible=False)

    def say(self, sentence: str) -> None:
        """A sentence, above the bar."""
        self.display.console.print(sentence, highlight=False, soft_wrap=True)

    def stage(self, text: str, done: int = 0, total: int = 0) -> None:
        """The bar counts what is named."""
        self.display.update(self.task, description=text, total=total or None, completed=done, visible=True)

    def step(self, progress: Progress, steps: int) -> None:
        """One step more."""
        self.stage("Training", progress.step, steps)
