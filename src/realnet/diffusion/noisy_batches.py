"""What a training step of the diffusion model sees: noised good images, each batch a pure function of its number."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from realnet.diffusion.config import DiffusionConfig
from realnet.training.batches import shuffled_index, to_tensor

# A stream of random numbers that must not coincide with others of the same seed.
_NOISE = 11
# Batches that are made side by side: the noise of one takes a processor longer than a GPU its step.
_AHEAD = 4


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
        """Batches ``number``, ``number + 1``, ... on ``device``; the next are made while one is worked on."""
        pinned = device.type == "cuda"
        with ThreadPoolExecutor(_AHEAD) as pool:
            coming = deque(pool.submit(self._for_copying, number + n, pinned) for n in range(_AHEAD))
            for later in itertools.count(number + _AHEAD):
                batch = coming.popleft().result()
                coming.append(pool.submit(self._for_copying, later, pinned))
                yield _changed(batch, lambda part: part.to(device, non_blocking=True))

    def _for_copying(self, number: int, pinned: bool) -> NoisedBatch:
        """Batch ``number``; ``pinned`` in memory that a GPU reads by itself, so that nobody waits for the copy."""
        batch = self.number(number)
        return _changed(batch, Tensor.pin_memory) if pinned else batch


def _changed(batch: NoisedBatch, change: Callable[[Tensor], Tensor]) -> NoisedBatch:
    return NoisedBatch(*(None if part is None else change(part) for part in batch))  # type: ignore[arg-type]
