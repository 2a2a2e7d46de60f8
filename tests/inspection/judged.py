"""A list of files judged into a folder."""

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from realnet.inspection.items import Item, file_item
from realnet.inspection.journal import Earlier
from realnet.inspection.judging import Judge
from realnet.inspection.result_folder import InspectionRequest, inspect_items
from realnet.inspection.rows import Row
from realnet.inspection.sources import IsKnown
from realnet.inspection.summary_page import Summary


def inspect_files(
    inspector: Judge,
    files: Iterable[str | Path],
    output: Path,
    progress: Callable[[int], None] = lambda done: None,
    batch_size: int = 8,
    earlier: Earlier = "refuse",
) -> Summary:
    """Judge ``files`` and write overlays and tables into ``output``; ``progress`` is told how many are done."""
    done = 0

    def count(row: Row) -> None:
        nonlocal done
        done += 1
        progress(done)

    def items(is_known: IsKnown, stop: threading.Event) -> Iterator[Item]:
        yield from (file_item(Path(file)) for file in files)

    return inspect_items(inspector, items, output, InspectionRequest(batch_size=batch_size, earlier=earlier), count)
