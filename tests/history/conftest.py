import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from realnet.history import Store, open_history
from realnet.history.pictures import make_picture
from realnet.inspection.rows import Row
from realnet.inspection.trace import Trace

Add = Callable[..., Row]


def made(number: int, score: float | None, time: str = "2026-03-01T09:00:00.000Z", **fields: object) -> Row:
    """A result of image ``number`` by a model with threshold 0.4."""
    trace = Trace("ab" * 32, 1, f"{number:064x}", id=f"{number:032x}", time=time, software="realnet 0")
    level = None if score is None else score / 0.8 if score <= 0.4 else 0.5 + (score - 0.4) / 1.2
    verdict = "unreadable" if score is None else "anomalous" if score > 0.4 else "good"
    row = Row(
        f"{number}.png",
        verdict,
        score,
        level=level,
        threshold=0.4,
        anomalous_area=None,
        error="" if level else "torn",
        **trace.as_dict(),
    )
    return dataclasses.replace(row, **fields)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_history(tmp_path / "realnet.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def add(store: Store) -> Add:
    """Add a result to the store."""
    pixels = np.zeros((8, 12, 3), np.uint8)

    def put(number: int, score: float | None, time: str = "2026-03-01T09:00:00.000Z", **fields: object) -> Row:
        row = made(number, score, time, **fields)
        store.add(row, "bottle", "test", None if score is None else make_picture(pixels, store.keep))
        return row

    return put
