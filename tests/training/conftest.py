from pathlib import Path

import pytest

from tests.data.layouts import make_mvtec
from tests.training.tiny import run, tiny


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one category, ``widget``."""
    return make_mvtec(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, product: Path) -> Path:
    """A finished run of seed 0; to be read only."""
    output = tmp_path_factory.mktemp("runs") / "run"
    run(product, output, tiny())
    return output
