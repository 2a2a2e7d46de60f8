from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.process import Finished, Started
from tests.training.conftest import product, trained  # noqa: F401 - fixtures


@pytest.fixture
def realnet(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """Runs ``realnet`` with arguments to its end; nothing it prints may be a traceback."""

    def call(*arguments: str | Path) -> Finished:
        finished = Started(arguments, tmp_path_factory.mktemp("output")).wait()
        assert "Traceback" not in finished.out + finished.err
        return finished

    return call
