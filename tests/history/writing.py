"""What a process of its own runs: imported there without anything heavy."""

from pathlib import Path

from realnet.history import open_history
from tests.history.conftest import made


def write(path: Path, start: int) -> None:
    """Add forty results."""
    opened = open_history(path)
    for number in range(start, start + 40):
        opened.add(made(number, 0.3), "bottle", "test", None)
    opened.close()
