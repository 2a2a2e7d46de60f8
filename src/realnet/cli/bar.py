"""How training is shown in a terminal."""

from rich import progress as rich_progress

from realnet.cli.app import console
from realnet.training.checkpoint import Progress
from realnet.training.run import Watcher


class Bar(Watcher):
    """A watcher of training that draws a progress bar and prints a line a validation.

    ``oracle``: the figures are those of the test images, and are called so.
    """

    def __init__(self, oracle: bool = False) -> None:
        self.judge = "TEST IMAGES (oracle)" if oracle else "validation"
        self.shown = 0
        self.display = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console,
        )
        self.task = self.display.add_task("", total=None, visible=False)

    def stage(self, text: str) -> None:
        """A new stage of preparation."""
        self.display.update(self.task, description=text, visible=True)

    def say(self, sentence: str) -> None:
        """A line above the bar."""
        self.display.console.print(sentence, soft_wrap=True, markup=False, highlight=False)

    def step(self, progress: Progress, steps: int) -> None:
        """One step more; its figures where there are new ones."""
        self.display.update(self.task, description="Training", total=steps, completed=progress.step, visible=True)
        if len(progress.log) > self.shown:
            self.shown = len(progress.log)
            row = progress.log[-1]
            pixels = f"pixel AP {row['validation_pixel_average_precision']:.3f}"
            if "validation_pixel_auroc" in row:
                pixels = f"pixel AUROC {row['validation_pixel_auroc']:.3f}"
            self.display.console.print(
                f"step {progress.step}/{steps}  {progress.seconds:.0f} s  loss {row['loss']:.3f}  {self.judge} "
                f"{row['validation']:.4f} (image AUROC {row['validation_image_auroc']:.3f}, {pixels})",
                highlight=False,
            )
