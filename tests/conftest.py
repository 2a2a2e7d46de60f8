"""What all tests share."""

import os
from pathlib import Path

import pytest

# Two spinning thread pools on few cores slow each other down tenfold; the tests' models are tiny.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's processes give way to all others otherwise, and on a busy machine never come to anything.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(autouse=True)
def _the_same_random_numbers() -> None:
    """Start every test at the same random state: one that fails, fails again."""
    import torch  # after the variables above, which it reads once

    torch.manual_seed(0)


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
