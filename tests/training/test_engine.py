"""The losses in the log are those of every batch since the last row, also where they are read late."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from realnet.errors import UserError
from realnet.training.checkpoint import Progress, load_checkpoint
from realnet.training.engine import Control, Optimisation, mean_losses, run_steps
from realnet.training.lone import LoneProcess


class Square(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: list[float] = []

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        loss = (self.weight * x).square()
        self.seen.append(loss.item())
        return loss, loss.detach() + 1, loss.detach() + 2


@pytest.mark.parametrize("accumulate", [1, 3])
def test_every_batch_counts_once(tmp_path: Path, accumulate: int) -> None:
    module, progress = Square(), Progress()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    rows: list[list[float]] = []

    def numbers(step: int) -> Iterator[tuple[Tensor]]:
        return ((torch.tensor(float(n)),) for n in range(1 + step, 1000))

    work = Optimisation(
        module, optimizer, numbers, 7, lambda *_: 0.01, lambda *_: rows.append(mean_losses(progress)), 3, dict,
        accumulate,
    )  # fmt: skip
    run_steps(cast(Fabric, LoneProcess()), work, progress, Control(tmp_path))
    parts = [module.seen[: 3 * accumulate], module.seen[3 * accumulate : 6 * accumulate], module.seen[6 * accumulate :]]
    for row, part in zip(rows, parts, strict=True):
        mean = sum(part) / len(part)
        assert row == pytest.approx([mean, mean + 1, mean + 2])


def test_a_stop_keeps_the_losses_of_all_steps_before_it(tmp_path: Path) -> None:
    module, progress = Square(), Progress()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    ones = lambda step: iter([(torch.ones(()),)] * 9)  # noqa: E731
    work = Optimisation(module, optimizer, ones, 9, lambda *_: 0.01, lambda *_: None, 9, dict)
    with pytest.raises(KeyboardInterrupt):
        run_steps(cast(Fabric, LoneProcess()), work, progress, Control(tmp_path, stop=lambda: progress.step == 4))
    _, kept = load_checkpoint(tmp_path, module, optimizer)
    assert kept.averaged == 4 and kept.losses[0] == pytest.approx(sum(module.seen))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_training_that_diverges_says_so_and_saves_nothing_of_it(tmp_path: Path, accumulate: int) -> None:
    module, progress = Square(), Progress()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    values = [1.0] * (3 * accumulate) + [float("inf")] + [1.0] * 9
    work = Optimisation(
        module, optimizer, lambda step: iter([(torch.tensor(v),) for v in values]), 9, lambda *_: 0.01, lambda *_: None,
        2, dict, accumulate,
    )  # fmt: skip
    with pytest.raises(UserError, match="at step 4 the loss is not finite"):
        run_steps(cast(Fabric, LoneProcess()), work, progress, Control(tmp_path))
    load_checkpoint(tmp_path, module, optimizer)
    assert module.weight.isfinite()
