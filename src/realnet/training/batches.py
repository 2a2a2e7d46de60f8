"""What a training step sees: features of good images and of synthetic defects, each a pure function of its number."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from realnet.config import TrainingConfig
from realnet.model.network import RealNet
from realnet.synthesis.synthesizer import Synthesizer

# Streams of random numbers that must not coincide.
_ORDER, _DRAW = 1, 2


class Batch(NamedTuple):
    """One step's input: selected features of A and of I, one pair a network, and M ``[B, 1, H, W]`` (0 or 1)."""

    anomalous: list[Tensor]
    normal: list[Tensor]
    mask: Tensor


def to_tensor(images: Sequence[np.ndarray] | np.ndarray) -> Tensor:
    """uint8 ``[B, h, w, 3]`` to float ``[B, 3, h, w]`` in 0..1, channels last in memory."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(list(images))))
    return stacked.permute(0, 3, 1, 2).float().div_(255)


class AnomalySamples(Dataset):
    """Synthetic defects by number, as tensors, for a DataLoader; ``limit`` only bounds its length."""

    def __init__(self, synthesizer: Synthesizer, good_count: int, seed: int, limit: int) -> None:
        self.synthesizer, self.good_count, self.seed, self.limit = synthesizer, good_count, seed, limit

    def __len__(self) -> int:
        return self.limit

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        """Image uint8 ``[h, w, 3]``, mask uint8 ``[1, h, w]``, number of the good image it was made of."""
        good = shuffled_index(self.good_count, self.seed, index)
        anomaly = self.synthesizer(index, good)
        return torch.from_numpy(anomaly.image), torch.from_numpy(anomaly.mask.astype(np.uint8))[None], good


def shuffled_index(count: int, seed: int, position: int) -> int:
    """Element ``position`` of an endless sequence of shuffled passes over ``range(count)``."""
    epoch, offset = divmod(position, count)
    return int(np.random.default_rng([seed, _ORDER, epoch]).permutation(count)[offset])


def drawn_numbers(seed: int, step: int, fresh: int, window: int, count: int) -> list[int]:
    """The numbers of the ``count`` defects that a step draws out of those at hand then."""
    draw = np.random.default_rng([seed, _DRAW, step]).choice(window, count, replace=False)
    return [fresh * step + int(place) for place in draw]


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class GoodFeatures:
    """Features of the good images, kept in memory where they fit, otherwise computed whenever asked for.

    Args:
        images: good images, uint8 ``[h, w, 3]``.
        compute: from images ``[B, 3, h, w]`` in 0..1 to features.
        device: where features are made and kept.
        gigabytes: the most the cache may take.
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        compute: Callable[[Tensor], list[Tensor]],
        device: torch.device,
        gigabytes: float,
    ) -> None:
        self.images, self.compute, self.device, self.gigabytes = images, compute, device, gigabytes
        self.cache = self._fill(self._compute)

    def then(self, change: Callable[[Sequence[Tensor]], list[Tensor]]) -> "GoodFeatures":
        """The same images' features after ``change``; what was cached here is used and then released."""
        changed, compute = copy.copy(self), self.compute
        changed.compute = lambda images: change(compute(images))
        changed.cache = changed._fill(lambda numbers: change(self[numbers]))
        self.cache = None
        return changed

    def batches(self, size: int = 16) -> Iterator[list[Tensor]]:
        """The features of all images, batch after batch."""
        for start in range(0, len(self.images), size):
            yield self[range(start, min(start + size, len(self.images)))]

    def __getitem__(self, numbers: Sequence[int]) -> list[Tensor]:
        """Features ``[len(numbers), C_k, h_k, w_k]`` of these good images."""
        if self.cache is None:
            return self._compute(numbers)
        index = torch.as_tensor(list(numbers), device=self.device)
        return [kept.index_select(0, index).permute(0, 3, 1, 2) for kept in self.cache]

    def _compute(self, numbers: Sequence[int]) -> list[Tensor]:
        with torch.no_grad():
            images = to_tensor([self.images[n] for n in numbers]).to(self.device)
            return self.compute(images.contiguous(memory_format=torch.channels_last))

    @torch.no_grad()
    def _fill(self, get: Callable[[Sequence[int]], list[Tensor]]) -> list[Tensor] | None:
        count = len(self.images)
        first = get(range(1))
        if sum(f.nbytes for f in first) * count > self.gigabytes * 2**30:
            return None
        cache = [_empty_rows(f, count) for f in first]
        for start in range(0, count, 16):
            numbers = range(start, min(start + 16, count))
            for kept, feature in zip(cache, get(numbers), strict=True):
                kept[start : start + len(numbers)] = feature.permute(0, 2, 3, 1)
        return cache


class Batches:
    """The endless, resumable sequence of training batches.

    Step i draws half a batch of good images and half a batch out of the synthetic defects numbered
    ``fresh * i`` to ``fresh * i + window - 1``; nothing depends on earlier steps, so training continues anywhere.

    Args:
        model: with its selection fitted.
        seed: of the order of everything.
        settings: of which batch size, window and workers count.
        share: this process's of every batch under DDP.
    """

    def __init__(
        self,
        model: RealNet,
        synthesizer: Synthesizer,
        good: GoodFeatures,
        seed: int,
        settings: TrainingConfig,
        share: slice = slice(None),
    ) -> None:
        self.model, self.synthesizer, self.good, self.seed, self.share = model, synthesizer, good, seed, share
        self.half, self.fresh, self.window = settings.batch_size // 2, settings.fresh, settings.window
        self.workers = settings.workers

    def starting_at(self, step: int, steps: int) -> Iterator[Batch]:
        """Batches of the steps ``step`` to ``steps - 1``."""
        numbers = range(self.fresh * step, self.fresh * (steps - 1) + self.window)
        samples = AnomalySamples(self.synthesizer, len(self.good.images), self.seed, numbers.stop)
        loader = iter(
            DataLoader(
                samples, batch_size=self.fresh, sampler=numbers, num_workers=self.workers, worker_init_fn=_one_thread
            )
        )
        # Defects arrive `fresh` at a time: with room for one more delivery none of the window is overwritten.
        ring = _Ring(self.window + self.fresh, numbers.start)
        for i in range(step, steps):
            while ring.end < min(self.fresh * i + self.window, numbers.stop):
                images, masks, goods = next(loader)
                ring.add(self._features(images), masks, goods)
            yield self._batch(i, ring)

    def _features(self, images: Tensor) -> list[Tensor]:
        device = self.good.device
        batch = images.to(device).permute(0, 3, 1, 2).float().div_(255)
        return self.model.select(batch.contiguous(memory_format=torch.channels_last))

    def _batch(self, step: int, ring: "_Ring") -> Batch:
        numbers = drawn_numbers(self.seed, step, self.fresh, self.window, self.half)[self.share]
        positions = range(step * self.half, (step + 1) * self.half)[self.share]
        normals = [shuffled_index(len(self.good.images), self.seed + 1, position) for position in positions]
        anomalous, masks, goods = ring.take(numbers)
        normal = self.good[normals]
        of_anomalous = self.good[goods]
        masks = masks.to(self.good.device)
        return Batch(
            [torch.cat([n, a]) for n, a in zip(normal, anomalous, strict=True)],
            [torch.cat([n, i]) for n, i in zip(normal, of_anomalous, strict=True)],
            torch.cat([torch.zeros_like(masks[: len(normals)]), masks]),
        )


def _empty_rows(feature: Tensor, count: int) -> Tensor:
    """Room for ``count`` features, channels last: a row copy then gives a channels_last batch for nothing."""
    _, channels, height, width = feature.shape
    return feature.new_empty((count, height, width, channels))


class _Ring:
    """The last ``size`` synthetic defects: features, masks and the numbers of their good images."""

    def __init__(self, size: int, start: int) -> None:
        self.size, self.end = size, start
        self.features: list[Tensor] = []
        self.masks = torch.empty(0)
        self.goods = [0] * size

    def add(self, features: list[Tensor], masks: Tensor, goods: Tensor) -> None:
        if not self.features:
            self.features = [_empty_rows(f, self.size) for f in features]
            self.masks = masks.new_empty((self.size, *masks.shape[1:]))
        for j in range(len(masks)):
            place = self.end % self.size
            for kept, feature in zip(self.features, features, strict=True):
                kept[place] = feature[j].permute(1, 2, 0)
            self.masks[place] = masks[j]
            self.goods[place] = int(goods[j])
            self.end += 1

    def take(self, numbers: Sequence[int]) -> tuple[list[Tensor], Tensor, list[int]]:
        places = [n % self.size for n in numbers]
        index = torch.as_tensor(places)
        features = [kept.index_select(0, index.to(kept.device)).permute(0, 3, 1, 2) for kept in self.features]
        return features, self.masks.index_select(0, index), [self.goods[p] for p in places]
