"""What all tests share."""

import functools
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Two spinning thread pools on few cores slow each other down tenfold; the tests' models are tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's processes give way to all others otherwise, and on a busy machine never come to anything.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Imports leave no garbage, and looking for it would be a quarter of what collecting takes."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of a file in one process, as ``--dist loadfile`` has it, and so all that need the Ray cluster."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return "tests/cluster" if file.startswith("tests/cluster/") else file

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(autouse=True)
def _the_same_random_numbers() -> None:
    """Start every test at the same random state: one that fails, fails again."""
    import torch  # after the variables above, which it reads once

    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _published_weights_are_read_once() -> Iterator[None]:
    """Unpickle the weights of EfficientNet-Lite0 once: the tests make hundreds of networks of them."""
    from realnet.model import backbone

    read = backbone._read_weights
    read_once = functools.cache(read)

    def known(path: Path) -> dict[str, Any]:
        return dict(read_once(path)) if backbone._LITE0_PACKAGE in path.parts else read(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone, "_read_weights", known)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images for development: ``REALNET_SHARED_DATA``, or ``shared/data`` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("REALNET_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("no real images at hand: set REALNET_SHARED_DATA to a folder that holds mvtec_ad/")
    return folder


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one category, ``widget``; to be read only."""
    from tests.data.layouts import make_mvtec

    return make_mvtec(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, product: Path) -> Path:
    """A finished run of ``product`` and seed 0; to be read only."""
    from tests.training.tiny import run, tiny

    output = tmp_path_factory.mktemp("runs") / "run"
    run(product, output, tiny())
    return output
