"""Textures blended in, as DRAEM does with the Describable Textures Dataset (arXiv 2108.07610; Sec. 4.3)."""

import numpy as np

from realnet.synthesis.anomaly import Image
from realnet.synthesis.augment import three_random
from realnet.synthesis.image_folder import FromFolder


class Dtd(FromFolder):
    """A texture of ``directory`` under three random augmentations."""

    kind, purpose = "dtd", "textures, for example the unpacked images of DTD"
    usual_opacity = (0.2, 1.0)

    def _source(self, drawn: Image, rng: np.random.Generator) -> Image:
        return three_random(drawn, rng)
