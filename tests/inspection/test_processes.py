"""Inspectors in other processes: forked off, started anew, and pickled; and on devices that are not there."""

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from realnet import load
from realnet.errors import UserError
from realnet.model.threads import Threads
from tests.data.layouts import picture

_SECONDS = 240


def _score(inspector: Any, images: list[np.ndarray], queue: Any) -> None:
    try:
        queue.put([result.score for result in inspector.inspect_many(images)])
    except UserError as error:
        queue.put(str(error))


def _elsewhere(method: str, inspector: Any, images: list[np.ndarray]) -> Any:
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_score, args=(inspector, images, queue))
    process.start()
    try:
        return queue.get(timeout=_SECONDS)
    finally:
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [picture(rng, defect=i == 0)[0] for i in range(4)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_used_inspector_goes_on_in_another_process(
    trained: Path,
    images: list[np.ndarray],
    method: str,
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    inspector = load(trained)
    inspector._threads = Threads(4)  # type: ignore[union-attr]  # more than this machine may have
    here = [result.score for result in inspector.inspect_many(images)]
    assert _elsewhere(method, inspector, images) == pytest.approx(here, abs=1e-4)
    assert [result.score for result in inspector.inspect_many(images)] == here


def test_an_inspector_is_pickled_without_its_threads(trained: Path, images: list[np.ndarray]) -> None:
    inspector = load(trained)
    here = inspector.inspect(images[0]).score
    copy = pickle.loads(pickle.dumps(inspector))
    assert copy.inspect(images[0]).score == pytest.approx(here, abs=1e-5)
    assert (copy.threshold, copy.image_size) == (inspector.threshold, inspector.image_size)


def test_lanes_start_with_the_first_batch_and_not_before() -> None:
    lanes = Threads(3)
    assert lanes._pool is None
    batch = torch.arange(12.0).reshape(3, 4)
    (doubled,) = lanes(lambda part: (part * 2,), batch)
    assert torch.equal(doubled, batch * 2)
    assert lanes._pool is not None
    assert pickle.loads(pickle.dumps(lanes))._pool is None


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps", "tpu9000"])
def test_a_device_that_is_not_there(trained: Path, device: str) -> None:
    if (device == "cuda" and torch.cuda.is_available()) or (device == "mps" and torch.backends.mps.is_available()):
        pytest.skip("it is there")
    with pytest.raises(UserError, match=f"no device '{device}' here"):
        load(trained, device=device)
