"""The training loop of every model: steps by the clock, judged now and then, saved and resumable, stopped by Ctrl-C."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from realnet.errors import UserError
from realnet.training.checkpoint import Progress, save_checkpoint
from realnet.training.launch import Clock

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Report = Callable[[Progress, int], None]

# Between judgements that are far apart, no more than this is lost to a kill.
CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class Optimisation:
    """What is optimised, and how it is judged.

    Attributes:
        module: gives what is minimised of a batch, and its parts; its parameters are what is trained.
        optimizer: of them.
        batches: the batches from a step on, without an end or to the last step.
        steps: of the whole training.
        rate: the learning rate of a step (from 0), at a share (0..1) of the steps or the time, whichever is further.
        judge: looks at the model every ``every`` steps and at the end, writes a row of the log with the learning rate
            that it is told, and may say that training is finished.
        kept: what a checkpoint keeps beside the module.
        accumulate: batches a step in each process; their gradients are averaged.
        clip: largest norm of the gradients; None: any.
        after_step: called after every step of the optimizer.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Callable[[int], Iterator[tuple[Any, ...]]]
    steps: int
    rate: Callable[[int, float], float]
    judge: Callable[[Progress, float], None]
    every: int
    kept: Callable[[], dict[str, Tensor]]
    accumulate: int = 1
    clip: float | None = None
    after_step: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Control:
    """How a training is carried on and watched.

    Attributes:
        folder: for the checkpoint.
        time_budget: seconds after which to stop, preparation included; None: none.
        spent: seconds that preparation took.
        report: called after every step with the progress and the number of steps of the whole.
        stop: asked after every step; True saves a checkpoint and raises KeyboardInterrupt.
    """

    folder: Path
    time_budget: float | None = None
    spent: float = 0.0
    report: Report | None = None
    stop: Callable[[], bool] = lambda: False


def run_steps(fabric: "Fabric", work: Optimisation, progress: Progress, control: Control) -> None:
    """Train from where ``progress`` stands to the end, and note in it how far that is.

    KeyboardInterrupt where ``control.stop`` says so, after a checkpoint was saved.
    """
    wrapped, optimizer = fabric.setup(work.module, work.optimizer)
    clock = Clock(progress.seconds + control.spent, control.time_budget)
    saved = time.monotonic()
    batches, losses_of = work.batches(progress.step), _Losses(progress)
    while not progress.finished:
        # Under DDP the first process's clock and Ctrl-C count: all must take the same steps at the same rate.
        share = fabric.broadcast(max(progress.step / work.steps, clock.fraction()))
        rate = work.rate(progress.step, share)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        for number in range(1, work.accumulate + 1):
            with fabric.no_backward_sync(wrapped, enabled=number < work.accumulate):
                losses = wrapped(*next(batches))
                fabric.backward(losses[0] / work.accumulate)
            losses_of.add(losses)
        if work.clip is not None:
            fabric.clip_gradients(wrapped, optimizer, max_norm=work.clip, error_if_nonfinite=False)
        optimizer.step()
        work.after_step()
        progress.step += 1
        over, stopping = fabric.broadcast((clock.over(), control.stop()))
        ended = progress.step >= work.steps or over
        due = progress.step % work.every == 0 or ended
        progress.seconds = clock.seconds()
        saving = due or stopping or time.monotonic() - saved > CHECKPOINT_SECONDS
        if saving:
            losses_of.settle()
        if due:
            work.judge(progress, rate)
            progress.finished = progress.finished or ended
        progress.seconds = clock.seconds()
        if saving and fabric.is_global_zero:
            save_checkpoint(control.folder, work.module, work.kept(), optimizer, progress)
            saved = time.monotonic()
        if control.report:
            control.report(progress, work.steps)
        if stopping:
            raise KeyboardInterrupt
    fabric.barrier()


class _Losses:
    """Adds up the losses of ``progress``, each batch's after the next has begun: a GPU never waits to be read."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.step = progress, 0
        self.waiting: Tensor | None = None

    def add(self, losses: Sequence[Tensor]) -> None:
        """Those of a batch."""
        self.settle()
        self.step = self.progress.step + 1
        self.waiting = torch.stack([loss.detach() for loss in losses])

    def settle(self) -> None:
        """Also the last batch's."""
        if self.waiting is not None:
            parts = self.waiting.tolist()
            if not all(map(math.isfinite, parts)):
                raise UserError(
                    f"Training has diverged: at step {self.step} the loss is not finite. Lower "
                    "training.learning_rate, or use --precision 32-true; --resume continues from the last checkpoint."
                )
            self.progress.losses = [kept + part for kept, part in zip(self.progress.losses, parts, strict=True)]
            self.progress.averaged += 1
            self.waiting = None


def mean_losses(progress: Progress) -> list[float]:
    """The means since they were last asked for, which begin anew."""
    means = [loss / max(1, progress.averaged) for loss in progress.losses]
    progress.losses, progress.averaged = [0.0] * len(means), 0
    return means
