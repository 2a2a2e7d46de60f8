"""Textures blended in, as DRAEM does with the Describable Textures Dataset (arXiv 2108.07610; Sec. 4.3)."""

from pathlib import Path

import numpy as np

from realnet.synthesis.anomaly import Image, Range
from realnet.synthesis.augment import three_random
from realnet.synthesis.image_folder import FromFolder


class Dtd(FromFolder):
    """A texture of ``directory`` under three random augmentations, through a Perlin mask in the foreground.

    A blend is used as it comes; ``least_change``, in grey levels, has those that show less drawn again. UserError
    where the folder is missing or holds no image.
    """

    kind = "dtd"

    def __init__(self, directory: Path, opacity: Range = (0.2, 1.0), least_change: float = 0.0) -> None:
        super().__init__(directory, "textures, for example the unpacked images of DTD", opacity, least_change)

    def _source(self, drawn: Image, rng: np.random.Generator) -> Image:
        return three_random(drawn, rng)
