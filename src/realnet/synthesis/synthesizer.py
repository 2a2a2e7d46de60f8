"""Defects by number: the same seed and index give the same defect, in any order, on any number of workers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realnet.config import SynthesisConfig
from realnet.data.finding import LeftOut
from realnet.errors import UserError
from realnet.synthesis.anomaly import Anomaly, Image, Mask, Part, kept_within
from realnet.synthesis.cutpaste import CutPaste, Scar
from realnet.synthesis.dtd import Dtd
from realnet.synthesis.foreground import check_foreground, foreground_mask
from realnet.synthesis.image_folder import FromFolder
from realnet.synthesis.mixture import Mixture
from realnet.synthesis.nsa import Nsa
from realnet.synthesis.sia import Sia
from realnet.synthesis.structure import Structure
from realnet.synthesis.texture import Texture

FAINT = (0.1, 0.6)
"""The opacity of faint defects: found by some inspectors, not by all."""


class Synthesizer:
    """Makes defects of good images as ``config`` says.

    ``images`` are the good images at the working size, uint8 [h, w, 3] RGB, any sequence (a lazy one works);
    ``names`` their names, for the record; ``category`` picks the folder of generated images (sia). May be
    pickled. Defects lie within ``allowed``, bool [h, w], where that is given.

    Raises:
        UserError: where there is no image, or the configuration lacks a folder or names an unknown
        foreground.
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        config: SynthesisConfig,
        seed: int,
        category: str | None = None,
        names: Sequence[str] | None = None,
        allowed: Mask | None = None,
    ) -> None:
        if len(images) == 0:
            raise UserError("There is no good image to make defects of: give a folder with good images.")
        check_foreground(config.foreground)
        self.images = images
        self.config = config
        self.seed = seed
        self.names = names
        self.category = category
        self.allowed = allowed
        self.part = make_part(config, images, category, names)
        self._faint_part = make_part(config.model_copy(update={"opacity": FAINT}), images, category, names)
        self._foregrounds: dict[int, Mask | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_foregrounds": {}}

    def __call__(self, index: int, good: int | None = None) -> Anomaly:
        """Return defect ``index``, a pure function of seed, ``index`` and the good image (None: by `good_of`)."""
        # A stream of its own decides, so that the other defects are what they are without faint ones.
        faint = self.config.faint > 0 and np.random.default_rng([self.seed, index, 1]).random() < self.config.faint
        return self._make(self._faint_part if faint else self.part, index, good)

    @property
    def left_out(self) -> list[LeftOut]:
        """What lies in the folders of textures and generated images and is not used."""
        parts = self.part.parts if isinstance(self.part, Mixture) else (self.part,)
        return [item for part in parts if isinstance(part, FromFolder) for item in part.folder.left_out]

    def faint(self, index: int, good: int | None = None) -> Anomaly:
        """Return defect number ``index`` made faint, whatever share the configuration asks for."""
        return self._make(self._faint_part, index, good)

    def _make(self, part: Part, index: int, good: int | None) -> Anomaly:
        rng = np.random.default_rng([self.seed, index])
        drawn = int(rng.integers(len(self.images)))  # also where it is not asked for: what follows stays the same
        chosen = drawn if good is None else good
        image = np.ascontiguousarray(self.images[chosen])
        foreground = self._foreground_of(chosen, image)
        made = part(image, foreground, rng)
        return made if self.allowed is None else kept_within(made, image, self.allowed, foreground, rng)

    def good_of(self, index: int) -> int:
        """Return which good image defect number ``index`` is made of."""
        return int(np.random.default_rng([self.seed, index]).integers(len(self.images)))

    def _foreground_of(self, good: int, image: Image) -> Mask:
        """Return where the defects of ``image``, number ``good``, may lie, bool [h, w]; worked out once an image."""
        # The image is handed on rather than read again: a lazy sequence may decode a file each time.
        if good not in self._foregrounds:
            found = foreground_mask(image, self.config.foreground)
            if self.allowed is not None:
                found = found & self.allowed if (found & self.allowed).any() else self.allowed
            # The whole image is kept as nothing: most textures are, and there may be thousands.
            self._foregrounds[good] = None if found.all() else found
        kept = self._foregrounds[good]
        return np.ones(image.shape[:2], dtype=bool) if kept is None else kept


def make_part(
    config: SynthesisConfig, goods: Sequence[Image], category: str | None = None, names: Sequence[str] | None = None
) -> Part:
    """Return the part, or mixture of parts, of ``config``; UserError where dtd or sia lacks a usable folder."""
    opacity, weights = config.opacity, config.mixture
    if config.source == "dtd":
        return Dtd(_required(config), opacity)
    if config.source == "sia":
        return Sia(_required(config), category, opacity)
    if config.source == "nsa":
        return Nsa(goods, names, opacity)
    if config.source == "cutpaste":
        return Mixture([(CutPaste(opacity), 1.0), (Scar(opacity), 1.0)])
    parts: list[tuple[Part, float]] = [
        (Nsa(goods, names, opacity), weights.nsa),
        (CutPaste(opacity), weights.cutpaste),
        (Scar(opacity), weights.scar),
        (Texture(opacity), weights.texture),
        (Structure(goods, names, opacity), weights.structure),
    ]
    if config.directory is not None and weights.dtd > 0:
        parts.append((Dtd(config.directory, opacity, weights.least_change), weights.dtd))
    if config.generated is not None and weights.sia > 0:
        parts.append((Sia(config.generated, category, opacity, weights.least_change), weights.sia))
    return Mixture(parts)


def _required(config: SynthesisConfig) -> Path:
    if config.directory is not None:
        return config.directory
    if config.source == "sia":
        raise UserError(
            "Synthesis 'sia' needs a folder of images generated for this product: make them with `realnet sdas train` "
            "and `realnet sdas sample` and give them with --source, or take textures, such as those of DTD, with "
            "--synthesis dtd --source FOLDER."
        )
    raise UserError(
        "Synthesis 'dtd' needs a folder of textures, for example the unpacked images of DTD: give it with --source "
        "(synthesis.directory), or use --synthesis mix, which needs none."
    )
