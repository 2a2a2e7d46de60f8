"""How the building of a set of generated images is shown in a terminal."""

from realnet.cli.console import console
from realnet.cli.sdas_bar import SdasBar
from realnet.diffusion.sia_set import Builder, Part


class BuildBar(SdasBar, Builder):
    """The bar of training, and of each category's images."""

    def begins(self, part: Part, number: int, total: int) -> None:
        """A line for the model."""
        console.print(f"Model {number} of {total}: {part.name}, {part.good_images} good images", highlight=False)

    def samples(self, category: str, there: int, count: int) -> None:
        """The bar counts images."""
        self.display.update(self.task, description=category, total=count, completed=there, visible=True)
