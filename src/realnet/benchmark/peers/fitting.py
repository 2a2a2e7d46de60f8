"""Fitting a peer to the good images of a category, and judging its test images."""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader

from realnet.benchmark.peers.known_peers import PEERS, Option, Peer
from realnet.benchmark.peers.peer_models import backbone_of, build, unavailable
from realnet.config import BackboneConfig, Node
from realnet.data import Category, GoodImages, read_image, survey
from realnet.errors import UserError
from realnet.training.batches import to_tensor

_CACHE_BYTES = 2**30
_WARM_UP = 3


class PeerConfig(Node):
    """How a peer is fitted.

    Attributes:
        name: a key of `PEERS`.
        image_size: side in pixels that images are resized to.
        seed: of everything random.
        backbone: the feature extractor and a local file of its weights, for the peers that can run on it; of its
            other fields, which are RealNet's own, nothing is used.
        options: of the constructor of anomalib's model, over those in `PEERS`.
        time_budget: seconds after which training stops at the next step.
        epochs: the most passes; None: those of `PEERS`.
    """

    name: str
    image_size: int = Field(256, ge=32, multiple_of=32)
    seed: int = Field(0, ge=0, lt=2**32)
    backbone: BackboneConfig = BackboneConfig(name="tf_efficientnet_lite0")
    options: dict[str, Option] = Field(default_factory=dict)
    time_budget: Annotated[float, Field(gt=0)] | None = None
    epochs: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True)
class FittedPeer:
    """A peer that has seen the good images.

    Attributes:
        module: anomalib's module; its torch model in ``.model`` takes what ``transform`` gives.
        transform: from RGB in 0..1 ``[B, 3, H, W]``.
        seconds: of building and fitting.
        epochs, steps: passes begun, and batches trained on.
        notes: sentences that a reader of the figures must know.
    """

    module: Any
    transform: Callable[[Tensor], Tensor]
    seconds: float
    epochs: int
    steps: int
    notes: tuple[str, ...]


def fit_peer(category: Category, config: PeerConfig, device: str = "cpu", textures: Path | None = None) -> FittedPeer:
    """Fit a peer to ``category.train``, with anomalib's own loss, optimiser and steps.

    ``textures`` is a folder of texture images, such as DTD's, for the peers that need one.

    Raises:
        UserError: without anomalib; for an unknown peer or option; where textures, or weights that have to be
            downloaded, cannot be had; where an image cannot be read.
    """
    from lightning.pytorch import seed_everything

    if config.name not in PEERS:
        raise UserError(f"There is no peer {config.name!r}; choose one of {', '.join(PEERS)}.")
    peer = PEERS[config.name]
    side = config.image_size // peer.patch * peer.patch
    if len(category.train) < peer.least_images:
        raise UserError(
            f"{peer.title} needs {peer.least_images} good images; {category.name} has {len(category.train)}."
        )
    start = time.perf_counter()
    seed_everything(config.seed, verbose=False)
    module, transform = build(peer, side, config.backbone, dict(config.options), textures)
    files = [sample.image for sample in category.train]
    good = GoodImages(files, config.image_size, _CACHE_BYTES, levels=survey(files).levels)
    data = _data(good, transform, peer.batch_size, config.seed)
    try:
        epochs, steps, ended = _train(module, data, peer, config, device, start)
    except OSError as error:
        if not peer.downloads or isinstance(error, FileNotFoundError):
            raise
        raise unavailable(peer, error) from error
    notes = _notes(peer, config, side, epochs, steps, ended)
    return FittedPeer(module, transform, time.perf_counter() - start, epochs, steps, notes)


def _data(good: GoodImages, transform: Callable[[Tensor], Tensor], batch_size: int, seed: int) -> Any:
    """The training images as the data module that anomalib's models ask for more of the same images."""
    from anomalib.data import ImageBatch
    from lightning.pytorch import LightningDataModule

    def batch(images: list[np.ndarray]) -> ImageBatch:
        """What anomalib's training steps take: images known to be good, so their masks are empty."""
        stack = transform(to_tensor(images).contiguous())
        count, _, height, width = stack.shape
        return ImageBatch(
            image=stack,
            gt_label=torch.zeros(count, dtype=torch.long),
            gt_mask=torch.zeros(count, height, width, dtype=torch.bool),
        )

    class Data(LightningDataModule):
        train_batch_size = batch_size

        def train_dataloader(self) -> DataLoader:
            generator = torch.Generator().manual_seed(seed)
            return DataLoader(good, batch_size, shuffle=True, collate_fn=batch, generator=generator)  # type: ignore[arg-type]

    return Data()


def _train(module: Any, data: Any, peer: Peer, config: PeerConfig, device: str, start: float) -> tuple[int, int, bool]:
    """Fit ``module``; the passes begun, the batches done, and whether the time budget ended it."""
    from lightning.pytorch import Trainer
    from lightning.pytorch.callbacks import Timer

    timer = None
    if config.time_budget is not None and not peer.one_pass:
        left = config.time_budget - (time.perf_counter() - start)
        timer = Timer(timedelta(seconds=max(left, 0.001)), interval="step", verbose=False)
    place = torch.device(device)
    # Its advice and its list of accelerators say nothing of the fit.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            gradient_clip_val=module.trainer_arguments.get("gradient_clip_val"),
            accelerator="cpu" if place.type == "cpu" else "gpu",
            devices=1 if place.type == "cpu" else [place.index or 0],
            max_epochs=peer.epochs if peer.one_pass else config.epochs or peer.epochs,
            callbacks=[timer] if timer else [],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
        )
        trainer.fit(module, datamodule=data)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if peer.model == "EfficientAd":
        # What its validation does: the scale of its two maps. Nothing but training images may be looked at here.
        module.to(place).model.quantiles.update(module.map_norm_quantiles(data.train_dataloader()))
    batches = trainer.fit_loop.epoch_loop.batch_progress.total.completed
    left_over = None if timer is None else timer.time_remaining()
    return trainer.fit_loop.epoch_progress.total.ready, batches, left_over is not None and left_over <= 0


@torch.inference_mode()
def judge_images(
    peer: FittedPeer, category: Category, size: int, device: str = "cpu"
) -> tuple[np.ndarray | None, np.ndarray, float]:
    """What ``peer`` says of ``category.test``, whose masks and labels it does not see, and how fast.

    Returns:
        Maps, float32 ``[N, size, size]`` as the model gives them, neither normalised nor cut, or None where it scores
        whole images only; scores, float64 ``[N]``, likewise; images a second, one at a time: the median over the test
        images, after a warm-up, from the image in memory to its map.
    """
    model, transform = peer.module.model.to(device).eval(), peer.transform
    levels = survey([sample.image for sample in category.train]).levels
    maps, scores, seconds = [], [], []
    for index, sample in enumerate(category.test):
        image = read_image(sample.image, size, levels)
        for _ in range(_WARM_UP if index == 0 else 0):
            _predict(model, image, transform, device)
        begin = time.perf_counter()
        score, anomaly_map = _predict(model, image, transform, device)
        seconds.append(time.perf_counter() - begin)
        scores.append(score)
        maps.append(anomaly_map)
    known = [anomaly_map for anomaly_map in maps if anomaly_map is not None]
    whole = np.stack(known) if known else None
    return whole, np.array(scores, np.float64), 1 / statistics.median(seconds)


def _predict(
    model: Any, image: np.ndarray, transform: Callable[[Tensor], Tensor], device: str
) -> tuple[float, np.ndarray | None]:
    """The score and the map ``[h, w]`` at the size of ``image`` uint8 ``[h, w, 3]``."""
    # Contiguous, as anomalib's own images are: with channels last the networks round otherwise, and run otherwise fast.
    found = model(transform(to_tensor([image]).contiguous().to(device)))
    score = float(found.pred_score.reshape(-1)[0])
    if found.anomaly_map is None:
        return score, None
    anomaly_map = found.anomaly_map.float()
    anomaly_map = anomaly_map.reshape(1, 1, *anomaly_map.shape[-2:])
    if anomaly_map.shape[-2:] != image.shape[:2]:
        anomaly_map = F.interpolate(anomaly_map, image.shape[:2], mode="bilinear", align_corners=False)
    return score, anomaly_map[0, 0].cpu().numpy()


def _notes(peer: Peer, config: PeerConfig, side: int, epochs: int, steps: int, ended: bool) -> tuple[str, ...]:
    # The note speaks of the table's own options, which those asked for may replace.
    notes = [peer.note] if peer.note and not set(peer.options) & set(config.options) else []
    if config.options:
        given = ", ".join(f"{name} = {value}" for name, value in config.options.items())
        notes.append(f"{peer.title} ran with {given}.")
    backbone = backbone_of(peer, config.backbone)
    if backbone is not None and backbone.name != config.backbone.name:
        notes.append(f"{peer.title} cannot run on {config.backbone.name}: it ran on {backbone.name}.")
    if side != config.image_size:
        notes.append(f"{peer.title} saw images of {side} x {side} pixels; its maps are enlarged.")
    if peer.one_pass and config.time_budget is not None:
        notes.append(f"{peer.title} passes over the images without training: no time budget ends it.")
    if ended:
        notes.append(f"The time budget ended the training of {peer.title} in epoch {epochs}, after {steps} steps.")
    return tuple(notes)
