import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from realnet.cli.app import main
from tests.cli.process import Finished, Started


@pytest.fixture
def realnet(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """Runs ``realnet`` with arguments to its end; nothing it prints may be a traceback."""

    def call(*arguments: str | Path) -> Finished:
        finished = Started(arguments, tmp_path_factory.mktemp("output")).wait()
        assert "Traceback" not in finished.out + finished.err
        return finished

    return call


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs ``realnet`` with arguments in this process: its status and what it printed, of one kind."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["realnet", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        status = end.value.code
        assert isinstance(status, int)
        return status, err if status else out

    return run
