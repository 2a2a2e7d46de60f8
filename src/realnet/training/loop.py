"""Training of the detector: Eq. 6 by Adam, steered by the held-out figure."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from realnet.acceleration import fuses
from realnet.config import Config, TrainingConfig
from realnet.model.losses import realnet_loss
from realnet.model.network import RealNet
from realnet.training.checkpoint import CHECKPOINT_FILE, Progress, load_checkpoint, save_checkpoint
from realnet.training.engine import Control, Optimisation, mean_losses, run_steps
from realnet.training.validation import Figure

if TYPE_CHECKING:
    from lightning.fabric import Fabric


@dataclass(frozen=True)
class Task:
    """What is optimised.

    Attributes:
        model: in training it is changed in place.
        loss: gives L, L_recon and L_seg of a batch; its parameters are what is trained.
        batches: what the loss is called with, from a step on to the last of so many.
        validation: the figure of images that were not trained on, by the model in eval mode.
        steps: of the whole training.
    """

    model: RealNet
    loss: nn.Module
    batches: Callable[[int, int], Iterator[tuple[Any, ...]]]
    validation: Callable[[], Figure]
    steps: int


class LossOfBatch(nn.Module):
    """A forward pass that ends in the loss, so that Fabric's precision and DDP wrap all of it.

    Only the reconstruction, the residuals' ranking statistics and the discriminator are inside: the backbone and
    the selection are frozen, and their output is what comes in.
    """

    def __init__(self, model: RealNet, weights: tuple[float, float]) -> None:
        super().__init__()
        self.reconstruction = model.reconstruction
        self.rrs = model.rrs
        self.discriminator = model.discriminator
        # Not registered: the same modules must not be counted twice, nor the frozen backbone synchronised.
        self._discriminate = model.discriminate
        self.weights = weights

    def forward(self, anomalous: Sequence[Tensor], normal: Sequence[Tensor], mask: Tensor) -> tuple[Tensor, ...]:
        """L, L_recon and L_seg of one batch (Eq. 6)."""
        logits, reconstructions = self._discriminate(anomalous, (mask.shape[-2], mask.shape[-1]))
        return realnet_loss(reconstructions, normal, logits, mask, self.weights)


def learning_rate(config: TrainingConfig, progress: float) -> float:
    """The learning rate at ``progress`` (0..1 of the steps or of the time budget, whichever is further)."""
    if config.schedule == "constant":
        return config.learning_rate
    warm_up = min(1.0, progress / 0.02 + 0.05)
    return config.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def total_steps(config: TrainingConfig, images: int) -> int:
    """How many steps a whole training has."""
    return config.epochs * math.ceil(images / config.batch_size) if config.steps is None else config.steps


def trained_state(model: RealNet) -> dict[str, Tensor]:
    """A copy of what training changes: everything but the backbone and what preparation fitted."""
    return {
        name: tensor.detach().clone()
        for name, tensor in model.state_dict().items()
        if not name.startswith(model.frozen)
    }


def optimise(fabric: "Fabric", task: Task, config: Config, identity: str, control: Control) -> Progress:
    """Train ``task.model`` in place; on return it holds the best state by validation, of several the last.

    Continues from the checkpoint in ``control.folder`` where there is one, which keeps ``identity``: what the run is
    made of. Everything frozen is ready.
    """
    settings, folder = config.training, control.folder
    model, module, steps = task.model, task.loss, task.steps
    optimizer = _optimizer(module, settings, fabric) if steps else None
    progress, best = Progress(identity=identity), trained_state(model)
    model.eval()
    if (folder / CHECKPOINT_FILE).is_file():
        state, progress = load_checkpoint(folder, module, optimizer)
        best = {name: tensor.to(fabric.device) for name, tensor in state.items()}
    if progress.finished:
        if control.report:
            control.report(progress, steps)
    elif steps == 0:
        progress.best_value, progress.finished = task.validation().value, True
        progress.seconds = control.spent
        best = trained_state(model)
        if fabric.is_global_zero:
            save_checkpoint(folder, module, best, None, progress)
    else:
        assert optimizer is not None

        def judge(progress: Progress, rate: float) -> None:
            nonlocal best
            # Under DDP each process has running statistics of its own share; the first's are judged and kept.
            for buffer in module.buffers() if fabric.world_size > 1 else ():
                torch.distributed.broadcast(buffer, 0)
            model.eval()
            _note(progress, fabric.broadcast(task.validation()), settings, rate)
            model.train()
            if progress.best_step == progress.step:
                best = trained_state(model)
            progress.finished = progress.bad_validations >= settings.patience

        model.train()
        work = Optimisation(
            module, optimizer, lambda step: task.batches(step, steps), steps,
            lambda step, share: learning_rate(settings, share), judge, settings.validation_every, lambda: best,
        )  # fmt: skip
        run_steps(fabric, work, progress, control)
    model.load_state_dict(best, strict=False)
    model.eval()
    return progress


def _optimizer(module: nn.Module, settings: TrainingConfig, fabric: "Fabric") -> torch.optim.Optimizer:
    """Without weight decay AdamW is Adam."""
    rate, decay = settings.learning_rate, settings.weight_decay
    return torch.optim.AdamW(module.parameters(), rate, weight_decay=decay, fused=fuses(fabric))


def _note(progress: Progress, figure: Figure, settings: TrainingConfig, rate: float) -> None:
    """Append the newest figures to the log and note whether they are the best so far, or simply the last."""
    better = settings.select == "last" or figure.value > progress.best_value
    # Of equally good states the later one is kept; patience waits for a better one.
    if better or figure.value == progress.best_value:
        progress.best_value, progress.best_step = figure.value, progress.step
    progress.bad_validations = 0 if better else progress.bad_validations + 1
    total, reconstruction, segmentation = mean_losses(progress)
    precision = figure.pixel_average_precision
    progress.log.append(
        {
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            "learning_rate": rate,
            "loss": total,
            "reconstruction_loss": reconstruction,
            "segmentation_loss": segmentation,
            "validation_image_auroc": figure.image_auroc,
            "validation_pixel_average_precision": math.nan if precision is None else precision,
            **({} if figure.pixel_auroc is None else {"validation_pixel_auroc": figure.pixel_auroc}),
            "validation": figure.value,
        }
    )
