"""Learning rate, length, early stop, and which state is kept."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file, save_file

from realnet.config import SynthesisConfig, TrainingConfig
from realnet.errors import UserError
from realnet.model.network import RealNet
from realnet.synthesis import Synthesizer
from realnet.training.batches import Batches, GoodFeatures
from realnet.training.checkpoint import CHECKPOINT_FILE, Progress, load_checkpoint, read_progress
from realnet.training.engine import Control
from realnet.training.loop import LossOfBatch, Task, learning_rate, optimise, total_steps, trained_state
from realnet.training.validation import Figure
from tests.data.layouts import picture
from tests.training.tiny import TRAINED, tiny


def test_a_constant_learning_rate_is_constant() -> None:
    config = TrainingConfig(learning_rate=3e-4)
    assert {learning_rate(config, progress) for progress in (0, 0.3, 1, 1.7)} == {3e-4}


def test_cosine_warms_up_and_falls_to_nothing() -> None:
    config = TrainingConfig(learning_rate=1e-3, schedule="cosine")
    rates = [learning_rate(config, step / 200) for step in range(201)]
    assert 0 < rates[0] < 0.2e-3
    top = int(np.argmax(rates))
    assert 1 <= top <= 10
    assert rates[top] == pytest.approx(1e-3, rel=0.01)
    assert all(a > b for a, b in zip(rates[top:], rates[top + 1 :], strict=False))
    assert rates[100] == pytest.approx(0.5e-3, rel=0.01)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert learning_rate(config, 1.4) == pytest.approx(0, abs=1e-9), "past the end it does not rise again"


def test_length_in_steps_or_epochs() -> None:
    assert total_steps(TrainingConfig(epochs=3, batch_size=16), 33) == 9
    assert total_steps(TrainingConfig(epochs=3, steps=7), 33) == 7
    assert total_steps(TrainingConfig(epochs=3, steps=0), 33) == 0


class Scripted:
    """In the place of validation: gives figures out of a list and remembers the model's state at each."""

    def __init__(self, model: RealNet, values: list[float]) -> None:
        self.model, self.values = model, iter(values)
        self.states: list[dict[str, torch.Tensor]] = []

    def __call__(self) -> Figure:
        self.states.append(trained_state(self.model))
        value = next(self.values)
        return Figure(value, value, (0.0,), (1.0,))


class Parts:
    """All that :func:`optimise` takes, on random weights."""

    def __init__(self, folder: Path, values: list[float], *fields: str) -> None:
        torch.manual_seed(0)
        self.config = tiny(*TRAINED, "training.validation_every=1", "training.steps=12", *fields)
        self.model = RealNet(self.config, pretrained=False)
        rng = np.random.default_rng(0)
        goods = [picture(rng)[0] for _ in range(4)]
        features = GoodFeatures(goods, self.model.select, torch.device("cpu"), 1.0)
        synthesizer = Synthesizer(goods, SynthesisConfig(source="cutpaste"), 0)
        self.batches = Batches(
            self.model, synthesizer, features, 0, TrainingConfig(batch_size=4, fresh_anomalies=2, anomaly_window=8)
        )
        self.validation = Scripted(self.model, values)
        self.folder = folder

    def optimise(self, stops: Iterator[bool] = iter(())) -> Progress:
        steps = self.config.training.steps
        assert steps is not None
        task = Task(self.model, LossOfBatch(self.model, (1.0, 1.0)), self.batches.starting_at, self.validation, steps)
        return optimise(
            Fabric(accelerator="cpu", devices=1),
            task,
            self.config,
            "me",
            Control(self.folder, stop=lambda: next(stops, False)),
        )


def test_early_stop_keeps_the_best_state(tmp_path: Path) -> None:
    parts = Parts(tmp_path, [0.2, 0.9, 0.3, 0.4, 0.5, 0.6, 0.7], "training.patience=3")
    progress = parts.optimise()
    assert (progress.step, progress.best_step, progress.finished) == (5, 2, True)
    assert progress.best_value == pytest.approx(0.9)
    assert [row["validation"] for row in progress.log] == [0.2, 0.9, 0.3, 0.4, 0.5]
    kept, second, last = trained_state(parts.model), parts.validation.states[1], parts.validation.states[-1]
    assert all(torch.equal(kept[name], second[name]) for name in kept)
    assert not all(torch.equal(kept[name], last[name]) for name in kept)
    assert not parts.model.training


def test_of_equally_good_states_the_last_is_kept(tmp_path: Path) -> None:
    parts = Parts(tmp_path, [0.2, 0.9, 0.899, 0.9, 0.895, 0.1, 0.2], "training.steps=7")
    progress = parts.optimise()
    assert (progress.step, progress.best_step, progress.best_value) == (7, 4, 0.9)
    kept, fourth = trained_state(parts.model), parts.validation.states[3]
    assert all(torch.equal(kept[name], fourth[name]) for name in kept)


def test_patience_waits_for_a_better_state(tmp_path: Path) -> None:
    parts = Parts(tmp_path, [0.5, 0.6, 0.6, 0.599, 0.6, 0.9], "training.patience=3")
    progress = parts.optimise()
    assert (progress.step, progress.best_step) == (5, 5), "an equal figure is kept, and is no improvement"


def test_patience_counts_validations_in_a_row(tmp_path: Path) -> None:
    parts = Parts(tmp_path, [0.2, 0.1, 0.3, 0.1, 0.5, 0.1, 0.7, 0.1, 0.9, 0.1, 0.1, 0.1], "training.patience=2")
    progress = parts.optimise()
    assert (progress.step, progress.best_step) == (11, 9)


def test_the_last_state_is_kept_where_nothing_is_chosen(tmp_path: Path) -> None:
    parts = Parts(tmp_path, [0.9, 0.5, 0.4, 0.3], "training.select=last", "training.patience=1", "training.steps=4")
    progress = parts.optimise()
    assert (progress.step, progress.best_step, progress.best_value) == (4, 4, pytest.approx(0.3))
    kept, last = trained_state(parts.model), parts.validation.states[-1]
    assert all(torch.equal(kept[name], last[name]) for name in kept)


def test_the_frozen_part_stays_as_it_was(tmp_path: Path) -> None:
    parts = Parts(tmp_path, [0.5] * 12, "training.steps=3")
    before = {name: tensor.clone() for name, tensor in parts.model.state_dict().items()}
    parts.optimise()
    changed = {name for name, tensor in parts.model.state_dict().items() if not torch.equal(before[name], tensor)}
    assert changed
    assert {name.partition(".")[0] for name in changed} == {"reconstruction", "rrs", "discriminator"}


def test_a_stop_saves_where_training_stands_and_is_continued(tmp_path: Path) -> None:
    undisturbed = Parts(tmp_path / "a", [0.5] * 12, "training.steps=5", "training.validation_every=5")
    undisturbed.optimise()

    def parts() -> Parts:
        return Parts(tmp_path / "b", [0.5] * 12, "training.steps=5", "training.validation_every=5")

    with pytest.raises(KeyboardInterrupt):
        parts().optimise(iter([False, False, True]))
    stood = read_progress(tmp_path / "b")
    assert stood is not None
    assert (stood.step, stood.finished, stood.identity) == (3, False, "me")
    continued = parts()
    assert continued.optimise().step == 5
    ours, theirs = trained_state(continued.model), trained_state(undisturbed.model)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    logs = [read_progress(tmp_path / name).log for name in "ab"]  # type: ignore[union-attr]
    figures = [[{k: v for k, v in row.items() if k != "seconds"} for row in log] for log in logs]
    assert figures[0] == figures[1], "the mean loss too is that of all five steps"


def test_losses_are_those_of_eq_5_and_6(tmp_path: Path) -> None:
    parts = Parts(tmp_path, [])
    model, batch = parts.model.eval(), next(parts.batches.starting_at(0, 1))
    size = (batch.mask.shape[-2], batch.mask.shape[-1])
    module = LossOfBatch(model, (2.0, 0.5))
    with torch.no_grad():
        total, reconstruction, segmentation = module(batch.anomalous, batch.normal, batch.mask)
        logits, reconstructions = model.discriminate(batch.anomalous, size)
    pairs = zip(reconstructions, batch.normal, strict=False)
    assert float(reconstruction) == pytest.approx(sum(float((r - n).square().mean()) for r, n in pairs), rel=1e-4)
    chance = logits.softmax(1)
    right = torch.where(batch.mask.bool(), chance[:, 1:], chance[:, :1])
    assert float(segmentation) == pytest.approx(float(-right.log().mean()), rel=1e-4)
    assert float(total) == pytest.approx(2 * float(reconstruction) + 0.5 * float(segmentation), rel=1e-5)


@pytest.mark.parametrize("damage", ["cut", "other", "no progress"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    parts = Parts(tmp_path, [0.5] * 12, "training.steps=1")
    parts.optimise()
    path = tmp_path / CHECKPOINT_FILE
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    elif damage == "other":
        save_file({"model.weight": torch.ones(1)}, path, metadata={"progress": "{}"})
    else:
        save_file(load_file(path), path)
    module = LossOfBatch(parts.model, (1.0, 1.0))
    with pytest.raises(UserError, match=r"checkpoint.safetensors is damaged \(.*delete it"):
        load_checkpoint(tmp_path, module, torch.optim.Adam(module.parameters()))
