"""RealNet as a model of anomalib: its Engine fits, tests, predicts with and exports it, on its own data modules."""

import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from realnet.config import Config
from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.model.network import RealNet as Network
from realnet.model.saving import load_model
from realnet.overriding import leaves, override
from realnet.presets import preset_called, presets
from realnet.run_folder import Run
from realnet.synthesis import Synthesizer
from realnet.training.batches import GoodFeatures
from realnet.training.loop import learning_rate, total_steps
from realnet.training.prepare import fit_selection, with_levels
from realnet.training.solving import Solver
from realnet.training.tasks import detector_batches, head_batches

try:
    from anomalib import LearningType
    from anomalib.data import Batch as AnomalibBatch
    from anomalib.data import InferenceBatch
    from anomalib.metrics import Evaluator
    from anomalib.models.components import AnomalibModule
    from anomalib.post_processing import PostProcessor
    from anomalib.pre_processing import PreProcessor
    from anomalib.visualization import Visualizer

    from realnet.integrations.anomalib_reading import SamePixels
except ImportError as error:
    raise UserError(f"realnet.integrations.anomalib needs anomalib: {install_hint('compare')}.") from error

logger = logging.getLogger(__name__)

# More steps than any training has: when to stop is the trainer's business.
_ENDLESS = 2**30


def _log_stage(text: str, done: int = 0, total: int = 0) -> None:
    """A line a stage; how far it is would be too many."""
    if done == 0:
        logger.info("RealNet: %s.", text)


class InspectorModel(nn.Module):
    """The torch model inside: images in, what anomalib calls an inference batch out.

    Shapes:
        input: ``[B, 3, H, W]``, RGB in 0..1, H and W divisible by 32.
        output: ``anomaly_map`` ``[B, 1, H, W]`` and ``pred_score`` ``[B]``, both in 0..1 before post-processing.

    Args:
        pre_trained: load the backbone's ImageNet weights.
    """

    fitted: Tensor

    def __init__(self, config: Config, pre_trained: bool) -> None:
        super().__init__()
        self.network = Network(config, pre_trained)
        # Kept with the weights: what was fitted to good images must not be fitted again to others.
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, image: Tensor) -> InferenceBatch:
        """Map and score of ``image``."""
        anomaly_map, score = self.network.judge(image)
        return InferenceBatch(pred_score=score, anomaly_map=anomaly_map)


@dataclass
class _Fit:
    """What one call of ``fit`` trains with; no part of the model."""

    loss: nn.Module
    batches: Iterator[tuple[Any, ...]]
    steps: int
    # Called before the model judges: what its learned part is standardised by.
    settle: Callable[[], Any] = lambda: None


class RealNet(AnomalibModule):
    """RealNet for anomalib's Engine.

    Training is that of ``realnet train``: the good images of the train data loader's data set are read once, at the
    model's size (augmentations, where the data module has any, are drawn once); statistics and feature selection (with
    preset ``lite`` the subspaces, too) are fitted to them, and each step takes good images and synthetic defects by
    ``training`` of the configuration. A batch of anomalib's loader only calls for a step, whatever it holds, so
    ``train_batch_size=1`` loads least. Training ends after the configuration's steps, or earlier where the Engine's
    own limits say so, and always with a validation where the data module has a validation set: anomalib's, after each
    epoch, from which its thresholds come. No image is held out by ours, and the last state is kept, so the fields of
    ``training`` on validation, selection of a state and the threshold do not apply.

    A model whose selection has been fitted (from a run, a checkpoint or an earlier ``fit``) keeps it; for another
    product make a new one.

    Args:
        preset: a name in ``realnet.presets``.
        settings: ``FIELD=VALUE``, as ``--set`` takes them, such as ``model.rrs.retention=0.25``.
        steps: in the place of ``training.steps``.
        pre_trained: load the backbone's ImageNet weights; needless for a model that is then loaded.
        pre_processor: default: a resize to ``model.image_size``. One of your own must give RGB in 0..1, not
            normalised, with sides divisible by 32.

    Raises:
        UserError: for an unknown preset, field or value, or weights that cannot be had.

    Example:
        >>> from anomalib.data import MVTecAD  # doctest: +SKIP
        >>> from anomalib.engine import Engine  # doctest: +SKIP
        >>> from realnet.integrations.anomalib import RealNet  # doctest: +SKIP
        >>> data = MVTecAD("mvtec_ad", category="bottle", train_batch_size=1)  # doctest: +SKIP
        >>> Engine().train(RealNet(), datamodule=data)  # doctest: +SKIP
    """

    model: InspectorModel

    def __init__(
        self,
        preset: str = "lite",
        settings: list[str] | None = None,
        steps: int | None = None,
        pre_trained: bool = True,
        pre_processor: nn.Module | bool = True,
        post_processor: nn.Module | bool = True,
        evaluator: Evaluator | bool = True,
        visualizer: Visualizer | bool = True,
    ) -> None:
        limit = [] if steps is None else [f"training.steps={steps}"]
        config = override(preset_called(preset), [*(settings or []), *limit])
        if config.model.tile is not None:
            raise ValueError("model.tile has no effect in anomalib, which has a tiler of its own: leave it out")
        if config.model.view.asked:
            raise ValueError("model.view has no effect in anomalib, which hands over whole images: leave it out")
        size = config.model.image_size
        super().__init__(
            pre_processor=self.configure_pre_processor((size, size)) if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.config = config
        if isinstance(self.pre_processor, SamePixels):
            self.pre_processor.levels = config.data.pair
        self.model = InspectorModel(config, pre_trained).to(memory_format=torch.channels_last)
        self._fit: _Fit | None = None

    @classmethod
    def from_run(cls, run: str | Path, **modules: Any) -> "RealNet":
        """The model of the finished run ``run``, its thresholds in the post-processor; UserError where it is none.

        ``modules`` are pre-processor, post-processor, evaluator and visualizer, as the class takes them.
        """
        opened = Run(Path(run))
        network = load_model(opened)
        score, pixel = opened.thresholds
        module = cls(*_as_arguments(opened.config), pre_trained=False, **modules)
        module.model.network.load_state_dict(network.state_dict())
        module.model.fitted.fill_(True)
        if isinstance(module.post_processor, PostProcessor):
            # Scores and maps lie in 0..1 as they are, so that anomalib's normalisation only shifts them.
            for name, value in (("image", score), ("pixel", pixel)):
                module.post_processor.get_buffer(f"_{name}_threshold").fill_(value)
                module.post_processor.get_buffer(f"{name}_min").fill_(0.0)
                module.post_processor.get_buffer(f"{name}_max").fill_(1.0)
        return module.eval()

    @staticmethod
    def configure_pre_processor(image_size: tuple[int, int] | None = None) -> PreProcessor:
        """A plain resize to a square, by the function used everywhere; ValueError for another shape."""
        height, width = image_size or (256, 256)
        if height != width:
            raise ValueError(f"RealNet sees squares, not {height} x {width}: give one side twice")
        return SamePixels(height)

    @property
    def learning_type(self) -> LearningType:
        """Good images only."""
        return LearningType.ONE_CLASS

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """Nothing can be validated before the selection is fitted."""
        return {"num_sanity_val_steps": 0}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam on all that is not frozen; its rate is set at every step."""
        trained = [parameter for parameter in self.model.network.parameters() if parameter.requires_grad]
        return torch.optim.Adam(trained, lr=self.config.training.learning_rate, betas=(0.9, 0.999))

    def on_train_start(self) -> None:
        """Read the good images, fit the selection unless it is, and cache features; UserError for images of no use."""
        settings, network = self.config.training, self.model.network
        loader: Any = self.trainer.train_dataloader
        steps = int(min(total_steps(settings, len(loader.dataset)), self.trainer.estimated_stepping_batches))
        if self.trainer.global_step >= steps:
            # A checkpoint of a finished fit: there is nothing to prepare for.
            self.trainer.should_stop = True
            return
        # Anomalib's own data sets know their files.
        listed = "image_path" in getattr(loader.dataset, "samples", ())
        files = [Path(path) for path in loader.dataset.samples["image_path"]] if listed else None
        names = None if files is None else [file.name for file in files]
        if files is not None and isinstance(self.pre_processor, SamePixels):
            self.config, said = with_levels(self.config, files)
            self.pre_processor.levels = self.config.data.pair
            for sentence in said:
                logger.info(sentence)
        images = _good_images(loader.dataset, self.pre_processor)
        category = getattr(loader.dataset, "category", None)
        synthesizer = Synthesizer(images, self.config.synthesis, self.config.seed, category, names)
        if (loader.batch_size or 1) > 1:
            logger.info("RealNet takes one step a batch, whatever its size: train_batch_size=1 loads fewer images.")
        # A model that came from a run or an export is in eval mode, which Lightning leaves as it is.
        self.train()
        done = self.trainer.global_step * self.trainer.accumulate_grad_batches
        if network.reconstruction.solved:
            self._fit = self._solve(synthesizer, done, steps)
        else:
            self._fit = self._prepare(synthesizer, done, steps)
        self.model.fitted.fill_(True)

    def _prepare(self, synthesizer: Synthesizer, done: int, steps: int) -> _Fit:
        network, images = self.model.network, synthesizer.images
        raw = GoodFeatures(images, network.backbone.extract, self.device, self.config.training.cache_gigabytes)
        if not self.model.fitted:
            logger.info("RealNet selects features on %d good images.", len(images))
            fit_selection(network, raw, synthesizer, self.config)
        share = slice(self.global_rank, None, self.trainer.world_size)
        loss, batches = detector_batches(network, synthesizer, raw, self.config, share)
        return _Fit(loss, batches.starting_at(done, _ENDLESS), steps)

    def _solve(self, synthesizer: Synthesizer, done: int, steps: int) -> _Fit:
        network = self.model.network
        seen = Solver(network, synthesizer, self.config, self.device, _log_stage).solve()
        share = slice(self.global_rank, None, self.trainer.world_size)
        loss, batches, validation = head_batches(network, seen, self.config, steps, share)
        return _Fit(loss, batches.starting_at(done, _ENDLESS), steps, validation.settle)

    def on_validation_start(self) -> None:
        """Settle what the model's learned part is standardised by, as it is now."""
        if self._fit is not None:
            self._fit.settle()

    def training_step(self, batch: AnomalibBatch, batch_idx: int) -> dict[str, Tensor]:
        """One step of ours (Eq. 6); what ``batch`` holds is known already."""
        del batch, batch_idx
        assert self._fit is not None
        rate = learning_rate(self.config.training, self.trainer.global_step / self._fit.steps)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        ours = next(self._fit.batches)
        loss, reconstruction, segmentation = self._fit.loss(*ours)
        size = self.config.training.batch_size
        self.log("train_loss", loss.detach(), prog_bar=True, batch_size=size)
        self.log("train_reconstruction_loss", reconstruction.detach(), batch_size=size)
        self.log("train_segmentation_loss", segmentation.detach(), batch_size=size)
        return {"loss": loss}

    def on_train_batch_end(self, outputs: Any, batch: AnomalibBatch, batch_idx: int) -> None:
        """Ask the trainer to stop after the last step: unlike a limit of its own, that is followed by validation."""
        del outputs, batch, batch_idx
        assert self._fit is not None
        if self.trainer.global_step >= self._fit.steps:
            self.trainer.should_stop = True

    def on_train_end(self) -> None:
        """Settle the model once more, and release the cached features."""
        if self._fit is not None:
            self.eval()
            self._fit.settle()
        self._fit = None

    def validation_step(self, batch: AnomalibBatch, *args: Any, **kwargs: Any) -> Any:
        """``batch`` with the maps and scores of its images."""
        del args, kwargs
        return batch.update(**self.model(batch.image)._asdict())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note beside the weights that none need be had elsewhere to load them."""
        super().on_save_checkpoint(checkpoint)
        kept = {**checkpoint["hyper_parameters"], "pre_trained": False}
        if self.config.data.levels is not None:
            kept["settings"] = [*(kept.get("settings") or ()), f"data.levels={self.config.data.levels}"]
        checkpoint["hyper_parameters"] = kept

    def __getstate__(self) -> dict[str, Any]:
        """What an interrupted ``fit`` was training with is not exported."""
        return {**super().__getstate__(), "_fit": None}


def _as_arguments(config: Config) -> tuple[str, list[str]]:
    """The preset and the settings that give ``config`` again."""
    preset = config.preset if config.preset in presets else "paper"
    before = dict(leaves(presets[preset].model_dump(mode="json")))
    after = leaves(config.model_dump(mode="json"))
    # JSON is YAML, which the value is read as.
    return preset, [f"{path}={json.dumps(value)}" for path, value in after if before[path] != value]


def _good_images(dataset: Any, pre_processor: Any) -> list[np.ndarray]:
    """The images of ``dataset`` as the network sees them, uint8 ``[h, w, 3]``; UserError for what it does not take."""
    images: list[np.ndarray] = []
    transform = getattr(pre_processor, "transform", None)
    for number in range(len(dataset)):
        item = dataset[number]
        image = item.image
        if isinstance(pre_processor, SamePixels):
            image = pre_processor.shrink(image, getattr(item, "image_path", None))
        elif transform is not None:
            image = transform(image)
        low, high = float(image.min()), float(image.max())
        if not (math.isfinite(low + high) and low >= -1e-3 and high <= 1 + 1e-3):
            raise UserError(
                f"The pre-processor gives values from {low:.2f} to {high:.2f}, but RealNet takes 0 to 1 and normalises "
                "by itself: leave Normalize out of it."
            )
        height, width = image.shape[-2:]
        if height % 32 or width % 32 or (images and images[0].shape[:2] != (height, width)):
            raise UserError(
                f"The pre-processor gives images of {height}x{width} pixels, but RealNet takes one size, with sides "
                "divisible by 32: have it resize them."
            )
        images.append(image.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy())
    return images
