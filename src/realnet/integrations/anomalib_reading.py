"""Images as anomalib's data modules hand them on, shrunk and, where anomalib reads another picture, read as we do."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.pre_processing import PreProcessor
from torch import Tensor
from torchvision.transforms.v2 import Resize

from realnet.data import read_image, resize_image
from realnet.data.decoding import reads_alike
from realnet.data.levels import Levels


class SamePixels(PreProcessor):
    """A plain resize by the function that every path of RealNet shrinks with: the same pixels to the bit.

    Files that anomalib reads as another picture than we do (more than 8 bits, an EXIF orientation, pages, an alpha
    channel) are read anew, by the run's levels. In graphs that anomalib exports, its own resize is left.

    Args:
        size: side of the square that the network sees, in pixels.

    Attributes:
        levels: the stored values that are black and white in images of more than 8 bits.
    """

    def __init__(self, size: int) -> None:
        super().__init__(Resize((size, size), antialias=True))
        self.size = size
        self.levels: Levels | None = None

    def shrink(self, image: Tensor, path: str | Path | None = None) -> Tensor:
        """One image ``[3, H, W]`` in 0..1 as ``[3, size, size]``; UserError where its file does not fit the levels."""
        if path is not None and Path(path).is_file() and not reads_alike(Path(path)):
            small = read_image(path, self.size, self.levels)
        else:
            pixels = image.detach().cpu().mul(255).round().clamp(0, 255).byte().permute(1, 2, 0)
            small = resize_image(np.ascontiguousarray(pixels.numpy()), self.size)
        return torch.from_numpy(small).permute(2, 0, 1).to(image.device).to(image.dtype).div(255)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, *numbers: int, **named: int) -> None:
        """Shrink a batch; its masks as anomalib does."""
        self._prepare(batch)

    on_validation_batch_start = on_test_batch_start = on_predict_batch_start = on_train_batch_start

    def _prepare(self, batch: Any) -> None:
        paths = getattr(batch, "image_path", None) or [None] * len(batch.image)
        images = torch.stack([self.shrink(image, path) for image, path in zip(batch.image, paths, strict=True)])
        assert self.transform is not None
        _, mask = self.transform(batch.image, batch.gt_mask)
        batch.image, batch.gt_mask = images, mask
