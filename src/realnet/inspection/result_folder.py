"""Inspection of many images: overlays, a journal, and tables made of it."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from realnet.data.notes import Notes
from realnet.errors import UserError, plural
from realnet.inspection.index import Registration
from realnet.inspection.inspection import Inspection
from realnet.inspection.items import Item
from realnet.inspection.journal import Earlier, Journal, Settings, open_journal, read_rows, resumable
from realnet.inspection.judging import Judge
from realnet.inspection.reading import QueuedImage, in_blocks, read_ahead
from realnet.inspection.rows import Row
from realnet.inspection.sources import IsKnown
from realnet.inspection.summary_page import PAGE_FILE, Summary, write_page
from realnet.inspection.tables import FORMATS, table_name, write_table
from realnet.synthesis import write_figure
from realnet.view import Looked


class Recorder(Protocol):
    """Where rows go besides the journal: a results store."""

    def add(self, row: Row, pixels: np.ndarray | None) -> None:
        """Keep a row, and a picture of its image."""

    def catch_up(self, rows: Iterable[Row]) -> None:
        """Keep those of a journal's rows that are missing."""


@dataclass(frozen=True)
class InspectionRequest:
    """What is made of the images.

    Attributes:
        overlays, masks: whether ``overlays/NAME.png`` and ``masks/NAME.png`` are written.
        formats: of the tables.
        earlier: what to do with results in the output folder: refuse, resume (leave out what they have) or overwrite.
        limit: number of images; None: all.
        batch_size: images judged at a time.
        recorder: where rows go besides the journal.
        identify: the id of an image's row, the same when it is judged again after a kill; None: a new one each time.
        announce: told of each new row before it is written, so that after a kill nobody has missed a row that is there.
    """

    overlays: bool = True
    masks: bool = False
    formats: tuple[str, ...] = ("csv", "json")
    earlier: Earlier = "refuse"
    limit: int | None = None
    batch_size: int = 8
    recorder: Recorder | None = None
    identify: Callable[[Item], str] | None = None
    announce: Callable[[Item, Row], None] = lambda item, row: None


def inspect_items(
    inspector: Judge,
    items: Callable[[IsKnown, threading.Event], Iterable[Item | None]],
    output: Path,
    request: InspectionRequest,
    told: Callable[[Row], None] = lambda row: None,
    stop: threading.Event | None = None,
) -> Summary:
    """Judge images of any source: each row is in ``results.jsonl`` as soon as it is known, the tables at the end.

    Where ``stop`` is set, what is begun is finished, and the tables are written. UserError where ``output`` cannot be
    written or is in use, or is to be resumed with other settings; what is judged stays in the journal.
    """
    stop = stop or threading.Event()
    settings = Settings(
        inspector.origin.model_digest, inspector.threshold, inspector.pixel_threshold, inspector.minimum_area,
        request.overlays, request.masks,
    )  # fmt: skip
    stale = (*(table_name(form) for form in FORMATS), PAGE_FILE)
    new, notes = 0, Notes()
    with open_journal(output, settings, request.earlier, stale) as journal:
        if request.recorder is not None and request.earlier == "resume":
            request.recorder.catch_up(read_rows(output))

        def register(item: Item) -> Registration | None:
            return journal.index.register(item.key, item.stem, item.folder, item.version)

        def read(item: Item) -> Looked:
            image = item.read(inspector.levels, notes)
            inspector.note_size(image, item.image, notes)
            return inspector.look(image, item.image)

        blocks = in_blocks(items(journal.index.is_known, stop), register, request.batch_size, request.limit)
        with contextlib.closing(read_ahead(blocks, stop, read)) as ready:
            for block in ready:
                # All of a block, also what is done: a score's last digits depend on the batch.
                shown = [queued.looked for queued in block if queued.looked is not None]
                for queued, found in zip(block, inspector.inspect_each(shown, request.batch_size), strict=True):
                    if not queued.registration.done:
                        row = inspector.row(queued.item.image, found)
                        told(_keep(queued, found, row, output, request, journal))
                        new += 1
        summary = Summary(inspector.threshold, inspector.calibration, inspector.trained_on)
        for row in journal.rows():
            summary.add(row)
        summary.earlier = max(0, summary.images - new)
        with resumable():
            for form in request.formats:
                write_table(output / table_name(form), form, journal.rows())
            write_page(output, summary)
    summary.notes = notes.sentences()
    if summary.seen:
        summary.notes.append(
            f"The run was trained on {summary.seen} of these {plural(summary.images, 'image')}: they score lower than "
            "new ones do, and say nothing about how good the run is. Inspect images that it has not seen."
        )
    return summary


def _keep(
    queued: QueuedImage, found: Inspection | UserError, row: Row, output: Path, request: InspectionRequest,
    journal: Journal,
) -> Row:  # fmt: skip
    """Write the pictures of what was found of an image, then its ``row``, which is returned as it is written."""
    name = queued.registration.name
    with resumable():
        if request.overlays and isinstance(found, Inspection):
            row = replace(row, overlay=f"overlays/{name}.png")
            write_figure(output / row.overlay, found.picture)
        if request.masks and isinstance(found, Inspection):
            row = replace(row, mask=f"masks/{name}.png")
            write_figure(output / row.mask, found.mask.astype(np.uint8) * np.uint8(255))
        if request.identify is not None:
            row = replace(row, id=request.identify(queued.item))
        request.announce(queued.item, row)
        journal.append(queued.item, queued.registration, row)
        if request.recorder is not None:
            request.recorder.add(row, queued.looked.image if isinstance(queued.looked, Looked) else None)
    return row
