"""The two ways to an inspector: networks that are trained, and subspaces that are solved for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lightning.fabric import Fabric
from safetensors.torch import load_file

from realnet.config import Config
from realnet.data import Sample
from realnet.data.good_images import read_seen
from realnet.model.evidence import EvidenceDiscriminator
from realnet.model.network import RealNet, measure
from realnet.model.saving import write_tensors
from realnet.synthesis import Synthesizer, contact_sheet, write_figure
from realnet.training.batches import Batches, GoodFeatures
from realnet.training.folds import Solver, Stage, scores_by_file
from realnet.training.heads import FoldedValidation, HeadBatches, LossOfHeads
from realnet.training.kept_features import FEATURES_FILE, kept_of, save_features
from realnet.training.loop import LossOfBatch, Task, total_steps
from realnet.training.prepare import FITTED, Split, first_defects, fit_selection, make_validation, tiled_scores
from realnet.training.validation import Figure
from realnet.view import view_of

PREPARED_FILE, SHEET_FILE = "prepared.safetensors", "synthetic_defects.png"
_SHOWN_DEFECTS = 12


@dataclass(frozen=True)
class JudgedGood:
    """What the threshold rests on: good images that were judged by what has not seen them.

    Attributes:
        names, scores: of the images, in the same order.
        pixel_threshold: of the anomaly map.
        figure: the validation figure of the state that is kept.
        source: which images these are, in words.
        augmentation: which copies of good images joined the subspace; None: there is none.
        trained_on: how many images a step draws from.
    """

    names: tuple[str, ...]
    scores: tuple[float, ...]
    pixel_threshold: float
    figure: Figure
    source: str
    augmentation: str | None
    trained_on: int


@dataclass(frozen=True)
class Prepared:
    """A task that is ready, and what judges the good images once it is done."""

    task: Task
    judge_good: Callable[[], JudgedGood]


def prepare_trained(
    model: RealNet,
    synthesizer: Synthesizer,
    split: Split,
    config: Config,
    output: Path,
    identity: str,
    fabric: Fabric,
    stage: Stage,
) -> Prepared:
    """Statistics, selection, caches. What was selected is saved, so that a resumed run need not select again."""
    settings, images = config.training, synthesizer.images
    stage(f"Reading {len(images)} good images")
    raw = GoodFeatures(images, model.backbone.extract, fabric.device, settings.cache_gigabytes)
    prepared = output / PREPARED_FILE
    if prepared.is_file():
        model.load_state_dict(load_file(prepared), strict=False)
    else:
        stage("Selecting features (AFS)" if config.model.afs.method == "afs" else "Selecting features")
        fit_selection(model, raw, synthesizer, config)
        if fabric.is_global_zero:
            _save_fitted(prepared, model, identity)
            _write_sheet(output, synthesizer, config)
    good = raw.then(model.select_from)
    stage("Preparing validation")
    validation = make_validation(model, split.judged, config, fabric.device)
    batches = Batches(
        model, synthesizer, good, config.seed, settings.batch_size, settings.fresh, settings.window,
        settings.workers, fabric.global_rank, fabric.world_size,
    )  # fmt: skip
    loss = LossOfBatch(model, (settings.reconstruction_weight, settings.segmentation_weight))

    def judge_good() -> JudgedGood:
        figure = validation()
        scores = figure.good_scores if config.model.tile is None else tiled_scores(model, split.judged, config)
        names = validation.names if config.model.tile is None else tuple(s.name for s in split.judged)
        source = "held-out good images" if split.held_out else "good images that it was trained on"
        return JudgedGood(names, scores, validation.pixel_threshold(), figure, source, None, len(images))

    return Prepared(Task(model, loss, batches, validation, total_steps(settings, len(images))), judge_good)


def prepare_solved(
    model: RealNet,
    synthesizer: Synthesizer,
    split: Split,
    config: Config,
    output: Path,
    identity: str,
    fabric: Fabric,
    stage: Stage,
) -> Prepared:
    """Subspaces, evidence and the residuals that heads are trained on. All of it is the same again when resumed."""
    settings, images = config.training, synthesizer.images
    solver = Solver(model, synthesizer, config, fabric.device, stage)
    seen = solver.solve()
    if fabric.is_global_zero:
        _save_fitted(output / PREPARED_FILE, model, identity)
        if settings.keep_features:
            each = len(seen.moved) // len(images)
            names = [sample.name for sample in split.train]
            save_features(output / FEATURES_FILE, kept_of(names, seen, each, solver.features))
        _write_sheet(output, synthesizer, config)
    steps = total_steps(settings, len(images))
    discriminator = model.discriminator
    heads = len(discriminator.heads) if isinstance(discriminator, EvidenceDiscriminator) else 1
    validation = FoldedValidation(model, seen, learned=steps > 0)
    batches = HeadBatches(seen, heads, config.seed, settings.batch_size, fabric.global_rank, fabric.world_size)

    def judge_good() -> JudgedGood:
        figure = validation()
        scores = figure.good_scores
        if config.training.tolerance.asked:
            scores = tuple(validation.scores(seen.at_limit).tolist())
        names = [sample.name for sample in split.train]
        by_file = scores_by_file(seen, scores, len(names))
        rest = _scores(model, split.held_out, config)
        moved = "moved as far as is tolerated, and " if config.training.tolerance.asked else ""
        return JudgedGood(
            (*names, *(sample.name for sample in split.held_out)),
            (*by_file, *rest),
            validation.pixel_threshold(),
            figure,
            f"good images, {moved}each judged by what has not seen it",
            seen.augmentation,
            len(images),
        )

    return Prepared(Task(model, LossOfHeads(model, config.seed), batches, validation, steps), judge_good)


def _scores(model: RealNet, samples: Sequence[Sample], config: Config) -> list[float]:
    """Scores of good images that were not fitted to."""
    if config.model.tile is not None:
        return list(tiled_scores(model, samples, config))
    model.eval()
    size, view, levels = config.model.image_size, view_of(config.model.view, config.data.pair), config.data.pair
    found: list[float] = []
    for start in range(0, len(samples), 16):
        batch: list[np.ndarray] = [
            read_seen(sample.image, view, size, levels) for sample in samples[start : start + 16]
        ]
        found += measure(model, batch)[1]
    return found


def _write_sheet(output: Path, synthesizer: Synthesizer, config: Config) -> None:
    shown = first_defects(synthesizer, config, _SHOWN_DEFECTS)
    write_figure(output / SHEET_FILE, contact_sheet([defect for _, defect in shown], [good for good, _ in shown]))


def _save_fitted(path: Path, model: RealNet, identity: str) -> None:
    fitted = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if name.startswith(FITTED)
    }
    write_tensors(path, fitted, {"identity": identity})
