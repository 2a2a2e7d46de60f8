"""Training a diffusion model as a folder: its files, its refusals, its resumption, and what it needs."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from realnet.data import open_dataset
from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.denoiser import parameter_count
from realnet.diffusion.denoiser_training import NoisePrediction
from realnet.diffusion.estimate import Estimate, activation_bytes, check_memory, duration, estimate_training
from realnet.diffusion.model_folder import file_sha256, load_diffusion, load_diffusion_config, make_denoiser
from realnet.diffusion.training_run import train_diffusion
from realnet.errors import UserError
from realnet.progress import Watcher
from realnet.training.checkpoint import CHECKPOINT_FILE, Progress, read_progress
from realnet.training.launch import Launch
from tests.cli.process import Started
from tests.data.layouts import make_good, make_mvtec, picture, save
from tests.diffusion.tiny import batches, cpu, flags, plain, run, tiny, weights
from tests.training.test_resume import snapshot, wait_for

FILES = {"checkpoint.safetensors", "config.yaml", "denoiser.safetensors", "good", "log.csv", "model.json", "samples"}
posix = pytest.mark.skipif(os.name != "posix", reason="sends signals as POSIX has them")


class Listener(Watcher):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[int] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(self, progress: Progress, steps: int) -> None:
        self.steps.append(progress.step)


def rows(model: Path) -> list[dict[str, str]]:
    with (model / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def assert_same_weights(one: Path, other: Path) -> None:
    assert file_sha256(one / "denoiser.safetensors") == file_sha256(other / "denoiser.safetensors")


def test_a_model_is_one_folder_without_pickle(diffusion: Path) -> None:
    assert {path.name for path in diffusion.iterdir()} - {"tensorboard"} == FILES
    for path in diffusion.rglob("*"):
        if path.is_file() and path.parent.name != "tensorboard":
            assert path.suffix in {".safetensors", ".yaml", ".csv", ".json", ".png"}
            if path.suffix == ".safetensors":
                assert load_file(path)
    assert DiffusionConfig.model_validate(yaml.safe_load((diffusion / "config.yaml").read_text())) == tiny()
    assert load_diffusion(diffusion).categories == ("widget",)
    assert [path.name for path in sorted((diffusion / "good").iterdir())] == ["widget"]
    assert len(list((diffusion / "good" / "widget").iterdir())) == 5, "the held-out one is not there"


def test_the_facts_say_where_the_model_comes_from(diffusion: Path) -> None:
    facts = json.loads((diffusion / "model.json").read_text())
    training = facts["training"]
    assert (training["good_images"], training["held_out_images"]) == (5, 1)
    assert (training["steps"], training["planned_steps"], training["images_seen"]) == (6, 6, 12)
    assert training["initialised_from"] is None
    assert facts["provenance"]["seed"] == 0
    assert facts["provenance"]["preset"] == "lite"
    last = rows(diffusion)[-1]
    assert facts["readiness"]["readiness"] == pytest.approx(float(last["readiness"]))
    assert facts["readiness"]["verdict"] in {"ready", "rough", "noise"}


def test_every_report_leaves_a_row_and_a_sheet(diffusion: Path) -> None:
    log = rows(diffusion)
    assert [row["step"] for row in log] == ["3", "6"]
    for row in log:
        assert float(row["simple_loss"]) > 0
        ratio = float(row["sample_distance"]) / float(row["good_distance"])
        assert float(row["readiness"]) == pytest.approx(ratio)
    for step in (3, 6):
        with Image.open(diffusion / "samples" / f"step-{step:07d}.png") as sheet:
            assert sheet.size == (4 * 164 + 4, 2 * 164 + 4), "good images, and under each what is made of it"


def test_what_is_said(product: Path, tmp_path: Path) -> None:
    watcher = Listener()
    run(product, tmp_path / "run", tiny("training.accumulate=3"), watcher=watcher)
    first, second, *reports = watcher.said
    assert first == "Fitting the linear estimate to 5 good images"
    assert "6 steps see 36 images" in second
    assert [report.split(":")[0] for report in reports] == ["Step 3", "Step 6"]
    assert watcher.steps == [1, 2, 3, 4, 5, 6]


def test_the_seed_decides_everything(product: Path, diffusion: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)  # means nothing to it
    run(product, tmp_path / "again", tiny())
    assert_same_weights(tmp_path / "again", diffusion)
    run(product, tmp_path / "other", tiny(seed=1))
    ours, theirs = weights(diffusion), weights(tmp_path / "other")
    assert not torch.equal(ours["unet.conv_in.weight"], theirs["unet.conv_in.weight"])


def test_the_linear_estimate_is_fitted_to_the_images_of_training(diffusion: Path, product: Path) -> None:
    model = load_diffusion(diffusion)
    assert model.denoiser.prior is not None
    images = [np.asarray(Image.open(path)) for path in sorted((diffusion / "good" / "widget").iterdir())]
    mean = torch.from_numpy(np.stack(images)).float().mean(0).permute(2, 0, 1)
    small = torch.nn.functional.avg_pool2d(mean, 2) / 127.5 - 1
    torch.testing.assert_close(model.denoiser.prior.mean, small, rtol=0, atol=1 / 127)


def test_several_categories_condition_the_network(conditioned: Path) -> None:
    model = load_diffusion(conditioned)
    assert model.categories == ("bolt", "nut")
    assert model.config.denoiser.categories == 2
    assert model.denoiser.unet.class_embedding.weight.shape[0] == 2
    assert not (conditioned / "good").exists(), "it starts from noise"
    facts = json.loads((conditioned / "model.json").read_text())
    assert (facts["training"]["good_images"], facts["training"]["held_out_images"]) == (6, 2), "one of each"


def test_one_category_of_several_conditions_nothing(pair: Path, tmp_path: Path) -> None:
    run(pair, tmp_path / "run", plain("training.steps=1", "denoiser.categories=7"), category="nut")
    model = load_diffusion(tmp_path / "run")
    assert (model.categories, model.config.denoiser.categories) == (("nut",), 0)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_mixed_precision(product: Path, diffusion: Path, tmp_path: Path, accumulate: int) -> None:
    config = tiny(f"training.accumulate={accumulate}")
    run(product, tmp_path / "run", config, precision="bf16-mixed")
    mixed, exact = weights(tmp_path / "run"), weights(diffusion)
    assert all(tensor.dtype == torch.float32 for tensor in mixed.values())
    assert not torch.equal(mixed["unet.conv_in.weight"], exact["unet.conv_in.weight"])
    torch.testing.assert_close(mixed["unet.conv_in.weight"], exact["unet.conv_in.weight"], rtol=0, atol=0.01)


@posix
def test_after_kill_9_the_same_weights_come_out(product: Path, tmp_path: Path) -> None:
    fields = ("training.steps=20", "training.report_every=4")
    undisturbed, output = tmp_path / "undisturbed", tmp_path / "run"
    run(product, undisturbed, tiny(*fields))
    call: list[str | Path] = ["sdas", "train", product, "--output", output, "--device", "cpu", *flags(*fields)]
    started = Started(call, tmp_path)
    wait_for(lambda: (output / CHECKPOINT_FILE).is_file() or not started.process.is_alive())
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait().status == -signal.SIGKILL
    stood = read_progress(output)
    assert stood is not None
    assert 0 < stood.step < 20
    assert not (output / "denoiser.safetensors").exists()
    with pytest.raises(UserError, match="training has not finished"):
        load_diffusion(output)
    (output / ".checkpoint.killed.part.safetensors").write_bytes(b"what a kill may leave behind")

    watcher = Listener()
    run(product, output, tiny(*fields), resume=True, watcher=watcher)
    assert watcher.steps == list(range(stood.step + 1, 21)), "it went on, it did not start again"
    assert_same_weights(output, undisturbed)
    timeless = [[{**row, "seconds": ""} for row in rows(path)] for path in (output, undisturbed)]
    assert timeless[0] == timeless[1]
    names = [{path.name for path in folder.iterdir()} for folder in (output, undisturbed)]
    assert names[0] == names[1]


@posix
def test_ctrl_c_saves_and_resume_continues(product: Path, diffusion: Path, tmp_path: Path) -> None:
    class PressCtrlC(Listener):
        def step(self, progress: Progress, steps: int) -> None:
            super().step(progress, steps)
            if progress.step == 1:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(product, tmp_path / "run", tiny(), watcher=PressCtrlC())
    stood = read_progress(tmp_path / "run")
    assert stood is not None
    assert (stood.step, stood.finished) == (2, False)
    run(product, tmp_path / "run", tiny(), resume=True)
    assert_same_weights(tmp_path / "run", diffusion)


def test_a_finished_model_is_left_as_it_is(product: Path, diffusion: Path) -> None:
    before = snapshot(diffusion)
    progress = run(product, diffusion, tiny(), resume=True)
    assert (progress.step, progress.finished) == (6, True)
    assert snapshot(diffusion) == before


def test_killed_while_finishing(product: Path, diffusion: Path, tmp_path: Path) -> None:
    """A checkpoint that says finished, without the model: the rest is written, nothing is trained."""
    for name in ("config.yaml", CHECKPOINT_FILE):
        (tmp_path / name).write_bytes((diffusion / name).read_bytes())
    watcher = Listener()
    run(product, tmp_path, tiny(), resume=True, watcher=watcher)
    assert watcher.steps == []
    assert_same_weights(tmp_path, diffusion)
    ours, theirs = (json.loads((path / "model.json").read_text()) for path in (tmp_path, diffusion))
    assert ours["training"] == theirs["training"]


def assert_refused(
    product: Path,
    output: Path,
    message: str,
    config: DiffusionConfig | None = None,
    resume: bool = True,
    init: Path | None = None,
) -> None:
    before = snapshot(output) if output.is_dir() else None
    with pytest.raises(UserError, match=message):
        run(product, output, config or tiny(), resume=resume, init=init)
    assert (snapshot(output) if output.is_dir() else None) == before


def test_an_output_in_use_is_refused(product: Path, diffusion: Path, tmp_path: Path) -> None:
    assert_refused(product, diffusion, "already holds a diffusion model .*--resume, or give another", resume=False)
    (tmp_path / "file").write_text("mine")
    for resume in (False, True):
        assert_refused(product, tmp_path / "file", "is a file; give --output a folder", resume=resume)
        assert_refused(product, tmp_path, r"is not empty \(it holds file\)", resume=resume)
    assert_refused(product, tmp_path / "file" / "run", "Cannot write .*folder that can be written")


def test_the_run_of_an_inspector_is_not_touched(product: Path, trained: Path) -> None:
    for resume in (False, True):
        assert_refused(product, trained, r"config\.yaml is no configuration of a diffusion model", resume=resume)


def test_another_training_is_not_resumed(product: Path, diffusion: Path, tmp_path: Path) -> None:
    message = "cannot be resumed: its good images or its settings differ from this call's"
    assert_refused(product, diffusion, message, tiny(seed=1))
    assert_refused(product, diffusion, message, tiny("training.steps=7"))
    assert_refused(product, diffusion, message, init=tmp_path / "x.pt")
    data = make_mvtec(tmp_path / "set")
    save(data / "widget" / "train" / "good" / "006.png", picture(np.random.default_rng(9))[0])
    assert_refused(data, diffusion, message)


def test_a_damaged_checkpoint_is_named(product: Path, diffusion: Path, tmp_path: Path) -> None:
    whole = (diffusion / CHECKPOINT_FILE).read_bytes()
    (tmp_path / CHECKPOINT_FILE).write_bytes(whole[: len(whole) // 2])
    assert_refused(product, tmp_path, r"checkpoint\.safetensors is damaged .*; delete it and train again")


def test_a_model_without_its_checkpoint_is_not_trained_over(product: Path, diffusion: Path, tmp_path: Path) -> None:
    for name in ("config.yaml", "denoiser.safetensors", "model.json"):
        (tmp_path / name).write_bytes((diffusion / name).read_bytes())
    assert_refused(product, tmp_path, r"is finished and has no checkpoint\.safetensors")


def test_a_start_that_is_not_there(product: Path, tmp_path: Path) -> None:
    assert_refused(product, tmp_path / "run", r"nowhere\.pt", plain("denoiser.patch=1"), init=tmp_path / "nowhere.pt")
    assert_refused(product, tmp_path / "run", r"cannot start from .*nowhere\.pt", tiny(), init=tmp_path / "nowhere.pt")


def test_one_good_image_is_too_few(tmp_path: Path) -> None:
    make_good(tmp_path / "in", 1, np.random.default_rng(0))
    assert_refused(tmp_path / "in", tmp_path / "run", "has 1 good image; give at least two")
    make_good(tmp_path / "in", 2, np.random.default_rng(0))
    run(tmp_path / "in", tmp_path / "run", tiny("training.steps=1"))
    load_diffusion(tmp_path / "run")


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        (Launch(device="nosuch"), "no device 'nosuch'"),
        (Launch("cpu", precision="nosuch"), "precision nosuch"),
        (Launch("cpu", strategy="nosuch"), "strategy nosuch"),
    ],
)
def test_devices_that_are_not_there(product: Path, tmp_path: Path, launch: Launch, message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_diffusion(open_dataset(product), tiny(), tmp_path / "run", launch)
    assert not (tmp_path / "run").exists()


def test_too_little_memory_is_said_before_training(
    product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realnet.diffusion.estimate.device_memory", lambda device: 2**20)
    message = r"needs about .* GiB and cpu has .* GiB: lower training\.batch_size=2 and raise training\.accumulate, or"
    assert_refused(product, tmp_path / "run", message)
    assert_refused(
        product, tmp_path / "run", r"GiB: choose a smaller preset, such as gpu or lite\.", tiny("training.batch_size=1")
    )
    monkeypatch.setattr("realnet.diffusion.estimate.device_memory", lambda device: None)
    assert check_memory(torch.device("cpu"), tiny("training.batch_size=10000000")) > 2**40, "nothing is allocated"


def counted(config: DiffusionConfig, batch_size: int) -> int:
    """The bytes of different memory that a real forward pass on the CPU keeps, weights apart."""
    denoiser = make_denoiser(config)
    own = {parameter.untyped_storage().data_ptr() for parameter in denoiser.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    size = config.denoiser.image_size
    t = torch.zeros(batch_size, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = denoiser(torch.zeros(batch_size, 3, size, size), t, t if config.denoiser.categories else None)
    assert output[0].requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("config", [tiny(), plain(), plain("denoiser.categories=2")], ids=["image", "noise", "two"])
def test_the_memory_of_a_forward_pass(config: DiffusionConfig) -> None:
    estimated = [activation_bytes(config.denoiser, count) for count in (1, 2, 8)]
    for count, found in zip((1, 2, 8), estimated, strict=True):
        assert found == pytest.approx(counted(config, count), rel=0.02)
    assert estimated[2] - estimated[1] == pytest.approx(6 * (estimated[1] - estimated[0]), rel=0.02)
    assert estimated[0] > 100_000


def test_the_estimate_leaves_no_trace() -> None:
    config = plain("training.accumulate=3")
    module = NoisePrediction(make_denoiser(config), config.process)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    memory = check_memory(torch.device("cpu"), config)
    estimate = estimate_training(cpu(), module, batches(config).number(0), config, memory)
    assert all(parameter.grad is None for parameter in module.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert estimate.parameters == parameter_count(module.denoiser)
    assert estimate.images == 6
    assert estimate.memory == memory == 20 * estimate.parameters + activation_bytes(config.denoiser, 2)
    assert 0 < estimate.step_seconds < 30


def test_the_estimate_in_words() -> None:
    estimate = Estimate(2_500_000, 3 * 2**30, 0.5, 12)
    words = "2.5 M parameters, about 3.0 GiB of memory; {} ({} a step)."
    cases = {(1000, 0, None): "1000 steps see 12000 images in about 8 min", (1000, 900, None): "100 steps see 1200"}
    cases[1000, 0, 60.0] = "120 steps see 1440 images in about 60 s"
    cases[1000, 0, 1e6] = "1000 steps see 12000 images in about 8 min"
    cases[10, 0, 0.1] = "1 steps see 12 images"
    for (steps, done, budget), part in cases.items():
        sentence = estimate.sentence(steps, done, budget)
        assert part in sentence
        assert sentence.startswith(words.split("{")[0])
        assert sentence.endswith("(0.50 s a step).")
    assert [duration(seconds) for seconds in (5, 89, 90, 5399, 5400, 36_000)] == [
        "5 s", "89 s", "2 min", "90 min", "1.5 h", "10.0 h",
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(product: Path, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    output = tmp_path / "run"
    command: list[str | Path] = [sys.executable, "-m", "tests.diffusion.ddp_script", "sdas", "train", product]
    command += ["--output", output, "--device", "cpu", "--devices", "2", "--strategy", "ddp"]
    finished = subprocess.run(
        [*command, *flags("training.accumulate=2")],
        cwd=root,
        env=os.environ | {"REALNET_TEST_STATES": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "Traceback" not in finished.stderr
    assert finished.stdout.count("Trained 6 steps") == 1, "only the first process talks"
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    saved = load_file(output / "denoiser.safetensors")
    assert all(torch.equal(saved[name], first[name]) for name in saved)
    for rank in (0, 1):
        with safe_open(tmp_path / f"{rank}.safetensors", framework="pt") as file:
            assert file.metadata()["steps"] == "6"
    assert json.loads((output / "model.json").read_text())["training"]["images_seen"] == 6 * 2 * 2, (
        "devices share a step"
    )
    assert load_diffusion_config(output) == tiny("training.accumulate=2")
