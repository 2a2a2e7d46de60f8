"""Training on one processor, by the part of Lightning Fabric's interface that training uses, without its imports.

Those bring torchmetrics, torchvision and a compiler along: seconds, in which a small inspector is half made.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class LoneProcess:
    """One process on the CPU in single precision: what Fabric would do there, which is nothing much."""

    device = torch.device("cpu")
    is_global_zero, global_rank, world_size = True, 0, 1

    def launch(self) -> None:
        """There is no other process to start."""

    def barrier(self) -> None:
        """Nor one to wait for."""

    def broadcast(self, value: Any) -> Any:
        """Nor one to tell."""
        return value

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Both as they are."""
        return module, optimizer

    def no_backward_sync(self, module: nn.Module, enabled: bool = True) -> AbstractContextManager[None]:
        """Gradients are nobody else's business."""
        return nullcontext()

    def autocast(self) -> AbstractContextManager[None]:
        """Single precision it stays."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Gradients of ``loss``."""
        loss.backward()

    def clip_gradients(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float, error_if_nonfinite: bool = True
    ) -> Tensor:
        """Shorten the gradients to ``max_norm`` together."""
        return nn.utils.clip_grad_norm_(module.parameters(), max_norm, error_if_nonfinite=error_if_nonfinite)
