"""The two ways to an inspector: networks that are trained, and subspaces that are solved for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.fabric import Fabric
from safetensors.torch import load_file

from realnet.config import Config
from realnet.model.evidence import EvidenceDiscriminator
from realnet.model.network import RealNet
from realnet.model.saving import write_tensors
from realnet.synthesis import Synthesizer, contact_sheet, write_figure
from realnet.training.batches import Batches, GoodFeatures
from realnet.training.folds import OutOfSample, Solver, Stage
from realnet.training.heads import FoldedValidation, HeadBatches, LossOfHeads
from realnet.training.loop import LossOfBatch, Task, total_steps
from realnet.training.prepare import FITTED, Split, first_defects, fit_selection, image_scores, make_validation
from realnet.training.validation import Figure

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
        scores = figure.good_scores if config.model.tile is None else image_scores(model, split.judged, config)
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
    seen = Solver(model, synthesizer, config, fabric.device, stage).solve()
    if fabric.is_global_zero:
        _save_fitted(output / PREPARED_FILE, model, identity)
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
        by_file = _by_file(seen, scores, len(names))
        rest = image_scores(model, split.held_out, config)
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


def _by_file(seen: OutOfSample, scores: Sequence[float], files: int) -> list[float]:
    """The score of each file: the highest of its tiles'."""
    highest = [0.0] * files
    for group, score in zip(seen.groups.tolist(), scores, strict=True):
        highest[group] = max(highest[group], score)
    return highest


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
