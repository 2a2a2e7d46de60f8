"""Training a diffusion model as a folder: what is checked, estimated, trained, judged and written, in this order."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from realnet.atomic import remove_torn, write_text
from realnet.data import Category, GoodImages, fingerprint, read_image, survey
from realnet.data.samples import spread
from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.denoiser import Denoiser
from realnet.diffusion.denoiser_training import NoisePrediction, optimise
from realnet.diffusion.estimate import check_memory, estimate_training
from realnet.diffusion.generating import Request, sample_numbers, to_images
from realnet.diffusion.guided_layout import initialise
from realnet.diffusion.model_folder import (
    CONFIG_FILE,
    FACTS_FILE,
    STARTS_FOLDER,
    WEIGHTS_FILE,
    DiffusionModel,
    load_diffusion_config,
    make_denoiser,
    save_starts,
)
from realnet.diffusion.noisy_batches import NoisedBatches, to_signed
from realnet.diffusion.readiness import describer, judge_samples
from realnet.errors import UserError
from realnet.files import file_sha256, text_sha256
from realnet.model.saving import save_weights
from realnet.overriding import as_yaml
from realnet.progress import Watcher, interruptible
from realnet.provenance import collect_provenance
from realnet.synthesis import grid_image, write_figure
from realnet.training.checkpoint import CHECKPOINT_FILE, Progress, read_progress
from realnet.training.engine import Control
from realnet.training.launch import Launch, alone, check_output, make_fabric
from realnet.training.log import reporting
from realnet.training.prepare import Split, split_good

SAMPLES_FOLDER = "samples"
_CACHE_BYTES = 2**31
# Images that the prior's components are computed from; more change them little.
_PRIOR_IMAGES = 512


def train_diffusion(
    categories: Sequence[Category],
    config: DiffusionConfig,
    output: Path,
    launch: Launch,
    init: Path | None = None,
    watcher: Watcher | None = None,
) -> Progress:
    """Train a diffusion model on the good images of ``categories`` and save it as ``output``.

    Where there are several categories the network is conditioned on them. ``init`` is a checkpoint in guided
    diffusion's layout to start from. Continues from the checkpoint in ``output`` with ``launch.resume``.

    Raises:
        UserError: for an output folder in use, a resumed run that differs in data or configuration, an ``init`` that
            does not fit, too little memory, or devices that are not there.
        KeyboardInterrupt: on Ctrl-C, after a checkpoint was saved.
    """
    with alone(output):
        return _train(categories, config, output, launch, init, watcher or Watcher())


def _train(
    categories: Sequence[Category],
    config: DiffusionConfig,
    output: Path,
    launch: Launch,
    init: Path | None,
    watcher: Watcher,
) -> Progress:
    names = tuple(category.name for category in categories)
    denoiser_config = config.denoiser.model_copy(update={"categories": len(names) if len(names) > 1 else 0})
    config = config.model_copy(update={"denoiser": denoiser_config})
    samples = [sample for category in categories for sample in category.train]
    split = split_good(samples, config.training.held_out_share, config.seed)
    start = "" if init is None else file_sha256(init) if init.is_file() else str(init)
    identity = text_sha256(config.model_dump_json() + fingerprint(samples) + start)
    _check_output(output, identity, launch.resume)
    finished = read_progress(output)
    if finished is not None and finished.finished and (output / WEIGHTS_FILE).is_file():
        return finished
    if init is not None and not init.is_file():
        raise UserError(f"Training cannot start from {init}: there is no such file. Check --init.")
    if config.training.accumulate % launch.devices:
        raise UserError(
            f"The training.accumulate={config.training.accumulate} batches of a step cannot be shared evenly among "
            f"{launch.devices} devices; choose a multiple of {launch.devices}, and training.batch_size accordingly."
        )
    fabric = make_fabric(launch)
    memory = check_memory(fabric.device, config)
    if init is None and finished is None and config.preset == "paper":
        watcher.say(_from_nothing(config))
    denoiser = make_denoiser(config)
    if init is not None and finished is None:
        watcher.say(initialise(denoiser, init))
    write_text(output / CONFIG_FILE, as_yaml(config))
    size = config.denoiser.image_size
    found = survey([sample.image for sample in samples])
    for sentence in found.sentences:
        watcher.say(sentence)
    images = GoodImages([sample.image for sample in split.train], size, _CACHE_BYTES, levels=found.levels)
    held_out = GoodImages([sample.image for sample in split.held_out], size, _CACHE_BYTES, levels=found.levels)
    if denoiser.prior is not None:
        watcher.say(f"Fitting the linear estimate to {len(images)} good images")
        _fit_prior(denoiser, images, held_out)
    fabric.launch()
    denoiser = denoiser.to(fabric.device).to(memory_format=torch.channels_last)
    numbers = [names.index(sample.category) for sample in split.train]
    batches = NoisedBatches(images, numbers, config, fabric.global_rank, fabric.world_size)
    module = NoisePrediction(denoiser, config.process)
    estimate = estimate_training(fabric, module, next(batches.starting_at(0, fabric.device)), config, memory)
    done = 0 if finished is None else finished.step
    watcher.say(estimate.sentence(config.training.steps, done, launch.time_budget))
    if fabric.is_global_zero and config.process.start < 1:
        for name in names:
            own = [sample.image for sample in split.train if sample.category == name]
            save_starts(output, name, own, config.size, found.levels)
    model = DiffusionModel(output, config, denoiser, names, "")
    judge = _judge(model, images, split, watcher)
    with interruptible() as stop, reporting(output, False, watcher, fabric.is_global_zero) as report:
        control = Control(output, launch.time_budget, 0.0, report, stop.is_set)
        progress = optimise(fabric, denoiser, batches, judge, config, identity, control)
    if fabric.is_global_zero:
        _finish(model, split, progress, launch, init)
    fabric.barrier()
    return progress


def _from_nothing(config: DiffusionConfig) -> str:
    """What the paper's network costs where it is not begun as in App. B."""
    images = config.training.steps * config.training.batch_size * config.training.accumulate
    return (
        f"This starts from nothing: without --init the paper's network begins with random weights. The paper's begins "
        f"with one trained on ImageNet, for which guided diffusion took about two million steps of 256 images; the "
        f"{images:,} images of this training are not one in a hundred of that, and the samples will be far worse. Give "
        "--init 256x256_diffusion_uncond.pt, or choose --preset gpu, which is made to start from nothing."
    )


def _fit_prior(denoiser: Denoiser, images: Sequence[np.ndarray], held_out: Sequence[np.ndarray]) -> None:
    assert denoiser.prior is not None
    denoiser.prior.fit(
        (to_signed([images[i]]) for i in spread(len(images), _PRIOR_IMAGES)), (to_signed([image]) for image in held_out)
    )


def _check_output(output: Path, identity: str, resume: bool) -> None:
    """Refuse to overwrite, and to continue another training than this."""
    if (output / CONFIG_FILE).is_file():
        load_diffusion_config(output)  # what is no diffusion model's, an inspector's run say, is not written over
    own = (CONFIG_FILE, STARTS_FOLDER, SAMPLES_FOLDER, FACTS_FILE, "tensorboard")
    check_output(output, "a diffusion model", (WEIGHTS_FILE, CHECKPOINT_FILE), own, resume)
    progress = read_progress(output)
    if progress is not None and progress.identity != identity:
        raise UserError(
            f"{output} cannot be resumed: its good images or its settings differ from this call's. Repeat the call "
            "it was started with."
        )


def _judge(
    model: DiffusionModel, images: GoodImages, split: Split, watcher: Watcher
) -> Callable[[int], dict[str, Any]]:
    """What is done at every report: samples of s = 0, their grid, the readiness figure."""
    config = model.config
    chosen = spread(len(images), config.training.report_images)
    categories = [model.category_number(split.train[i].category) for i in chosen]
    goods = np.stack([read_image(split.train[i].image, config.size, images.levels) for i in chosen])
    starts = list(goods) if config.process.start < 1 else None
    unseen = np.stack([read_image(sample.image, config.size, images.levels) for sample in split.held_out[:64]])
    describe = describer()

    def judge(step: int) -> dict[str, Any]:
        settings = config.training
        request = Request(0.0, 0.0, settings.sampling_steps, config.seed, batch=settings.batch_size)
        made = sample_numbers(model, request, range(len(chosen)), categories, [0.0] * len(chosen), starts)
        samples = to_images(made)
        path = model.folder / SAMPLES_FOLDER / f"step-{step:07d}.png"
        rows = [samples[:16]] if starts is None else [goods[:16], samples[:16]]
        write_figure(path, grid_image([list(column) for column in zip(*rows, strict=True)]))
        readiness = judge_samples(samples, goods, unseen, describe)
        watcher.say(f"Step {step}: {readiness.sentence(config, step)}")
        return {
            "readiness": readiness.ratio,
            "sample_distance": readiness.samples,
            "good_distance": readiness.goods,
            "grain": readiness.grain,
            "verdict": readiness.verdict,
        }

    return judge


def _finish(model: DiffusionModel, split: Split, progress: Progress, launch: Launch, init: Path | None) -> None:
    config, last = model.config, progress.log[-1]
    images = config.training.batch_size * config.training.accumulate
    facts = {
        "format": "realnet diffusion model 1",
        "categories": list(model.categories),
        "readiness": {
            name: last[name] for name in ("readiness", "sample_distance", "good_distance", "grain", "verdict")
        },
        "training": {
            "good_images": len(split.train),
            "held_out_images": len(split.held_out),
            "steps": progress.step,
            "planned_steps": config.training.steps,
            "images_seen": progress.step * images,
            "seconds": round(progress.seconds, 1),
            "time_budget_seconds": launch.time_budget,
            "initialised_from": None if init is None else init.name,
            "simple_loss": last["simple_loss"],
        },
        "provenance": collect_provenance(split="train", seed=config.seed, preset=config.preset),
    }
    write_text(model.folder / FACTS_FILE, json.dumps(facts, indent=2))
    save_weights(model.folder / WEIGHTS_FILE, model.denoiser)
    remove_torn(model.folder)
