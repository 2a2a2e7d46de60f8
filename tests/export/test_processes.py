"""Exported inspectors in other processes: forked off, started anew, and pickled; and on devices that are not there."""

import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from realnet import load
from realnet.errors import UserError
from realnet.inspection.inspector import Inspector
from realnet.model.network import RealNet
from tests.data.layouts import picture
from tests.export.conftest import exports_of
from tests.inspection.test_processes import _elsewhere
from tests.training.tiny import run, tiny

Export = Callable[[str], Path]
FORKED = "load the inspector in the worker, or start workers with multiprocessing.get_context"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, product: Path, shallow: tuple[str, ...]) -> Export:
    """A run of few layers in a format: a process does not care."""
    folder = tmp_path_factory.mktemp("shallow")
    run(product, folder / "run", tiny(*shallow))
    return exports_of(folder / "run", product, folder)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [picture(rng, defect=i == 0)[0] for i in range(3)]


@pytest.mark.parametrize("form", ["onnx", "openvino"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_used_export_goes_on_in_another_process_or_says_how(
    exported: Export, images: list[np.ndarray], form: str, method: str
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    inspector = load(exported(form))
    here = [result.score for result in inspector.inspect_many(images)]
    found = _elsewhere(method, inspector, images)
    if method == "fork":
        program = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}[form]
        assert found.startswith(f"{program} cannot go on in a process that was forked off: ") and FORKED in found
    else:
        assert found == pytest.approx(here, abs=1e-4)
    assert [result.score for result in inspector.inspect_many(images)] == pytest.approx(here, abs=1e-6)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_an_export_is_pickled(exported: Export, images: list[np.ndarray], form: str) -> None:
    inspector = load(exported(form))
    copy = pickle.loads(pickle.dumps(inspector))
    assert copy.inspect(images[0]).score == pytest.approx(inspector.inspect(images[0]).score, abs=1e-6)
    assert copy.threshold == inspector.threshold


@pytest.mark.parametrize(("form", "message"), [("onnx", "ONNX Runtime has no device"), ("openvino", "OpenVINO has no")])
def test_a_device_that_is_not_there(exported: Export, form: str, message: str) -> None:
    with pytest.raises(UserError, match=f"{message}.*'tpu9000' here"):
        load(exported(form), device="tpu9000")


def test_what_is_on_a_gpu_says_what_to_do_after_a_fork() -> None:
    """No GPU is needed to say so: the meta device stands for one."""
    model = RealNet(tiny()).to(torch.device("meta"))
    with pytest.raises(UserError, match="on a GPU, which a forked process cannot use: load it in the worker"):
        Inspector(model, tiny(), 0.5, 0.5).after_fork()
