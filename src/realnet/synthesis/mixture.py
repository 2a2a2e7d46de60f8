"""A weighted mixture of parts."""

from collections.abc import Sequence

import numpy as np

from realnet.errors import UserError
from realnet.synthesis.anomaly import Anomaly, Image, Mask, Part


class Mixture:
    """Draw one of ``parts`` for each defect, proportionally to their weights; UserError where none is above zero."""

    def __init__(self, parts: Sequence[tuple[Part, float]]) -> None:
        chosen = [(part, weight) for part, weight in parts if weight > 0]
        if not chosen:
            raise UserError("The synthesis mixture is empty: give one of synthesis.mixture a weight above 0.")
        self.parts = tuple(part for part, _ in chosen)
        total = sum(weight for _, weight in chosen)
        self._limits = np.cumsum([weight / total for _, weight in chosen])[:-1]

    def __call__(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly:
        """Return a defect of ``image``; see `Part`."""
        return self.parts[int(np.searchsorted(self._limits, rng.random(), side="right"))](image, foreground, rng)
