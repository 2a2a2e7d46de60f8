"""Decoding the next images while the present ones are judged."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace

from realnet.errors import UserError
from realnet.inspection.index import Registration
from realnet.inspection.items import Item
from realnet.view import Looked

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class QueuedImage:
    """An image that was taken up, and what is seen of it, or why that is nothing; None: it is not read yet."""

    item: Item
    registration: Registration
    looked: Looked | UserError | None = None


def in_blocks(
    items: Iterable[Item | None], register: Callable[[Item], Registration | None], size: int, limit: int | None = None
) -> Iterator[list[QueuedImage]]:
    """Images in blocks that are judged together: of ``size``, but live ones alone; no more than ``limit`` images.

    Which images share a block depends on the sources alone and on nothing that was done before: a network's rounding
    depends on the size of its batch. None among ``items``: no more is to be waited for; of ``register``: known before.
    """
    block: list[QueuedImage] = []
    count = 0
    for item in items:
        if item is None:
            if block:
                yield block
            block = []
            continue
        registration = register(item)
        if registration is None:
            continue
        count += 1
        if item.live and block:
            yield block
            block = []
        block.append(QueuedImage(item, registration))
        if item.live or len(block) == size:
            yield block
            block = []
        if count == limit:
            break
    if block:
        yield block


def read_ahead(
    blocks: Iterable[list[QueuedImage]], stop: threading.Event, read: Callable[[Item], Looked]
) -> Generator[list[QueuedImage], None, None]:
    """The blocks in their order, decoded by a thread, one at a time ahead, until ``stop``; errors as theirs.

    Blocks that are done are left out; of the others ``read`` reads all images, and its UserError is kept.
    """
    ready: queue.SimpleQueue[list[QueuedImage] | BaseException | None] = queue.SimpleQueue()
    ahead = threading.Semaphore(1)

    def work() -> None:
        try:
            for block in blocks:
                if all(queued.registration.done for queued in block):
                    continue
                while not ahead.acquire(timeout=_POLL_SECONDS):
                    if stop.is_set():
                        return
                if stop.is_set():
                    return
                ready.put([_read(queued, read) for queued in block])
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


def _read(queued: QueuedImage, read: Callable[[Item], Looked]) -> QueuedImage:
    try:
        return replace(queued, looked=read(queued.item))
    except UserError as error:
        return replace(queued, looked=error)
