"""Which stored values are black and white: from values of more than 8 bits to the 8 bits that are judged."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from realnet.errors import UserError

Levels = tuple[float, float]
"""The values that become 0 and 255."""

# The share of an image's values that counts as hot or dead pixels on either side, when levels are found.
_OUTLIERS = 1e-3
# The share that may lie outside the levels, and is then black or white.
_OUTSIDE = 1e-2
# Resampling overshoots a little.
_OVERSHOOT = 1e-3
# How far found levels of values without a scale of their own reach beyond the good images, in shares of their span.
_HEADROOM = 0.25
_HOW = "set data.levels=LOW:HIGH when training"


class Span(NamedTuple):
    """Where the values of an image lie that needs levels.

    Attributes:
        low, high: all but one in a thousand on either side.
        full: the values that the file declares as black and white; None where it does not say.
        is_float: whether they are floats.
    """

    low: float
    high: float
    full: Levels | None
    is_float: bool


def span_of(values: np.ndarray, full: Levels | None) -> Span:
    """The span of ``values``, with one outlier on either side at least; UserError for any that is not finite."""
    flat = values.reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        raise UserError("some of its values are not finite; write it anew without NaN and infinity.")
    out = min(math.ceil(_OUTLIERS * flat.size), (flat.size - 1) // 2)
    ordered = np.partition(flat, (out, flat.size - 1 - out))
    return Span(float(ordered[out]), float(ordered[flat.size - 1 - out]), full, flat.dtype.kind == "f")


def levels_of(spans: Sequence[Span]) -> Levels:
    """The levels of a data set: one pair for all its images (one at least) of more than 8 bits.

    Integers without a sign: 0 and the largest value of 8, 10, 12 ... 32 bits, the fewest that hold them all (and the
    scale that any of the files declares). Floats: 0 and 1, or 0 and 255, where that holds them all. Everything else: as
    far as the values go and a quarter of that beyond, on both sides. UserError where integers and floats are mixed.
    """
    if len({span.is_float for span in spans}) > 1:
        raise UserError(
            "The good images are in part of floats and in part of integers of more than 8 bits: convert the ones, or "
            f"{_HOW}."
        )
    low = min(span.low for span in spans)
    high = max(span.high if span.full is None else span.full[1] for span in spans)
    declared = {span.full for span in spans}
    if len(declared) == 1 and (only := declared.pop()) is not None:
        return only
    if spans[0].is_float:
        for white in (1.0, 255.0):
            if low >= -_OVERSHOOT and high <= white + _OVERSHOOT:
                return 0.0, white
    elif low >= 0:
        for bits in range(8, 66, 2):
            if high < 2**bits:
                return 0.0, float(2**bits - 1)
    room = _HEADROOM * max(high - low, 1.0 if not spans[0].is_float else 1e-6)
    return _rounded(low - room), _rounded(high + room)


def _rounded(value: float) -> float:
    """To four digits: what a person can read and write."""
    return float(f"{value:.4g}")


def written(levels: Levels) -> str:
    """``levels`` as ``data.levels`` takes them."""
    return ":".join(f"{int(value)}" if value == int(value) else repr(value) for value in levels)


def to_8_bits(values: np.ndarray, levels: Levels | None, full: Levels | None = None) -> np.ndarray:
    """``values`` of any type as uint8 of the same shape.

    uint8 is left as it is, and of bool True is white. Everything else is scaled by ``levels``; without them, by
    ``full``, and where that says nothing either uint16 by 0:65535, floats by 0:1 and other integers by 0:255. Values
    outside become black or white.

    Args:
        values: ``[h, w]`` or ``[h, w, c]``.
        levels: of the run.
        full: what the file declares.

    Raises:
        UserError: for what are no numbers, values that are not finite, more than one in a hundred outside the levels,
            and where the levels would leave the image nearly black: floats up to 1 in levels of integers, a declared
            scale or (without levels) 16-bit values of a sixteenth of the levels.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind not in "iuf":
        raise UserError(f"an image holds numbers, not values of type {values.dtype}.")
    chosen = levels or full or _usual(values.dtype)
    _check_fit(values, chosen, levels, full)
    if values.dtype == np.uint16:
        return _scaled(np.arange(65536), chosen)[values]
    return _scaled(values, chosen)


def opacity(alpha: np.ndarray, levels: Levels | None) -> np.ndarray:
    """Values of an alpha channel, from 0 to the upper one of ``levels`` (None: to the type's own), as uint8."""
    if alpha.dtype in (np.uint8, np.bool_):
        return to_8_bits(alpha, None)
    return _scaled(alpha, (0.0, max((levels or _usual(alpha.dtype))[1], 1e-6)))


def _usual(dtype: np.dtype) -> Levels:
    if dtype == np.uint16:
        return 0.0, 65535.0
    return (0.0, 1.0) if dtype.kind == "f" else (0.0, 255.0)


def _scaled(values: np.ndarray, levels: Levels) -> np.ndarray:
    low, high = levels
    return np.clip(np.rint((values.astype(np.float64) - low) * (255 / (high - low))), 0, 255).astype(np.uint8)


def _check_fit(values: np.ndarray, chosen: Levels, levels: Levels | None, full: Levels | None) -> None:
    first, last = values.min(), values.max()
    if not (np.isfinite(first) and np.isfinite(last)):
        raise UserError("some of its values are not finite; write it anew without NaN and infinity.")
    low, high = chosen
    by = f"data.levels={written(chosen)}" if levels else f"{written(chosen)}, the usual levels of {values.dtype}"
    run = f"its values run from {first:g} to {last:g}"
    margin = _OVERSHOOT * (high - low) if values.dtype.kind == "f" else 0.0
    if first < low - margin or last > high + margin:
        outside = np.count_nonzero((values < low - margin) | (values > high + margin))
        if outside > max(2, _OUTSIDE * values.size):
            share = outside / values.size
            raise UserError(f"{run}, {share:.0%} of them outside {by}: convert it, or {_HOW}.")
    if full is not None and levels is not None and (full[1] - full[0]) * 4 <= high - low + 3:
        raise UserError(f"its scale is {written(full)}, of which {by} would leave little: convert it, or {_HOW}.")
    if values.dtype.kind == "f" and high - low >= 255 and low - 1 <= first and last <= 1 and last > first:
        raise UserError(f"{run}, of which {by} would leave nothing: multiply them, or {_HOW}.")
    unknown = levels is None and full is None and values.dtype == np.uint16
    if unknown and last > 0 and span_of(values, None).high < 4096:
        raise UserError(f"{run}, of which {by} would leave nearly black: convert it to 8 bits, or {_HOW}.")
