from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.signals.receivers import Receiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path)
    yield made
    made.kill()
