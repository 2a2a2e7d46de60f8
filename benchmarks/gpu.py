"""Speed on a GPU: training steps, inference, sampling of anomaly images (SDAS); one table against the paper's figures.

python -m benchmarks.gpu [--output FILE.md] [--minutes 8] [--only training --only inference ...] [--batch 16]
python -m benchmarks.gpu --device cpu --small     tries the script itself; its figures mean nothing

Each row is printed, and written to FILE.md, as soon as it is measured. What runs at once comes first; what PyTorch has
to compile comes last, each network in a process that is ended when its time is over. Nothing is downloaded: weights and
images are random, and speed does not depend on them.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from benchmarks.gpu_timing import PRECISIONS, Plan, autocast, failure, reason_of, release, tf32, timed
from benchmarks.speed.bench import table
from benchmarks.speed.timing import Line, emit, hardware
from benchmarks.speed.training_step import naive_batches
from torch import Tensor, nn

from realnet import RealNet, presets
from realnet.atomic import write_text
from realnet.config import Config
from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.diffusion_presets import diffusion_presets
from realnet.diffusion.generating import Request, sample_numbers, strength_of, to_images
from realnet.diffusion.model_folder import DiffusionModel, make_denoiser
from realnet.model.folding import fold_batch_norms
from realnet.model.subspace import Subspace
from realnet.overriding import override
from realnet.synthesis import Synthesizer
from realnet.training.batches import Batch, Batches, GoodFeatures
from realnet.training.loop import LossOfBatch

# Images a second of architecture A on one RTX 3090 (Tab. S4); `lite` is not the paper's.
PAPER = {("paper", 256): 31.93, ("paper-half", 256): 40.42, ("paper", 512): 13.53, ("lite", 256): None}
# What is aimed at: so many times the paper's, and so many of `lite`.
TIMES, LITE = 10.0, 3000.0
# Directions that a subspace is given; real ones have 110 to 180.
COMPONENTS = 150
# Hours that 10,000 images of 256x256 take in 20 steps on one RTX 3090 (App. B), and what we want: 20 minutes.
PAPER_HOURS, PAPER_IMAGES, HOURS = 6.0, 10_000, 1 / 3
# Steps a second of `paper` at batch 16: 1,000 epochs of MVTec's transistor in 16 minutes.
STEPS = 15.0
# Processes that make defects.
WORKERS = 4
PARTS = ("training", "inference", "sampling", "compiled")
# As few operations as can be: compiling them for a processor takes longest.
TINY = (
    "model.image_size=64", "model.backbone.name=resnet18", "model.backbone.taps=[1]", "model.afs.dimensions=[16]",
    "model.reconstruction.multipliers=[1]", "model.reconstruction.residual_blocks=1",
    "model.discriminator.residual_layers=0", "training.batch_size=4", "synthesis.source=nsa",
)  # fmt: skip
TINY_DIFFUSION = (
    "denoiser.image_size=32", "denoiser.width=16", "denoiser.multipliers=[1,2]", "denoiser.attention_at=[2]",
    "denoiser.patch=1", "denoiser.residual_blocks=1", "training.sampling_steps=3",
)  # fmt: skip
NOTES = f"""\
- Weights are random, which speed does not depend on. Images lie on the device, but for training, which makes its
  defects (`nsa`) on the processor as `realnet train` does with `--set
  training.workers={WORKERS}`; the naive order makes them in its own process.
- float32: no TF32 anywhere. TF32: in convolutions and matrix products, as in `realnet train`. bf16: autocast over
  float32 weights, which are converted anew in every pass. The optimiser's step is fused on a GPU.
- Inference: channels_last, BatchNorm folded; `compiled` is torch.compile(mode="reduce-overhead"), i.e. CUDA graphs.
  Maps are compared with those of plain eager float32: BatchNorm not folded, contiguous, no TF32. Residual channels are
  ranked (RRS), and of random weights many rank alike: a trained network's maps may differ less.
- Medians of calls one after the other, each waited for. Memory is what PyTorch reserves while the call runs, weights
  included, without CUDA's own.
- The paper's figures are of one RTX 3090. Tab. S4 names no batch of its own; that of Sec. 4.1 is 16. Its 6 hours are
  for sampling 10,000 images of 256x256 in 20 steps (App. B); the diffusion model's training is not in them."""


@torch.no_grad()
def random_network(config: Config, device: torch.device) -> RealNet:
    """Random weights; also where they start at zero, or whole branches would have no say in the maps."""
    torch.manual_seed(0)
    model = RealNet(config, pretrained=False).to(device)
    for parameter in model.parameters():
        if not parameter.any():
            parameter.normal_(std=0.02)
    for module in model.modules():
        if isinstance(module, Subspace):
            numbers = module.basis.shape[1]
            module.basis = torch.randn(COMPONENTS, numbers, device=device) / numbers**0.5
    return model


@torch.no_grad()
def inference(plan: Plan, preset: str, size: int, compiled: bool = False) -> Iterator[Line]:
    """All precisions of a preset at a resolution, one image at a time and many; eager, or compiled."""
    device, paper = plan.device, PAPER[preset, size]
    small = TINY if preset != "lite" else TINY[:1]
    config = override(presets[preset], list(small) if plan.small else [f"model.image_size={size}"])
    side = config.model.image_size
    model = random_network(config, device).eval()
    images = torch.rand(plan.batch, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    with tf32("float32"):
        # One by one: the reference must not be what runs out of memory.
        expected = torch.cat([model(image) for image in images.split(1)]).float().cpu()
        fold_batch_norms(model, images.new_zeros(1, 3, side, side))
    model, images = model.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    for batch in sorted({1, plan.batch}, reverse=compiled):
        network: Any = model
        if compiled:
            torch.compiler.reset()  # the graphs of the batch before, and their memory
            network = torch.compile(model, mode="reduce-overhead", dynamic=False)
        for kind in ("TF32", "bf16") if compiled else PRECISIONS:
            what = f"inference {preset} at {size}, batch {batch}, {'compiled ' if compiled else ''}{kind}"
            yield guarded(what, partial(judged, plan, what, network, images[:batch], expected[:batch], paper, kind))


def judged(
    plan: Plan, what: str, network: nn.Module, images: Tensor, expected: Tensor, paper: float | None, kind: str
) -> Line:
    """The row of one way to run a network."""

    @torch.no_grad()
    def run() -> Tensor:
        with tf32(kind), autocast(kind, plan.device):
            return network(images)  # type: ignore[no-any-return]

    timing = timed(run, plan, plan.rounds, alone=4)  # CUDA graphs are recorded in the second call or the third
    speed = len(images) / timing.seconds
    apart = float((run().float().cpu() - expected).abs().max())  # of what was timed: graphs replayed
    if not math.isfinite(apart):
        return failure(what, "the maps are not finite")
    spread = float(expected.max() - expected.min())
    note = f"maps differ by {apart:.1e} at most, of a range of {spread:.1e}{timing.memory}"
    goal = LITE if paper is None else TIMES * paper
    target = f">= {goal:.4g} images/s" + ("" if paper is None else f", {TIMES:g}x the paper's")
    return plan.line(what, target, f"{speed:.2f} images/s", speed / goal, 1.0, note)


def sampling(plan: Plan, preset: str) -> Iterator[Line]:
    """Algorithm 1 as `realnet sdas sample` runs it, and what the paper's set of images would take."""
    config: DiffusionConfig = override(diffusion_presets[preset], list(TINY_DIFFUSION) if plan.small else [])
    denoiser = make_denoiser(config)
    nn.init.normal_(denoiser.unet.conv_out.weight, std=0.02)
    denoiser = denoiser.to(plan.device).to(memory_format=torch.channels_last).eval()
    model = DiffusionModel(Path(), config, denoiser, ("noise",), "")
    request = Request(*config.process.strength, steps=config.training.sampling_steps, batch=plan.batch)
    numbers = range(request.batch)
    strengths = [strength_of(request, number) for number in numbers]

    def run(kind: str) -> None:
        with tf32(kind), autocast(kind, plan.device):
            made = sample_numbers(model, request, numbers, [0] * len(numbers), strengths)
        if not made.isfinite().all():
            raise ValueError("the images are not finite")
        to_images(made)

    def row(what: str, kind: str) -> Line:
        timing = timed(partial(run, kind), plan, min(3, plan.rounds), alone=1)
        speed = request.batch / timing.seconds
        hours = PAPER_IMAGES / speed / 3600
        note = f"batch {request.batch}, {config.size} pixels{timing.memory}"
        note += "" if preset == "paper" else "; a slimmer network than the paper's"
        measured = f"{speed:.2f} samples/s, {60 * hours:.0f} min for {PAPER_IMAGES:,}"
        target = f"<= {60 * HOURS:g} min for {PAPER_IMAGES:,}; the paper: {PAPER_HOURS:g} h"
        return plan.line(what, target, measured, HOURS / hours, 1.0, note)

    for kind in ("TF32", "bf16", "float32"):
        what = f"sampling {preset}, {request.steps} steps, {kind}"
        yield guarded(what, partial(row, what, kind))


def training(plan: Plan, preset: str) -> Iterator[Line]:
    """Steps on cached features of good images, then those that run the backbone on A and I of every sample."""
    # Generated images are not at hand.
    made = ["synthesis.source=mix", "synthesis.foreground=auto"]
    config = override(presets[preset], [*(TINY if plan.small else [f"training.workers={WORKERS}"]), *made])
    settings, side, device = config.training, config.model.image_size, plan.device
    images = list(np.random.default_rng(0).integers(0, 256, (3 * settings.batch_size, side, side, 3), dtype=np.uint8))
    synthesizer = Synthesizer(images, config.synthesis, 0)
    model = random_network(config, device).to(memory_format=torch.channels_last)
    # AFS is left out: its choice of channels changes nothing about speed.
    good = GoodFeatures(images, model.backbone.extract, device, settings.cache_gigabytes).then(model.select_from)
    ours = Batches(model, synthesizer, good, 0, settings)
    # The naive order of the processor's benchmark, its images brought to the device.
    here: Any = SimpleNamespace(select=lambda shown: model.select(shown.to(device)))
    sources = {"ours": ours.starting_at(0, 10**6), "naive": naive_batches(here, synthesizer, images, config)}
    module = LossOfBatch(model, (settings.reconstruction_weight, settings.segmentation_weight))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5, fused=True if device.type == "cuda" else None)
    model.train()

    def step(order: str, kind: str) -> None:
        with tf32(kind):
            batch: Batch = next(sources[order])  # the frozen features are float32, as in `realnet train`
            optimizer.zero_grad(set_to_none=True)
            with autocast(kind, device):
                loss = module(batch.anomalous, batch.normal, batch.mask.to(device))[0]
            loss.backward()
            optimizer.step()

    def row(what: str, order: str, kind: str) -> Line:
        timing = timed(partial(step, order, kind), plan, plan.rounds)
        speed, note = 1 / timing.seconds, f"batch {settings.batch_size}{timing.memory}"
        if order == "naive":
            return Line(what, "none: the naive order of work", f"{speed:.2f} steps/s", None, None, note)
        return plan.line(what, f">= {STEPS:g} steps/s", f"{speed:.2f} steps/s", speed / STEPS, 1.0, note)

    for order, kind in (*(("ours", kind) for kind in ("TF32", "bf16", "float32")), ("naive", "TF32")):
        what = f"training step {preset}, {'' if order == 'ours' else 'naive, '}{kind}"
        yield guarded(what, partial(row, what, order, kind))


def compiled(plan: Plan, preset: str, size: int, left: Callable[[], float]) -> Iterator[Line]:
    """The compiled rows of `inference`, by a process ended with the time that is ``left``; rows it had count."""
    seconds = left()
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", str(plan.device), "--batch", str(plan.batch)]
    command += ["--rounds", str(plan.rounds), "--compiled", preset, str(size), *(["--small"] if plan.small else [])]
    # A session of its own: the compiler's workers, which hold the pipe as well, are ended with it.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )

    def end() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    killer = threading.Timer(seconds, end)
    killer.start()
    try:
        assert process.stdout is not None
        for text in process.stdout:
            yield Line(**json.loads(text))
        status = process.wait()
    finally:
        killer.cancel()
        end()
    if status:
        reason = f"ended after {seconds:.0f} s" if status < 0 else f"ended with status {status}"
        yield failure(f"inference {preset} at {size}, compiled, what is not above", reason)


def guarded(what: str, measure: Callable[[], Line]) -> Line:
    """The row, or the reason why there is none."""
    try:
        return measure()
    except Exception as error:  # out of memory, no compiler, ...
        return failure(what, reason_of(error))


def work(
    plan: Plan, only: Sequence[str], left: Callable[[], float]
) -> Iterator[tuple[str, Callable[[], Iterator[Line]]]]:
    """What is measured, by name, in this order."""
    networks = [
        (preset, size) for preset, size in PAPER if not plan.small or (preset in ("paper", "lite") and size == 256)
    ]
    if "training" in only:
        yield "training step paper", partial(training, plan, "paper")
    if "inference" in only:
        for preset, size in networks:
            yield f"inference {preset} at {size}", partial(inference, plan, preset, size)
    if "sampling" in only:
        for preset in ("gpu", "paper"):
            yield f"sampling {preset}", partial(sampling, plan, preset)
    if "compiled" in only:
        for preset, size in networks:
            yield f"inference {preset} at {size}, compiled", partial(compiled, plan, preset, size, left)


def heading(plan: Plan) -> str:
    machine = hardware()
    if plan.device.type == "cuda":
        facts = torch.cuda.get_device_properties(plan.device)
        machine = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB; {machine}"
    tiny = " Tiny networks, to try the script: these figures mean nothing." if plan.small else ""
    return f"{machine}; PyTorch {torch.__version__}.{tiny}"


def measure_all(plan: Plan, only: Sequence[str], minutes: float, output: Path | None) -> list[Line]:
    """The table's lines, each told and written when it is there; what does not fit into the time is a line, too."""
    end = time.monotonic() + 60 * minutes
    lines: list[Line] = []

    def add(line: Line) -> None:
        lines.append(line)
        print(f"{line.what}: {line.measured}  {line.note}", file=sys.stderr, flush=True)
        if output is not None:
            write_text(output, f"{heading(plan)}\n\n{table(lines)}\n\n{NOTES}\n")

    for name, measure in work(plan, only, lambda: max(1.0, end - time.monotonic())):
        if time.monotonic() > end:
            add(failure(name, f"not begun: {minutes:g} minutes were over"))
            continue
        try:
            for line in measure():
                add(line)
        except Exception as error:
            add(failure(name, reason_of(error)))
        release(plan.device)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ...; or cpu, with --small")
    parser.add_argument("--small", action="store_true", help="tiny networks, to try the script")
    parser.add_argument("--batch", type=int, help="the large batch, also of sampling; default 16, with --small 1")
    parser.add_argument("--rounds", type=int, help="calls that a median is of; default 10, with --small 3")
    parser.add_argument("--minutes", type=float, default=8.0, help="nothing is begun, and no compiling goes on, later")
    parser.add_argument("--only", action="append", choices=PARTS, help="repeatable; default: all")
    parser.add_argument("--output", type=Path, help="a Markdown file, written anew after every row")
    parser.add_argument("--json", action="store_true", help="the lines as JSON, for benchmarks.speed.bench")
    parser.add_argument("--compiled", nargs=2, metavar=("PRESET", "SIZE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type not in ("cpu", "cuda"):
        parser.error("--device takes cuda, cuda:N or cpu")
    if device.type == "cpu" and not given.small:
        parser.error("--device cpu only tries the script: give --small, too")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        what = f"GPU {device}" if torch.cuda.is_available() else "GPU"
        sentence = f"PyTorch finds no {what} here: nothing was measured, and the script is ready for one."
        if given.json:
            emit([Line("inference, sampling and training on a GPU", "see the script", "not measured", note=sentence)])
            return 0
        print(sentence, file=sys.stderr)
        return 2
    batch, rounds = (1, 3) if given.small else (16, 10)
    plan = Plan(device, given.small, given.batch or batch, given.rounds or rounds)
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
    if given.compiled:
        for line in inference(plan, given.compiled[0], int(given.compiled[1]), compiled=True):
            print(json.dumps(asdict(line)), flush=True)
        return 0
    lines = measure_all(plan, given.only or PARTS, given.minutes, given.output)
    if given.json:
        emit(lines)
    else:
        print(f"{heading(plan)}\n\n{table(lines)}\n\n{NOTES}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
