"""Speed on a GPU: inference, sampling of anomaly images (SDAS), training steps; one table against the paper's figures.

python -m benchmarks.gpu [--output FILE.md] [--only inference --only sampling --only training] [--batch 16]
python -m benchmarks.gpu --device cpu --small     tries the script itself; its figures mean nothing

Nothing is downloaded: weights and images are random, and speed does not depend on them.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from benchmarks.gpu_timing import PRECISIONS, Plan, autocast, failure, reason_of, release, tf32, timed
from benchmarks.speed.bench import table
from benchmarks.speed.timing import Line, emit, hardware
from benchmarks.speed.training_step import TARGET, naive_batches
from torch import Tensor, nn
from torch._dynamo.utils import counters

from realnet import RealNet, presets
from realnet.atomic import write_text
from realnet.config import Config, override
from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.presets import diffusion_presets
from realnet.model.folding import fold_batch_norms
from realnet.sdas.sampling import Request, sample_numbers, strength_of, to_images
from realnet.sdas.saving import DiffusionModel, make_denoiser
from realnet.synthesis import Synthesizer
from realnet.training.batches import Batch, Batches, GoodFeatures
from realnet.training.loop import LossOfBatch

# Images a second of architecture A on one RTX 3090 (Tab. S4).
PAPER = {("paper", 256): 31.93, ("paper-half", 256): 40.42, ("paper", 512): 13.53}
# Hours that 10,000 images of 256x256 take in 20 steps on one RTX 3090 (App. B): sampling alone, not its training.
PAPER_HOURS, PAPER_IMAGES = 6.0, 10_000
PARTS = ("inference", "sampling", "training")
# As few operations as can be: compiling them for a processor takes longest.
TINY = (
    "model.image_size=64", "model.backbone.name=resnet18", "model.backbone.taps=[1]", "model.afs.dimensions=[16]",
    "model.reconstruction.multipliers=[1]", "model.reconstruction.residual_blocks=1",
    "model.discriminator.residual_layers=0", "training.batch_size=4",
)  # fmt: skip
TINY_DIFFUSION = (
    "denoiser.image_size=32", "denoiser.width=16", "denoiser.multipliers=[1,2]", "denoiser.attention_at=[2]",
    "denoiser.patch=1", "denoiser.residual_blocks=1", "training.sampling_steps=3",
)  # fmt: skip
NOTES = """\
- Weights are random, which speed does not depend on. Images lie on the device, but for training, which makes its
  defects on the processor as `realnet train` does (in one process, unless the preset says otherwise).
- float32: no TF32 anywhere. TF32: in convolutions and matrix products. (PyTorch's own default is in between: TF32 in
  convolutions alone.) bf16: autocast over float32 weights, which are converted anew in every pass.
- Inference: channels_last, BatchNorm folded; `compiled` is torch.compile(mode="reduce-overhead"), i.e. CUDA graphs.
  Maps are compared with those of plain eager float32: BatchNorm not folded, contiguous, no TF32. Residual channels are
  ranked (RRS), and of random weights many rank alike: a trained network's maps may differ less.
- Medians of calls that take turns, each waited for. Memory is what PyTorch reserves while the call runs, weights
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
    return model


@torch.no_grad()
def inference(plan: Plan, preset: str, size: int) -> list[Line]:
    """All variants of a preset at a resolution, one image at a time and many."""
    device, what, paper = plan.device, f"inference {preset} at {size}", PAPER[preset, size]
    config = override(presets[preset], TINY if plan.small else [f"model.image_size={size}"])
    size = config.model.image_size
    model = random_network(config, device).eval()
    images = torch.rand(plan.batch, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    with tf32("float32"):
        # One by one: the reference must not be what runs out of memory.
        expected = torch.cat([model(image) for image in images.split(1)]).float().cpu()
        fold_batch_norms(model, images.new_zeros(1, 3, size, size))
    model, images = model.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    lines = []
    for batch in sorted({1, plan.batch}):
        lines += variants(plan, f"{what}, batch {batch}", model, images[:batch], expected[:batch], paper)
    return lines


@torch.no_grad()
def variants(plan: Plan, what: str, model: nn.Module, images: Tensor, expected: Tensor, paper: float) -> list[Line]:
    """Eager and compiled, in each precision."""
    torch.compiler.reset()  # the graphs of the batch before, and their memory
    counters.clear()
    compiled: Any = torch.compile(model, mode="reduce-overhead", dynamic=False)

    def run(network: Callable[[Tensor], Tensor], kind: str) -> Tensor:
        with tf32(kind), autocast(kind, plan.device):
            return network(images)

    calls: dict[str, Callable[[], Tensor]] = {kind: partial(run, model, kind) for kind in PRECISIONS}
    calls |= {f"compiled {kind}": partial(run, compiled, kind) for kind in ("float32", "bf16")}
    timing = timed(calls, plan, plan.rounds, alone=4)  # CUDA graphs are recorded in the second call or the third
    spread = float(expected.max() - expected.min())
    lines = []
    for name, seconds in timing.seconds.items():
        speed = len(images) / seconds
        apart = float((calls[name]().float().cpu() - expected).abs().max())  # of what was timed: graphs replayed
        if not math.isfinite(apart):
            lines.append(failure(f"{what}, {name}", "the maps are not finite"))
            continue
        note = f"maps differ by {apart:.1e} at most, of a range of {spread:.1e}{timing.memory(name)}"
        if name.startswith("compiled") and plan.device.type == "cuda" and counters["inductor"]["cudagraph_skips"]:
            note += "; without CUDA graphs in at least one compiled variant"
        measured = f"{speed:.2f} images/s"
        lines.append(plan.line(f"{what}, {name}", f">= {paper:g} images/s", measured, speed / paper, 1.0, note))
    return lines + timing.failed(what)


def sampling(plan: Plan, preset: str) -> list[Line]:
    """Algorithm 1 as `realnet sdas sample` runs it, and what the paper's set of images would take."""
    config: DiffusionConfig = override(diffusion_presets[preset], TINY_DIFFUSION if plan.small else ())
    denoiser = make_denoiser(config)
    nn.init.normal_(denoiser.unet.conv_out.weight, std=0.02)
    denoiser = denoiser.to(plan.device).to(memory_format=torch.channels_last).eval()
    model = DiffusionModel(Path(), config, denoiser, ("noise",), "")
    request = Request(*config.process.strength, steps=config.training.sampling_steps, batch=min(8, plan.batch))
    numbers = range(request.batch)
    strengths = [strength_of(request, number) for number in numbers]

    def run(kind: str) -> None:
        with tf32(kind), autocast(kind, plan.device):
            made = sample_numbers(model, request, numbers, [0] * len(numbers), strengths)
        if not made.isfinite().all():
            raise ValueError("the images are not finite")
        to_images(made)

    calls: dict[str, Callable[[], object]] = {kind: partial(run, kind) for kind in PRECISIONS}
    timing = timed(calls, plan, min(3, plan.rounds))
    lines, what = [], f"sampling {preset}, {request.steps} steps"
    for kind, seconds in timing.seconds.items():
        speed = request.batch / seconds
        hours = PAPER_IMAGES / speed / 3600
        note = f"batch {request.batch}, {config.size} pixels{timing.memory(kind)}"
        note += "" if preset == "paper" else "; a slimmer network than the paper's"
        measured = f"{speed:.2f} samples/s, {hours:.2f} h for {PAPER_IMAGES:,}"
        target = f"<= {PAPER_HOURS:g} h for {PAPER_IMAGES:,}"
        lines.append(plan.line(f"{what}, {kind}", target, measured, PAPER_HOURS / hours, 1.0, note))
    return lines + timing.failed(what)


def training(plan: Plan, preset: str) -> list[Line]:
    """Steps on cached features of good images beside those that run the backbone on A and I of every sample."""
    # Generated images are not at hand.
    made = ["synthesis.source=mix", "synthesis.foreground=auto"]
    config = override(presets[preset], [*TINY, *made] if plan.small else made)
    settings, side, device = config.training, config.model.image_size, plan.device
    images = list(np.random.default_rng(0).integers(0, 256, (3 * settings.batch_size, side, side, 3), dtype=np.uint8))
    synthesizer = Synthesizer(images, config.synthesis, 0)
    model = random_network(config, device).to(memory_format=torch.channels_last)
    # AFS is left out: its choice of channels changes nothing about speed.
    good = GoodFeatures(images, model.backbone.extract, device, settings.cache_gigabytes).then(model.select_from)
    ours = Batches(model, synthesizer, good, 0, settings.batch_size, settings.fresh, settings.window, settings.workers)
    # The naive order of the processor's benchmark, its images brought to the device.
    here: Any = SimpleNamespace(select=lambda shown: model.select(shown.to(device)))
    sources = {"ours": ours.starting_at(0, 10**6), "naive": naive_batches(here, synthesizer, images, config)}
    module = LossOfBatch(model, (settings.reconstruction_weight, settings.segmentation_weight))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-5)
    model.train()

    def step(source: Iterator[Batch], kind: str) -> None:
        with tf32(kind):
            batch = next(source)  # the frozen features are float32, as in `realnet train`
            optimizer.zero_grad(set_to_none=True)
            # The naive order yields within no_grad, which is then in force here, too.
            with torch.enable_grad(), autocast(kind, device):
                loss = module(batch.anomalous, batch.normal, batch.mask.to(device))[0]
            loss.backward()
            optimizer.step()

    calls: dict[str, Callable[[], object]] = {
        f"{order} {kind}": partial(step, source, kind) for kind in PRECISIONS for order, source in sources.items()
    }
    timing = timed(calls, plan, plan.rounds, alone=2)
    lines, what = [], f"training step {preset}"
    for kind in PRECISIONS:
        seconds, naive = timing.seconds.get(f"ours {kind}"), timing.seconds.get(f"naive {kind}")
        if seconds is None:
            continue
        measured, target = f"{1 / seconds:.2f} steps/s", f">= {TARGET:g}x naive"
        note = f"batch {settings.batch_size}{timing.memory(f'ours {kind}')}"
        if naive is None:
            lines.append(Line(f"{what}, {kind}", target, measured, None, None, note))
        else:
            note = f"naive {1 / naive:.2f} steps/s{timing.memory(f'naive {kind}')}; ours {note}"
            lines.append(plan.line(f"{what}, {kind}", target, measured, naive / seconds, TARGET, note))
    return lines + timing.failed(what)


def work(plan: Plan, only: Sequence[str]) -> Iterator[tuple[str, Callable[[], list[Line]]]]:
    """What is measured, by name."""
    if "inference" in only:
        for preset, size in list(PAPER)[: 1 if plan.small else None]:
            yield f"inference {preset} at {size}", partial(inference, plan, preset, size)
    if "sampling" in only:
        for preset in ("paper", "gpu"):
            yield f"sampling {preset}", partial(sampling, plan, preset)
    if "training" in only:
        yield "training step paper", partial(training, plan, "paper")


def heading(plan: Plan) -> str:
    machine = hardware()
    if plan.device.type == "cuda":
        facts = torch.cuda.get_device_properties(plan.device)
        machine = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB; {machine}"
    tiny = " Tiny networks, to try the script: these figures mean nothing." if plan.small else ""
    return f"{machine}; PyTorch {torch.__version__}.{tiny}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ...; or cpu, with --small")
    parser.add_argument("--small", action="store_true", help="tiny networks, to try the script")
    parser.add_argument("--batch", type=int, help="the large batch; default 16, with --small 1; sampling: 8 at most")
    parser.add_argument("--rounds", type=int, help="calls that a median is of; default 15, with --small 3")
    parser.add_argument("--only", action="append", choices=PARTS, help="repeatable; default: all")
    parser.add_argument("--output", type=Path, help="a Markdown file, written anew after every part")
    parser.add_argument("--json", action="store_true", help="the lines as JSON, for benchmarks.speed.bench")
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
    batch, rounds = (1, 3) if given.small else (16, 15)
    plan = Plan(device, given.small, given.batch or batch, given.rounds or rounds)
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
    lines: list[Line] = []
    for name, measure in work(plan, given.only or PARTS):
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            lines += measure()
        except Exception as error:
            lines.append(failure(name, reason_of(error)))
        torch.compiler.reset()
        release(device)
        if given.output:
            write_text(given.output, f"{heading(plan)}\n\n{table(lines)}\n\n{NOTES}\n")
    if given.json:
        emit(lines)
    else:
        print(f"{heading(plan)}\n\n{table(lines)}\n\n{NOTES}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
