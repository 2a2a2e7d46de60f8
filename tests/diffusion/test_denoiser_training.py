"""Steps of training: the loss, the averaged weights, accumulation, clipping, and stopping in between."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from realnet.diffusion.config import DenoiserTrainingConfig, DiffusionConfig
from realnet.diffusion.denoiser import Denoiser
from realnet.diffusion.denoiser_training import learning_rate, optimise, start_share
from realnet.diffusion.model_folder import make_denoiser
from realnet.diffusion.noisy_batches import NoisedBatches
from realnet.training.checkpoint import CHECKPOINT_FILE, Progress, read_progress
from realnet.training.engine import Control
from tests.diffusion.tiny import batches, cpu, plain

State = dict[str, Tensor]
QUICK = ("training.schedule=constant", "training.warm_up=0")


def state(denoiser: Denoiser) -> State:
    return {name: tensor.detach().clone() for name, tensor in denoiser.named_parameters()}


def train(
    config: DiffusionConfig,
    folder: Path,
    source: NoisedBatches | None = None,
    stop_at: int | None = None,
    judge: Callable[[int], dict[str, Any]] = lambda step: {},
    each: Callable[[Denoiser, Progress], None] = lambda denoiser, progress: None,
) -> tuple[Denoiser, Progress]:
    denoiser = make_denoiser(config)
    reached = 0

    def report(progress: Progress, steps: int) -> None:
        nonlocal reached
        reached = progress.step
        each(denoiser, progress)

    progress = optimise(
        cpu(),
        denoiser,
        source or batches(config),
        judge,
        config,
        "this",
        Control(folder, report=report, stop=lambda: stop_at is not None and reached + 1 >= stop_at),
    )
    return denoiser, progress


def steps_of(config: DiffusionConfig, folder: Path) -> tuple[list[State], State]:
    """The trained weights after every step, and the averaged ones in the end."""
    seen: list[State] = []
    denoiser, _ = train(config, folder, each=lambda denoiser, progress: seen.append(state(denoiser)))
    return seen, state(denoiser)


def assert_same(one: State, other: State, **tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        if tolerance:
            torch.testing.assert_close(one[name], other[name], **tolerance)  # type: ignore[call-overload]
        else:
            assert torch.equal(one[name], other[name]), name


def distance(one: State, other: State) -> float:
    return sum(float((one[name] - other[name]).square().sum()) for name in one) ** 0.5


def test_the_loss_falls_on_simple_images(tmp_path: Path) -> None:
    fields = ("training.steps=40", "training.report_every=10", "training.batch_size=4", "training.learning_rate=1e-2")
    _, progress = train(plain("denoiser.patch=2", *fields, *QUICK), tmp_path)
    log = progress.log
    assert [row["step"] for row in log] == [10, 20, 30, 40]
    # A network that says nothing has a loss of one, the noise's own variance.
    assert 0.6 < log[0]["simple_loss"] < 1
    assert log[-1]["simple_loss"] < 0.5
    assert all(row["variational_loss"] > 0 for row in log)
    assert progress.finished


@pytest.mark.parametrize(
    ("ema", "warm_up", "decays"),
    [
        (0.99, True, [0.0, 2 / 11, 3 / 12, 4 / 13, 5 / 14]),
        (0.2, True, [0.0, 2 / 11, 0.2, 0.2, 0.2]),
        (0.99, False, [0.0, 0.99, 0.99, 0.99, 0.99]),
    ],
)
def test_averaged_weights(tmp_path: Path, ema: float, warm_up: bool, decays: list[float]) -> None:
    """After n steps decay is (1 + n) / (10 + n) at most; the first step's weights are what the average begins with."""
    fields = ("training.steps=5", f"training.ema={ema}", f"training.ema_warm_up={warm_up}", *QUICK)
    config = plain(*fields)
    trained, averaged = steps_of(config, tmp_path)
    expected = trained[0]
    for decay, now in zip(decays, trained, strict=True):
        expected = {name: decay * expected[name] + (1 - decay) * now[name] for name in now}
    assert_same(averaged, expected, rtol=1e-5, atol=1e-7)
    share = torch.tensor(decays[1:]).prod()
    assert start_share(config.training, 5) == pytest.approx(float(share), rel=1e-5)
    if not warm_up:
        assert distance(averaged, trained[0]) < 0.1 * distance(trained[-1], trained[0]), "hardly off its start"


def test_how_much_of_the_average_is_the_start() -> None:
    slow, warm = DenoiserTrainingConfig(ema_warm_up=False), DenoiserTrainingConfig()
    assert [start_share(config, step) for config in (slow, warm) for step in (0, 1)] == [1, 1, 1, 1]
    assert start_share(slow, 1001) == pytest.approx(0.9999**1000)
    assert start_share(slow, 1_000_000) < 1e-40
    assert start_share(warm, 50) < 1e-5
    shares = [start_share(slow, step) for step in range(1, 3000, 300)]
    assert all(a > b for a, b in pairwise(shares))


def test_the_judge_sees_the_averaged_weights(tmp_path: Path) -> None:
    """And training goes on with its own."""
    config, seen = plain("training.steps=6", "training.report_every=2"), []
    denoiser = make_denoiser(config)
    undisturbed, _ = steps_of(plain("training.steps=6", "training.report_every=100"), tmp_path / "undisturbed")
    trained: list[State] = []

    def judge(step: int) -> dict[str, Any]:
        assert not denoiser.training
        seen.append(state(denoiser))
        return {"seen": step}

    progress = optimise(
        cpu(),
        denoiser,
        batches(config),
        judge,
        config,
        "this",
        Control(tmp_path, report=lambda progress, steps: trained.append(state(denoiser))),
    )
    assert [row["seen"] for row in progress.log] == [2, 4, 6]
    assert_same(seen[-1], state(denoiser))
    for one, other in zip(trained, undisturbed, strict=True):
        assert_same(one, other)
    assert distance(seen[0], trained[1]) > 0


class OneBatch(NoisedBatches):
    """All parts of a step show the same."""

    def number(self, number: int) -> Any:
        return super().number(number // self.config.training.accumulate)


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    """Twice the same batch is the step of that batch; two batches are neither's."""
    config = plain("training.steps=3", *QUICK)
    twice = plain("training.steps=3", "training.accumulate=2", *QUICK)
    once, _ = train(config, tmp_path / "once")
    plainly = batches(twice)
    same, progress = train(twice, tmp_path / "same", OneBatch(plainly.images, plainly.categories, twice))
    assert_same(state(same), state(once), rtol=1e-4, atol=1e-6)
    assert progress.step == 3
    other, _ = train(twice, tmp_path / "other")
    assert distance(state(other), state(once)) > 1e-3


def test_gradients_are_clipped(tmp_path: Path) -> None:
    """Adam's first moment after one step is a tenth of the gradient."""
    norms = []
    for clip in (1e-3, 1e3):
        folder = tmp_path / str(clip)
        train(plain("training.steps=1", f"training.clip={clip}"), folder)
        kept = load_file(folder / CHECKPOINT_FILE)
        moments = [tensor for name, tensor in kept.items() if name.endswith("exp_avg")]
        norms.append(10 * sum(float(moment.square().sum()) for moment in moments) ** 0.5)
    assert norms[0] == pytest.approx(1e-3, rel=1e-2)
    assert 1e-2 < norms[1] < 1e3


def test_learning_rate() -> None:
    config = DenoiserTrainingConfig(learning_rate=1e-3, warm_up=4)
    rates = [learning_rate(config, step, 0.9) for step in range(7)]
    assert rates == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4, 1e-3, 1e-3, 1e-3])
    cosine = config.model_copy(update={"schedule": "cosine", "warm_up": 0})
    falling = [learning_rate(cosine, 0, fraction) for fraction in (0, 0.25, 0.5, 1, 1.3)]
    assert falling == pytest.approx([1e-3, 0.853553e-3, 0.5e-3, 0, 0], abs=1e-9)


def test_the_rate_is_that_of_the_step(tmp_path: Path) -> None:
    config = plain("training.steps=4", "training.report_every=1", "training.warm_up=1")
    _, progress = train(config, tmp_path)
    rates = [learning_rate(config.training, step, step / 4) for step in range(4)]
    assert [row["learning_rate"] for row in progress.log] == pytest.approx(rates)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_stopped_and_continued_is_the_same(tmp_path: Path, accumulate: int) -> None:
    config = plain("training.steps=6", "training.report_every=2", f"training.accumulate={accumulate}")
    whole, undisturbed = train(config, tmp_path / "whole")
    for stop in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "parts", stop_at=stop)
        kept = read_progress(tmp_path / "parts")
        assert kept is not None
        assert (kept.step, kept.finished, kept.identity) == (stop, False, "this")
    seen: list[int] = []
    parts, progress = train(config, tmp_path / "parts", each=lambda _, progress: seen.append(progress.step))
    assert seen == [6], "it went on, it did not start again"
    assert_same(state(parts), state(whole))
    timeless = [[{**row, "seconds": 0} for row in one.log] for one in (progress, undisturbed)]
    assert timeless[0] == timeless[1]


def test_what_is_finished_is_not_trained_further(tmp_path: Path) -> None:
    config = plain("training.steps=2")
    whole, _ = train(config, tmp_path)
    seen: list[int] = []
    again, progress = train(config, tmp_path, each=lambda _, progress: seen.append(progress.step))
    assert (seen, progress.finished) == ([], True)
    assert_same(state(again), state(whole))
    assert not again.training


def test_a_time_budget_ends_it_and_its_schedule(tmp_path: Path) -> None:
    config = plain("training.steps=100000", "training.report_every=100000")
    denoiser = make_denoiser(config)
    progress = optimise(cpu(), denoiser, batches(config), lambda step: {}, config, "this", Control(tmp_path, 1.0))
    assert progress.finished
    assert 0 < progress.step < 10_000
    assert 1 <= progress.seconds < 10
    assert progress.log[-1]["learning_rate"] < 0.3 * config.training.learning_rate
