"""The two ways to an inspector: networks that are trained, and subspaces that are solved for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file

from realnet.config import Config
from realnet.model.network import RealNet
from realnet.model.saving import write_tensors
from realnet.progress import Stage
from realnet.synthesis import Synthesizer, contact_sheet, write_figure
from realnet.synthesis.shown_defects import save_defects
from realnet.training.batches import Batches, GoodFeatures
from realnet.training.heads import FoldedValidation, HeadBatches, LossOfHeads
from realnet.training.kept_features import FEATURES_FILE, kept_of, save_features
from realnet.training.loop import LossOfBatch, Task, total_steps
from realnet.training.memory import give_back_memory
from realnet.training.out_of_sample import OutOfSample, scores_by_file
from realnet.training.prepare import FITTED, Split, first_defects, fit_selection, image_scores, make_validation
from realnet.training.solving import Solver
from realnet.training.validation import Figure

if TYPE_CHECKING:
    from lightning.fabric import Fabric

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
    """

    names: tuple[str, ...]
    scores: tuple[float, ...]
    pixel_threshold: float
    figure: Figure
    source: str
    augmentation: str | None


Prepared = tuple[Task, Callable[[], JudgedGood]]
"""A task that is ready, and what judges the good images once it is done."""


@dataclass(frozen=True)
class Preparation:
    """What a task is prepared of.

    Attributes:
        model: on its device, nothing fitted yet.
        synthesizer: defects of the good images that are trained on.
        split: which these are, and which are held out.
        output: the run's folder.
        identity: what the run is made of, kept beside what is fitted.
        stage: told what is being done.
    """

    model: RealNet
    synthesizer: Synthesizer
    split: Split
    config: Config
    output: Path
    identity: str
    fabric: "Fabric"
    stage: Stage


def prepare(given: Preparation) -> Prepared:
    """Fit what is frozen, and make ready what is trained."""
    return _prepare_solved(given) if given.model.reconstruction.solved else _prepare_trained(given)


def detector_batches(
    model: RealNet, synthesizer: Synthesizer, raw: GoodFeatures, config: Config, share: slice
) -> tuple[LossOfBatch, Batches]:
    """What trained networks are trained with, once the selection is fitted; ``raw`` are features of the good images."""
    settings = config.training
    batches = Batches(model, synthesizer, raw.then(model.select_from), config.seed, settings, share)
    return LossOfBatch(model, (settings.reconstruction_weight, settings.segmentation_weight)), batches


def head_batches(
    model: RealNet, seen: OutOfSample, config: Config, steps: int, share: slice
) -> tuple[LossOfHeads, HeadBatches, FoldedValidation]:
    """What the heads beside solved subspaces are trained with, and what settles their part."""
    validation = FoldedValidation(model, seen, learned=steps > 0)
    batches = HeadBatches(seen, validation.heads, config.seed, config.training.batch_size, share)
    return LossOfHeads(model, config.seed), batches, validation


def _prepare_trained(given: Preparation) -> Prepared:
    """Statistics, selection, caches. What was selected is saved, so that a resumed run need not select again."""
    model, config, split, fabric = given.model, given.config, given.split, given.fabric
    images = given.synthesizer.images
    given.stage(f"Reading {len(images)} good images")
    raw = GoodFeatures(images, model.backbone.extract, fabric.device, config.training.cache_gigabytes)
    prepared = given.output / PREPARED_FILE
    if prepared.is_file():
        model.load_state_dict(load_file(prepared), strict=False)
    else:
        given.stage("Selecting features (AFS)" if config.model.afs.method == "afs" else "Selecting features")
        fit_selection(model, raw, given.synthesizer, config)
        _save_preparation(given)
    share = slice(fabric.global_rank, None, fabric.world_size)
    loss, batches = detector_batches(model, given.synthesizer, raw, config, share)
    given.stage("Preparing validation")
    validation = make_validation(model, split.judged, config, fabric.device)

    def judge_good() -> JudgedGood:
        figure = validation()
        scores = figure.good_scores if config.model.tile is None else image_scores(model, split.judged, config)
        names = validation.names if config.model.tile is None else tuple(s.name for s in split.judged)
        source = "held-out good images" if split.held_out else "good images that it was trained on"
        return JudgedGood(names, scores, validation.pixel_threshold(), figure, source, None)

    steps = total_steps(config.training, len(images))
    return Task(model, loss, batches.starting_at, validation, steps), judge_good


def _prepare_solved(given: Preparation) -> Prepared:
    """Subspaces, evidence and the residuals that heads are trained on. All of it is the same again when resumed."""
    model, config, split, fabric = given.model, given.config, given.split, given.fabric
    images = given.synthesizer.images
    solver = Solver(model, given.synthesizer, config, fabric.device, given.stage)
    seen = solver.solve()
    _save_preparation(given)
    if config.training.keep_features and fabric.is_global_zero:
        kept = kept_of([sample.name for sample in split.train], seen, solver.features)
        save_features(given.output / FEATURES_FILE, kept)
        del kept
    del solver
    give_back_memory()
    steps = total_steps(config.training, len(images))
    share = slice(fabric.global_rank, None, fabric.world_size)
    loss, batches, validation = head_batches(model, seen, config, steps, share)

    def judge_good() -> JudgedGood:
        figure, outlined_from = validation.examine()
        scores = figure.good_scores
        if config.training.tolerance.asked:
            scores = tuple(validation.scores(seen.at_limit).tolist())
        names = [sample.name for sample in split.train]
        return JudgedGood(
            (*names, *(sample.name for sample in split.held_out)),
            (*scores_by_file(seen.groups.tolist(), scores), *image_scores(model, split.held_out, config)),
            outlined_from,
            figure,
            seen.source,
            seen.augmentation,
        )

    return Task(model, loss, batches.starting_at, validation, steps), judge_good


def _save_preparation(given: Preparation) -> None:
    """What was fitted, and a sheet of the first defects; by the first process."""
    if not given.fabric.is_global_zero:
        return
    fitted = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in given.model.state_dict().items()
        if name.startswith(FITTED)
    }
    write_tensors(given.output / PREPARED_FILE, fitted, {"identity": given.identity})
    shown = first_defects(given.synthesizer, given.config, _SHOWN_DEFECTS)
    save_defects(given.output, shown)
    sheet = contact_sheet([defect for _, defect in shown], [good for good, _ in shown])
    write_figure(given.output / SHEET_FILE, sheet)
