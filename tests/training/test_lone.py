"""Training in one process on the CPU loads no more than it needs, and is Fabric's training."""

import subprocess
import sys

import pytest
import torch
from lightning.fabric import Fabric
from torch import nn

from realnet.training.launch import Launch, make_fabric
from realnet.training.lone import LoneProcess

_HEAVY = ("timm", "torchvision", "lightning", "torchmetrics", "matplotlib", "scipy.stats", "torch._dynamo")


def test_what_a_training_loads() -> None:
    code = f"import sys, realnet.training.run; print([name for name in {_HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_where_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert isinstance(make_fabric(Launch("cpu")), LoneProcess)
    assert isinstance(make_fabric(Launch("cpu", precision="bf16-mixed")), Fabric)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert isinstance(make_fabric(Launch("cpu")), Fabric)


def test_its_steps_are_fabrics() -> None:
    trained = []
    for fabric in (LoneProcess(), Fabric(accelerator="cpu", devices=1)):
        torch.manual_seed(0)
        module = nn.Linear(4, 2)
        wrapped, optimizer = fabric.setup(module, torch.optim.AdamW(module.parameters(), lr=0.1))
        for number in range(3):
            optimizer.zero_grad()
            with fabric.no_backward_sync(wrapped, enabled=number < 2):
                fabric.backward(100 * wrapped(torch.full((3, 4), float(number))).square().mean())
            fabric.clip_gradients(wrapped, optimizer, max_norm=1.0, error_if_nonfinite=False)
            optimizer.step()
        trained.append(module.weight.detach())
    assert torch.equal(*trained)
    assert LoneProcess().broadcast((1, True)) == (1, True)


def test_mixed_precision_leaves_what_goes_in_its_digits() -> None:
    fabric = make_fabric(Launch("cpu", precision="bf16-mixed"))
    module = fabric.setup(torch.nn.Linear(1, 1, bias=False))
    x = torch.tensor([[1.001]])
    assert module(x).dtype == torch.float32, "results are single precision"
    torch.nn.init.ones_(module.weight)
    assert module(x).item() == 1.0, "the product is of bfloat16"
    assert fabric.setup(torch.nn.Identity())(x).item() == x.item(), "the input is not rounded"
