from pathlib import Path

import pytest

from tests.data.layouts import make_mvtec
from tests.diffusion.tiny import plain, run, tiny

pytest.importorskip("diffusers")


@pytest.fixture(scope="session")
def diffusion(tmp_path_factory: pytest.TempPathFactory, product: Path) -> Path:
    """A finished model of ``widget`` that starts from good images; to be read only."""
    output = tmp_path_factory.mktemp("models") / "model"
    run(product, output, tiny())
    return output


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two categories, ``bolt`` and ``nut``."""
    return make_mvtec(tmp_path_factory.mktemp("data") / "pair", ("bolt", "nut"), train=4)


@pytest.fixture(scope="session")
def conditioned(tmp_path_factory: pytest.TempPathFactory, pair: Path) -> Path:
    """A finished model of both categories that starts from noise; to be read only."""
    output = tmp_path_factory.mktemp("models") / "pair"
    run(pair, output, plain("training.steps=3"))
    return output
