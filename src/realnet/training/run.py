"""A training run as a folder: what is checked, prepared, trained, calibrated and written, in this order."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from realnet.atomic import remove_torn
from realnet.calibration import calibrate, save_calibration
from realnet.card import write_card
from realnet.config import Config
from realnet.data import Category, Sample, fingerprint, read_image
from realnet.data.alike import describe_alike
from realnet.data.images import image_hashes, image_shape
from realnet.data.summary import describe_not_used
from realnet.errors import UserError, plural
from realnet.files import quoted, text_sha256
from realnet.model.network import RealNet
from realnet.model.saving import save_weights
from realnet.overriding import leaves, reading
from realnet.progress import Watcher, interruptible
from realnet.provenance import collect_provenance, facts_of, timestamp
from realnet.record import Record, Training, Validated, save_record
from realnet.run_folder import CONFIG_FILE, MODEL_FILE, Run, save_config, save_seen
from realnet.synthesis import settle_foreground, write_figure
from realnet.training.checkpoint import CHECKPOINT_FILE, Progress, read_progress
from realnet.training.doubts import doubts_of
from realnet.training.engine import Control
from realnet.training.launch import Launch, alone, check_output, make_fabric
from realnet.training.log import reporting
from realnet.training.loop import Task, optimise
from realnet.training.prepare import (
    MOST_TILES,
    Split,
    good_images,
    make_oracle,
    make_synthesizer,
    split_samples,
    with_levels,
)
from realnet.training.tasks import PREPARED_FILE, JudgedGood, Preparation, prepare
from realnet.training.validation import Figure
from realnet.view import REFERENCE_FILE

if TYPE_CHECKING:
    from lightning.fabric import Fabric

ODD_FILE = "odd_good_images.png"
_ODD_SIDE = 240
# Of sizes of good images that are told apart.
_MOST_SIZES = 5


class Trained(NamedTuple):
    """How far a training came, and its model; None where an earlier call had made it, or each product has its own."""

    progress: Progress
    model: RealNet | None = None


def train(
    categories: Sequence[Category], config: Config, output: Path, launch: Launch, watcher: Watcher | None = None
) -> Trained:
    """Train an inspector on the good images of ``categories`` (together, where several) and save it as ``output``.

    Raises:
        UserError: for an output folder in use, a resumed run that differs in data or configuration, or devices
            that are not there.
        KeyboardInterrupt: on Ctrl-C, after a checkpoint was saved.
    """
    with alone(output):
        return _train(categories, config, output, launch, watcher or Watcher())


def _train(categories: Sequence[Category], config: Config, output: Path, launch: Launch, watcher: Watcher) -> Trained:
    started = time.monotonic()
    synthesis, foreground = settle_foreground(config.synthesis, categories)
    if foreground:
        watcher.say(foreground)
    config = config.model_copy(update={"synthesis": synthesis})
    samples = [sample for category in categories for sample in category.train]
    if len(categories) > 1:  # their names may be the same
        samples = [replace(sample, place=sample.full_name) for sample in samples]
    solved = config.model.reconstruction.network == "subspace"
    watcher.stage(f"Looking through {len(samples)} good images")
    config, said = with_levels(config, [sample.image for sample in samples])
    for sentence in said:
        watcher.say(sentence)
    split = split_samples(samples, config)
    data_fingerprint = fingerprint(samples)
    identity = text_sha256(config.model_dump_json() + data_fingerprint)
    # A run that was stopped before anything was prepared has left no more than its configuration.
    kept, own = (MODEL_FILE, CHECKPOINT_FILE, PREPARED_FILE), (CONFIG_FILE, REFERENCE_FILE)
    check_output(output, "a run", kept, own, launch.resume)
    _check_same(output, config, identity)
    finished = read_progress(output)
    if finished is not None and (output / MODEL_FILE).is_file():
        return Trained(finished)
    # Whatever can be wrong is found before anything is written.
    images = good_images(split.train, config, None if solved else MOST_TILES)
    synthesizer = make_synthesizer(split.train, images, config, config.seed)
    alike = describe_alike(images) if len(categories) == 1 else []  # two products differ more than parts of one
    for line in (*alike, *describe_not_used(synthesizer.left_out)):
        watcher.say(line)
    model = RealNet(config)
    fabric = _fabric(config, launch)
    save_config(output, config)
    fabric.launch()
    model = model.to(fabric.device).to(memory_format=torch.channels_last)
    task, judge_good = prepare(Preparation(model, synthesizer, split, config, output, identity, fabric, watcher.stage))
    by_test_images = config.training.select == "oracle"
    if by_test_images:
        test = [sample for category in categories for sample in category.test]
        oracle, held_out = make_oracle(model, test, config, fabric.device), task.validation

        def validation() -> Figure:
            held_out()  # what the learned part is standardised by is fitted on the way
            return oracle()

        task = replace(task, validation=validation)
    spent = time.monotonic() - started
    # Only a step has to be finished; before and after, Ctrl-C ends what goes on at once.
    with interruptible() as stop, reporting(output, by_test_images, watcher, fabric.is_global_zero) as report:
        watcher.trains(by_test_images, launch.time_budget)
        control = Control(output, launch.time_budget, spent, report, stop.is_set)
        progress = optimise(fabric, task, config, identity, control)
    watcher.stage("Calibrating")
    if fabric.is_global_zero:
        judged = judge_good()
        digests = [*images.digests(), *image_hashes([s.image for s in split.held_out], config.data.pair)]
        _finish(output, task, judged, config, progress, categories, split, data_fingerprint, digests, launch)
    fabric.barrier()
    return Trained(progress, model)


def describe_run(output: Path, progress: Progress, watcher: Watcher) -> None:
    """Say what came of a training: which state was kept, and what the threshold promises."""
    run = Run(output)
    oracle = run.config.training.select == "oracle"
    of = "the TEST IMAGES (oracle)" if oracle else "good images and synthetic defects not trained on, no test image"
    kept = f"the best that was judged ({progress.best_value:.3f}, of {of})"
    if run.config.training.select == "last":
        kept = "the last one"
    took = f"in {progress.seconds:.0f} s"
    if run.members:
        watcher.say(f"{len(run.members)} inspectors, one a product, are joined: {took[3:]}.")
    elif run.config.training.steps == 0:
        watcher.say(f"Set up {took}; no step is trained.")
    else:
        watcher.say(
            f"Trained {plural(progress.step, 'step')} {took}. Kept: the state after step {progress.best_step}, {kept}."
        )
    if run.calibration is not None:
        for line in run.calibration.sentences():
            watcher.say(line)
    for one in run.members or (run,):
        if one.calibration is None or not (odd := one.calibration.odd()):
            continue
        if run.members:
            watcher.say(f"{one.folder.name}: {one.calibration.describe_odd(str(one.folder))}")
        watcher.say(f"{', '.join(odd)} {'is' if len(odd) == 1 else 'are'} shown in {one.folder / ODD_FILE}.")


def say_what_next(output: Path, watcher: Watcher) -> None:
    """Say what to do with a trained run: inspect, or train better where it is not to be relied on."""
    doubts = doubts_of(Run(output))
    for sentence in doubts:
        watcher.warn(f"Warning: {sentence}")
    relied = "; do not rely on it before that is mended. To try it" if doubts else ". Next"
    watcher.say(f"The inspector is {output}{relied}: realnet inspect {quoted(output)} IMAGES --output DIR")


def _fabric(config: Config, launch: Launch) -> "Fabric":
    if config.training.batch_size // 2 % launch.devices:
        raise UserError(
            f"Half of training.batch_size={config.training.batch_size} cannot be shared evenly among "
            f"{launch.devices} devices; choose a multiple of {2 * launch.devices}."
        )
    return make_fabric(launch)


def _check_same(output: Path, config: Config, identity: str) -> None:
    started_with = _identity(output)
    if started_with not in (None, identity):
        before = dict(leaves(Run(output).config.model_dump()))
        # A field may be a table in one and none in the other.
        changed = [name for name, value in leaves(config.model_dump()) if (name, value) not in before.items()]
        # The run has a copy of its own.
        changed = [name for name in changed if name != "model.view.reference"] or changed
        what = f"its {', '.join(changed[:3])} differ" if changed else "its good images have changed"
        raise UserError(f"{output} cannot be resumed: {what} from this call. Repeat the call it was started with.")


def _identity(output: Path) -> str | None:
    """What the run in ``output`` was started with, as far as it came."""
    progress = read_progress(output)
    if progress is not None:
        return progress.identity
    path = output / PREPARED_FILE
    if not path.is_file():
        return None
    with reading(path, "delete it and repeat the call", also=SafetensorError), safe_open(path, framework="pt") as file:
        return (file.metadata() or {}).get("identity")


def _sizes(good: Sequence[Sample]) -> tuple[tuple[int, int], ...]:
    """The widths and heights of the images; none of more than so many."""
    found = sorted({image_shape(sample.image)[::-1] for sample in good})
    return tuple(found) if len(found) <= _MOST_SIZES else ()


def _finish(
    output: Path,
    task: Task,
    judged: JudgedGood,
    config: Config,
    progress: Progress,
    categories: Sequence[Category],
    split: Split,
    data_fingerprint: str,
    digests: Sequence[str],
    launch: Launch,
) -> None:
    """Calibrate on the good images and write everything a run consists of, the model last."""
    good = (*split.train, *split.held_out)
    calibration = calibrate(
        judged.scores,
        judged.pixel_threshold,
        config.training.false_alarms,
        judged.source,
        timestamp(),
        judged.figure.defect_scores,
        judged.names,
        len(judged.scores) if not split.held_out and config.model.reconstruction.network != "subspace" else 0,
    ).with_confirmed(sample.name for sample in good if sample.confirmed)
    training = Training(
        categories=tuple(category.name for category in categories),
        good_images=len(split.train),
        held_out_images=len(split.held_out),
        repeated_images=len(digests) - len(set(digests)),
        sizes=_sizes(good),
        augmentation=judged.augmentation,
        steps=progress.step,
        selected_by=config.training.select,
        planned_steps=task.steps,
        best_step=progress.best_step,
        seconds=round(progress.seconds, 1),
        time_budget_seconds=launch.time_budget,
        precision=str(launch.precision),
        devices=launch.devices,
    )
    provenance = collect_provenance(
        data_fingerprint=data_fingerprint,
        split="train",
        **facts_of(config),
        backbone_weights=task.model.backbone.source,
    )
    if odd := calibration.odd():
        files = {sample.name: sample.image for sample in good}
        pictures = [read_image(files[name], _ODD_SIDE, config.data.pair) for name in odd]
        write_figure(output / ODD_FILE, np.hstack(pictures))
    save_record(output, Record(validation=_validated(judged, config), training=training, provenance=provenance))
    save_seen(output, digests)
    save_calibration(output, calibration)
    write_card(Run(output))
    save_weights(output / MODEL_FILE, task.model)
    # What only served training, and what a killed attempt left half-written.
    (output / PREPARED_FILE).unlink(missing_ok=True)
    remove_torn(output)


def _validated(judged: JudgedGood, config: Config) -> Validated:
    meaning = f"{judged.source} against synthetic defects made of them; "
    if config.training.select == "oracle":
        meaning += "(oracle) of the state that is best on the TEST images"
    else:
        meaning += "no test image was looked at"
    figure = judged.figure
    return Validated(
        meaning=meaning,
        image_auroc=figure.image_auroc,
        pixel_average_precision=figure.pixel_average_precision,
        good_images=len(judged.scores),
        synthetic_defects=len(figure.defect_scores),
    )
