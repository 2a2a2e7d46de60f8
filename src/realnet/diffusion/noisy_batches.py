"""What a training step of the diffusion model sees: noised good images, each batch a pure function of its number."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from realnet.diffusion.config import DiffusionConfig
from realnet.training.batches import shuffled_index, to_tensor

# A stream of random numbers that must not coincide with others of the same seed.
_NOISE = 11


def to_signed(images: Sequence[np.ndarray]) -> Tensor:
    """uint8 ``[S, S, 3]`` images to ``[B, 3, S, S]`` in -1..1, the range of the diffusion process."""
    return to_tensor(images).mul_(2).sub_(1)


class NoisedBatch(NamedTuple):
    """x_0 ``[B, 3, S, S]`` in -1..1, the places in the schedule ``[B]``, epsilon ``[B, 3, S, S]``, category ``[B]``."""

    images: Tensor
    places: Tensor
    epsilon: Tensor
    category: Tensor | None


class NoisedBatches:
    """The endless, resumable sequence of batches; nothing depends on earlier ones.

    Args:
        images: good images, uint8 ``[S, S, 3]``.
        categories: the number of each one's category.
        rank, world_size: this process's share under DDP; each process has ``batch_size`` images of its own.
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        categories: Sequence[int],
        config: DiffusionConfig,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.images, self.categories, self.config = images, categories, config
        self.rank, self.world_size = rank, world_size

    def number(self, number: int) -> NoisedBatch:
        """Batch ``number`` of this process, on the CPU."""
        settings = self.config.training
        place = number * self.world_size + self.rank
        positions = range(place * settings.batch_size, (place + 1) * settings.batch_size)
        chosen = [shuffled_index(len(self.images), self.config.seed, position) for position in positions]
        rng = np.random.default_rng([self.config.seed, _NOISE, place])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        images = to_signed([self.images[n] for n in chosen])
        if settings.flip:
            mirrored = torch.from_numpy(rng.random(len(chosen)) < 0.5)[:, None, None, None]
            images = torch.where(mirrored, images.flip(-1), images)
        places = torch.randint(self.config.process.highest, (len(chosen),), generator=generator)
        epsilon = torch.randn(images.shape, generator=generator)
        category = None
        if self.config.denoiser.categories:
            category = torch.tensor([self.categories[n] for n in chosen])
        return NoisedBatch(images, places, epsilon, category)

    def starting_at(self, number: int, device: torch.device) -> Iterator[NoisedBatch]:
        """Batches ``number``, ``number + 1``, ... on ``device``; the next is read while one is worked on."""
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.number, number)
            while True:
                batch = coming.result()
                number += 1
                coming = pool.submit(self.number, number)
                moved = [None if part is None else part.to(device, non_blocking=True) for part in batch]
                yield NoisedBatch(*moved)  # type: ignore[arg-type]
