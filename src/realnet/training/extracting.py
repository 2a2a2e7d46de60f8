"""Features of images for closed-form reconstruction, as fast as a CPU makes them."""

import copy
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from realnet.model.folding import fold_batch_norms, use_products
from realnet.model.network import RealNet
from realnet.model.threads import Threads
from realnet.training.batches import to_tensor
from realnet.training.memory import give_back_memory
from realnet.training.validation import batched

_BATCH = 16


class Extractor:
    """Passes images through a copy of the backbone of ``model``, most of the work of a closed-form training.

    BatchNorm is folded, and the images are shared out to threads.
    """

    def __init__(self, model: RealNet, device: torch.device) -> None:
        self.model, self.device = model, device
        self._backbone, self._lanes = copy.deepcopy(model.backbone), Threads()
        side = model.config.image_size
        fold_batch_norms(self._backbone, torch.zeros(1, 3, side, side, device=device))
        if device.type == "cpu":
            use_products(self._backbone)

    def raw(
        self,
        images: Iterable[np.ndarray],
        kept: torch.dtype = torch.float16,
        told: Callable[[int], None] = lambda done: None,
    ) -> list[Tensor]:
        """Raw features ``[n, c, h, w]`` of ``images``, a tensor a tap, in the precision ``kept``.

        Half is enough for what is judged. What a subspace is fitted to is kept in single precision: where good images
        are alike, rounding would be all that they differ by.
        """
        found: list[list[Tensor]] = []
        for number, batch in enumerate(batched(images, _BATCH)):
            told(number * _BATCH)
            shown = to_tensor(batch).to(self.device).contiguous(memory_format=torch.channels_last)
            features = self._lanes(self._extract, shown)
            found = found or [[] for _ in features]
            for parts, feature in zip(found, features, strict=True):
                parts.append(feature.contiguous().to(kept))
        whole = []
        for parts in found:
            whole.append(torch.cat(parts))
            parts.clear()  # so that one tap at a time is there twice
        give_back_memory()
        return whole

    def selected(self, raw: Sequence[Tensor]) -> list[Tensor]:
        """The selected, aligned features of raw ones, in their precision."""
        parts = [self.model.select_from([f[i : i + 64].float() for f in raw]) for i in range(0, len(raw[0]), 64)]
        return [torch.cat([part[k].to(raw[0].dtype) for part in parts]) for k in range(len(parts[0]))]

    def _extract(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._backbone.extract(images))
