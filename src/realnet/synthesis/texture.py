"""Drawn defects that need no data set: spots, cracks, scratches, stains and patches of procedural texture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from realnet.synthesis.anomaly import Anomaly, Image, Mask, Proposer, Trim, compose
from realnet.synthesis.perlin import perlin_mask
from realnet.synthesis.shapes import blob, crack, few_pieces, pixel_of

_LEVELS = np.arange(256, dtype=np.float32)
_PERLIN, _SPOTS, _CRACKS, _STAIN = 0.35, 0.25, 0.25, 0.15


class Texture(Proposer):
    """A defect drawn from nothing but noise and the image's own colours.

    A third are textures through Perlin masks, the others are what industry meets most: dark or bright spots
    of a few pixels, cracks and scratches one to four pixels wide (at 256x256), stains with a soft edge.
    """

    usual_opacity = (0.2, 1.0)

    def _propose(self, image: Image, foreground: Mask, rng: np.random.Generator) -> Anomaly | None:
        opacity = self._draw_opacity(rng)
        choice = int(rng.choice(4, p=(_PERLIN, _SPOTS, _CRACKS, _STAIN)))
        fill = texture(image, rng) if choice == 0 or rng.random() < 0.4 else recoloured(image, rng)
        if choice == 0:
            mask = perlin_mask(foreground, rng)
            if rng.random() < 0.6:
                mask = few_pieces(mask, rng)
            return compose(
                image, fill, mask, opacity, "texture", "generated", Trim(window=3, closing=7, least_share=0.3)
            )
        draw = (_spots, _crack, _stain)[choice - 1]
        coverage = cv2.min(draw(foreground, rng), foreground.view(np.uint8) * np.uint8(255))
        weight = coverage.astype(np.float32) * np.float32(1.0 / 255.0)
        source = np.asarray(cv2.blendLinear(fill, image, weight, 1.0 - weight), dtype=np.uint8)
        return compose(image, source, coverage >= 16, opacity, "texture", "generated", Trim(least_share=0.3))


def _spots(foreground: Mask, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One to four spots, 0.8-7% of the side in radius, small ones far more often."""
    side = min(foreground.shape)
    coverage = np.zeros(foreground.shape, dtype=np.uint8)
    for _ in range(1 + int(rng.binomial(3, 0.25))):
        radius = max(1.5, side * float(np.exp(rng.uniform(np.log(0.008), np.log(0.07)))))
        coverage = np.maximum(coverage, blob(foreground.shape, pixel_of(foreground, rng), radius, rng))
    return _softened(coverage, 0.01 * side, rng)


def _crack(foreground: Mask, rng: np.random.Generator) -> NDArray[np.uint8]:
    side = min(foreground.shape)
    length = side * float(np.exp(rng.uniform(np.log(0.06), np.log(0.8))))
    width = max(1.0, float(rng.uniform(1.0, 4.0)) * side / 256.0)
    return _softened(crack(foreground.shape, pixel_of(foreground, rng), length, width, rng), 0.003 * side, rng)


def _stain(foreground: Mask, rng: np.random.Generator) -> NDArray[np.uint8]:
    radius = max(3.0, min(foreground.shape) * float(rng.uniform(0.04, 0.18)))
    coverage = blob(foreground.shape, pixel_of(foreground, rng), radius, rng)
    return _softened(coverage, 0.35 * radius, rng, always=True)


def _softened(
    coverage: NDArray[np.uint8], most: float, rng: np.random.Generator, always: bool = False
) -> NDArray[np.uint8]:
    """Blur the edge by up to ``most`` pixels, half of the time or always."""
    sigma = float(rng.uniform(0.0, most))
    if sigma < 0.3 or (not always and rng.random() < 0.5):
        return coverage
    # The blur is worked out where there is something to blur.
    left, top, width, height = cv2.boundingRect(coverage)
    reach = int(3 * sigma) + 1
    box = np.s_[max(0, top - reach) : top + height + reach, max(0, left - reach) : left + width + reach]
    coverage[box] = cv2.GaussianBlur(np.ascontiguousarray(coverage[box]), (0, 0), sigma)
    return coverage


def recoloured(image: Image, rng: np.random.Generator) -> Image:
    """Return ``image`` through a tone curve: darker, brighter, a veil of one colour, or a flat colour."""
    choice = rng.random()
    if choice < 0.35:
        curve = _LEVELS[:, None] * rng.uniform(0.1, 0.75, 1).astype(np.float32)
    elif choice < 0.65:
        curve = 255.0 - (255.0 - _LEVELS[:, None]) * rng.uniform(0.2, 0.85, 1).astype(np.float32)
    else:
        share = np.float32(rng.uniform(0.0, 0.6)) if choice < 0.85 else np.float32(0.0)
        curve = share * _LEVELS[:, None] + (1.0 - share) * colours(image, 1, rng)
    table = np.broadcast_to(np.clip(curve, 0.0, 255.0), (256, 3)).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), dtype=np.uint8)


def colours(image: Image, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return ``count`` colours, float32 [count, 3] in 0..255: the image's own, lighter or darker, or any.

    Images without colour get greys, but for one in five.
    """
    flat = image.reshape(-1, 3)
    own = flat[rng.integers(0, len(flat), count)].astype(np.float32)
    sample = flat[:: max(1, len(flat) // 64)].astype(np.int16)
    is_grey = bool(np.abs(sample[:, 0] - sample[:, 2]).mean() < 3.0)
    changed = own + rng.normal(0.0, 50.0, (count, 1)).astype(np.float32)
    anything = rng.uniform(0.0, 255.0, (count, 3)).astype(np.float32)
    if is_grey and rng.random() < 0.8:
        anything[:] = anything[:, :1]
    chosen = np.where(rng.random((count, 1)) < 0.5, changed, anything)
    return np.clip(chosen, 0.0, 255.0)


def texture(image: Image, rng: np.random.Generator) -> Image:
    """Return a procedural texture of the size of ``image``: a field of levels in two to four colours."""
    shape = (image.shape[0], image.shape[1])
    field = (_clouds, _clouds, _stripes, _checks, _speckle, _grain)[int(rng.integers(6))](shape, rng)
    count = int(rng.integers(2, 5))
    stops = np.sort(rng.uniform(0.0, 255.0, count))
    palette = colours(image, count, rng)
    table = np.stack([np.interp(_LEVELS, stops, palette[:, channel]) for channel in range(3)], axis=1)
    levels = cv2.merge([field] * 3)
    return np.asarray(cv2.LUT(levels, table.astype(np.uint8)[None]), dtype=np.uint8)


def _clouds(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Value noise of one to four octaves."""
    total = np.zeros(shape, dtype=np.float32)
    cells, weight = rng.integers(2, 9, 2), 1.0
    for _ in range(int(rng.integers(1, 5))):
        grid = rng.random((int(cells[0]), int(cells[1])), dtype=np.float32)
        total += weight * cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
        cells, weight = np.minimum(cells * 2, 64), weight * 0.6
    return _full_range(total)


def _phase(shape: tuple[int, int], periods: float, direction: float) -> NDArray[np.uint8]:
    """A ramp that runs through 0..255 ``periods`` times over the longer side, wrapping around."""
    step = 256.0 * periods / max(shape)
    rows = np.arange(shape[0], dtype=np.float32)[:, None] * np.float32(step * np.sin(direction))
    columns = np.arange(shape[1], dtype=np.float32) * np.float32(step * np.cos(direction))
    return (rows + columns).astype(np.int32).astype(np.uint8)


def _profile(phase: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    wave = np.sin(_LEVELS * np.float32(2.0 * np.pi / 256.0))
    steepness = np.float32(rng.choice([1.0, 2.0, 20.0]))
    profile = np.clip(127.5 + 127.5 * wave * steepness, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(phase, profile), dtype=np.uint8)


def _stripes(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    return _profile(_phase(shape, float(rng.uniform(2.0, 40.0)), float(rng.uniform(0.0, np.pi))), rng)


def _checks(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    periods, direction = float(rng.uniform(2.0, 24.0)), float(rng.uniform(0.0, np.pi))
    first = _profile(_phase(shape, periods, direction), rng)
    second = _profile(_phase(shape, periods, direction + np.pi / 2), rng)
    return np.asarray(cv2.absdiff(first, second), dtype=np.uint8)


def _noise(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.frombuffer(rng.bytes(shape[0] * shape[1]), dtype=np.uint8).reshape(shape)


def _speckle(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Grains of one colour on another: blurred noise over a threshold."""
    smooth = cv2.GaussianBlur(_noise(shape, rng), (0, 0), float(rng.uniform(0.6, 3.0)))
    limit = float(smooth.mean() + rng.uniform(0.0, 1.5) * smooth.std())
    return np.where(smooth > limit, np.uint8(255), np.uint8(0))


def _grain(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise, blurred along each axis on its own: from brushed to isotropic."""
    sigmas = [float(np.exp(value)) for value in rng.uniform(np.log(0.3), np.log(6.0), 2)]
    smooth = cv2.GaussianBlur(_noise(shape, rng), (0, 0), sigmas[0], sigmaY=sigmas[1])
    return _full_range(smooth.astype(np.float32))


def _full_range(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = cv2.minMaxLoc(values)[:2]
    scaled = cv2.convertScaleAbs(values - np.float32(low), alpha=255.0 / max(high - low, 1e-6))
    return np.asarray(scaled, dtype=np.uint8)
