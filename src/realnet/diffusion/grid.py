"""Sheets of samples: columns of strengths from one seed (Figs. 3a, S1, S4), blended in as well (Fig. S6)."""

from collections.abc import Callable, Sequence

import numpy as np

from realnet.diffusion.generating import Request, sample_numbers, start_of, to_images
from realnet.diffusion.model_folder import DiffusionModel
from realnet.synthesis import blend, foreground_mask, perlin_mask

# App. B: the opacity of generated images.
_OPACITY = (0.5, 1.0)


def strength_columns(
    model: DiffusionModel,
    category: str,
    strengths: Sequence[float],
    rows: int,
    request: Request,
    progress: Callable[[int], None] = lambda columns: None,
) -> tuple[list[list[np.ndarray]], list[str]]:
    """The same images, of the same noise, at each strength, after the good ones they start from: columns and titles."""
    goods = model.starts(category)
    number = model.category_number(category)
    starts = None if goods is None else [goods[start_of(request, n, len(goods))] for n in range(rows)]
    columns: list[list[np.ndarray]] = [] if starts is None else [starts]
    titles = [] if starts is None else ["good image"]
    for strength in strengths:
        made = sample_numbers(model, request, range(rows), [number] * rows, [strength] * rows, starts)
        columns.append(list(to_images(made)))
        titles.append(f"s = {strength:g}")
        progress(len(columns))
    return columns, titles


def local_columns(
    columns: Sequence[Sequence[np.ndarray]], goods: Sequence[np.ndarray], seed: int, foreground: str = "auto"
) -> list[list[np.ndarray]]:
    """Columns of generated images as local anomalies (Eq. 3, Fig. S6): a row's good image, mask and opacity are one.

    ``columns`` are those of `strength_columns` without good images, ``goods`` one of their size a row, ``seed`` that of
    masks and opacities, ``foreground`` as in `SynthesisConfig`.
    """
    blended: list[list[np.ndarray]] = [[] for _ in columns]
    for row, good in enumerate(goods):
        rng = np.random.default_rng([seed, row])
        mask = perlin_mask(foreground_mask(good, foreground), rng)
        opacity = float(rng.uniform(*_OPACITY))
        for place, column in enumerate(columns):
            blended[place].append(blend(good, column[row], mask, opacity))
    return blended
