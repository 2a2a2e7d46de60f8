"""What is switched on for NVIDIA GPUs changes nothing elsewhere, and nothing but the speed."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file

from realnet.acceleration import allow_tf32, fuses
from tests.data.layouts import make_mvtec
from tests.training.tiny import TRAINED, run, tiny


@pytest.fixture
def switches():  # type: ignore[no-untyped-def]
    """PyTorch's own switches, put back afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    yield lambda: (matmul.allow_tf32, cudnn.allow_tf32)
    matmul.allow_tf32, cudnn.allow_tf32 = before


def test_tf32_is_for_nvidia_gpus(switches, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    assert not allow_tf32("cpu") and switches() == (False, False)
    assert allow_tf32("cuda:0") and switches() == (True, True)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert not allow_tf32("cuda") and switches() == (False, False)


@pytest.mark.parametrize(
    ("device", "scaler", "expected"), [("cpu", None, None), ("cuda", None, True), ("cuda", object(), None)]
)
def test_where_steps_are_fused(device: str, scaler: object, expected: bool | None) -> None:
    strategy = SimpleNamespace(precision=SimpleNamespace(scaler=scaler))
    assert fuses(SimpleNamespace(device=torch.device(device), strategy=strategy)) is expected  # type: ignore[arg-type]


def test_a_real_fabric_can_be_asked() -> None:
    assert fuses(Fabric(accelerator="cpu", devices=1)) is None
    assert fuses(Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")) is None


def test_fused_steps_train_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch has the fused kernel for the CPU, too."""
    data = make_mvtec(tmp_path / "set", train=5)
    config = tiny(*TRAINED, "training.learning_rate=1e-3", "training.weight_decay=0.01")
    run(data, tmp_path / "plain", config)
    monkeypatch.setattr("realnet.training.loop.fuses", lambda fabric: True)
    run(data, tmp_path / "fused", config)
    plain, fused = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "fused"))
    trained = [name for name in plain if name.startswith(("reconstruction.", "discriminator."))]
    assert trained
    moved = torch.cat([(fused[name] - plain[name]).abs().flatten() for name in trained])
    # A step moves by 1e-3 either way, also where the gradient is hardly more than rounding: there the sign may differ.
    assert float(moved.mean()) < 2e-5, float(moved.mean())
    assert float((moved < 2e-4).float().mean()) > 0.99
