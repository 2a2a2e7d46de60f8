"""Textures blended in, as DRAEM does with the Describable Textures Dataset (arXiv 2108.07610; Sec. 4.3)."""

from pathlib import Path

import numpy as np

from realnet.synthesis.anomaly import Anomaly, Image, Mask, Range, compose, draw_opacity, first_visible
from realnet.synthesis.augment import three_random
from realnet.synthesis.folder import ImageFolder
from realnet.synthesis.perlin import perlin_mask


class Dtd:
    """A texture of ``directory`` under three random augmentations, through a Perlin mask in the foreground.

    Raises:
        UserError: where the folder is missing or holds no image.
    """

    def __init__(self, directory: Path, opacity: Range = (0.2, 1.0)) -> None:
        self.opacity = opacity
        self.textures = ImageFolder(directory, "textures, for example the unpacked images of DTD")

    def __call__(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
        """Return a defect of ``image``; see `Part`."""
        return first_visible(lambda: self._propose(image, foreground, rng), image, foreground, rng)

    def _propose(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly | None:
        shape = foreground.shape
        texture, name = self.textures.draw((shape[0], shape[1]), rng)
        mask = perlin_mask((shape[0], shape[1]), foreground, rng)
        source = three_random(texture, rng)
        return compose(image, source, mask, draw_opacity(self.opacity, rng), "dtd", name)
