"""How the training of a diffusion model, and its work, are shown in a terminal."""

from realnet.cli.bar import Bar
from realnet.training.checkpoint import Progress


class SdasBar(Bar):
    """The bar of training, which counts steps: a diffusion model has no figure to show."""

    def step(self, progress: Progress, steps: int) -> None:
        """One step more."""
        self.stage("Training", progress.step, steps)
