"""Textures blended in, as DRAEM does with the Describable Textures Dataset (arXiv 2108.07610; Sec. 4.3)."""

from pathlib import Path

import numpy as np

from realnet.synthesis.anomaly import Anomaly, Image, Mask, Range, draw_opacity, drawn
from realnet.synthesis.augment import three_random
from realnet.synthesis.blending import blend
from realnet.synthesis.image_folder import ImageFolder
from realnet.synthesis.perlin import perlin_mask


class Dtd:
    """A texture of ``directory`` under three random augmentations, through a Perlin mask in the foreground.

    A blend is used as it comes; ``least_change``, in grey levels, has those that show less drawn again. UserError
    where the folder is missing or holds no image.
    """

    def __init__(self, directory: Path, opacity: Range = (0.2, 1.0), least_change: float = 0.0) -> None:
        self.opacity, self.least_change = opacity, least_change
        self.textures = ImageFolder(directory, "textures, for example the unpacked images of DTD")

    def __call__(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
        """Return a defect of ``image``; see `Part`."""
        return drawn(lambda: self._draw(image, foreground, rng), image, foreground, rng, self.least_change)

    def _draw(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
        shape = foreground.shape
        texture, name = self.textures.draw((shape[0], shape[1]), rng)
        mask = perlin_mask((shape[0], shape[1]), foreground, rng)
        source = three_random(texture, rng)
        opacity = draw_opacity(self.opacity, rng)
        return Anomaly(blend(image, source, mask, opacity), mask, source, opacity, "dtd", name)
