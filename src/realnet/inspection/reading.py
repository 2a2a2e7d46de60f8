"""Decoding the next images while the present ones are judged."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

from realnet.data.notes import Notes
from realnet.errors import UserError
from realnet.inspection.index import Claim
from realnet.inspection.items import Item
from realnet.inspection.judging import Judge
from realnet.view import Looked

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Taken:
    """An image that was taken up, and what is seen of it, or why that is nothing; None: it is not read yet."""

    item: Item
    claim: Claim
    looked: Looked | UserError | None = None


def in_blocks(
    items: Iterable[Item | None],
    claim: Callable[[Item], Claim | None],
    size: int,
    limit: int | None = None,
) -> Iterator[list[Taken]]:
    """Images in blocks that are judged together: of ``size``, but live ones alone; no more than ``limit`` images.

    Which images share a block depends on the sources alone and on nothing that was done before: a network's rounding
    depends on the size of its batch.

    Args:
        items: None among them means that no more is to be waited for.
        claim: takes an image up; None for one that was taken up before.
    """
    block: list[Taken] = []
    count = 0
    for item in items:
        if item is None:
            if block:
                yield block
            block = []
            continue
        claimed = claim(item)
        if claimed is None:
            continue
        count += 1
        if item.live and block:
            yield block
            block = []
        block.append(Taken(item, claimed))
        if item.live or len(block) == size:
            yield block
            block = []
        if count == limit:
            break
    if block:
        yield block


def read_ahead(
    blocks: Iterable[list[Taken]], stop: threading.Event, inspector: Judge, notes: Notes
) -> Generator[list[Taken], None, None]:
    """The blocks in their order, decoded by a thread of its own; one at a time is decoded ahead.

    Blocks that are done come as they are; of the others all images are read.

    Args:
        stop: ends it after the present block; set when the iteration ends.
        inspector: whose levels the images are read by, and who looks at them.
        notes: counts what of the images is to be said.

    Raises:
        Whatever ``blocks`` does.
    """
    ready: queue.SimpleQueue[list[Taken] | BaseException | None] = queue.SimpleQueue()
    ahead = threading.Semaphore(1)

    def work() -> None:
        try:
            for block in blocks:
                while not ahead.acquire(timeout=_POLL_SECONDS):
                    if stop.is_set():
                        return
                if stop.is_set():
                    return
                done = all(taken.claim.done for taken in block)
                ready.put(block if done else [_read(taken, inspector, notes) for taken in block])
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    # A daemon: standard input may never say another word.
    thread = threading.Thread(target=work, name="realnet-reader", daemon=True)
    thread.start()
    try:
        while True:
            try:
                block = ready.get(timeout=_POLL_SECONDS)  # short, so that Ctrl-C is heard on every system
            except queue.Empty:
                if stop.is_set():
                    return
                continue
            if block is None:
                return
            if isinstance(block, BaseException):
                raise block
            ahead.release()
            yield block
    finally:
        stop.set()
        thread.join(timeout=2)


def _read(taken: Taken, inspector: Judge, notes: Notes) -> Taken:
    try:
        image = taken.item.read(inspector.levels, notes)
    except UserError as error:
        return Taken(taken.item, taken.claim, error)
    return Taken(taken.item, taken.claim, inspector.look_or_say(image, taken.item.image))
