"""A batch on the processor: parts of it side by side, rather than every operation shared out."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

_MOST = 8
# Images that a thread takes at once: of more, what a layer hands to the next leaves the caches.
_AT_ONCE = 4

Network = Callable[[Tensor], tuple[Tensor, ...]]


class Threads:
    """Threads that run a frozen network on parts of a batch.

    Torch shares every single operation out among its threads; they wait for each other hundreds of times an image, and
    what other threads do in the meantime (decoding) makes all of them wait. Of independent images each thread takes
    some instead, a few at a time, and they meet once.

    The threads start with the first batch, in the process that has it: a copy that was pickled, or is used in a forked
    process, starts its own. After a fork torch's own threads are gone, so each lane does its operations alone.

    Args:
        threads: the processor's share for all lanes together; default: torch's own number.

    Example:
        >>> import torch
        >>> from realnet.model.threads import Threads
        >>> Threads(threads=2)(lambda batch: (batch.flatten(1), batch.amax((1, 2, 3))), torch.ones(5, 1, 2, 2))[0].shape
        torch.Size([5, 4])
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads = threads or torch.get_num_threads()
        self.count = min(threads, _MOST)
        self._pool: ThreadPoolExecutor | None = None
        self._made_in = self._process = os.getpid()
        self._starting = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"threads": self.threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["threads"])  # type: ignore[misc]

    def _lanes(self) -> ThreadPoolExecutor | None:
        """The threads of this process; None where there is one lane only."""
        if self.count == 1:
            return None
        if self._process != os.getpid():  # forked: neither the threads nor the lock came along
            self._pool, self._starting, self._process = None, threading.Lock(), os.getpid()
        with self._starting:
            if self._pool is None:
                self._pool = self._start()
            return self._pool

    def _start(self) -> ThreadPoolExecutor:
        share = self.threads // self.count if self._process == self._made_in else 1
        pool = ThreadPoolExecutor(self.count, "lane", initializer=_take, initargs=(share,))
        here, all_there = torch.get_num_threads(), threading.Barrier(self.count)
        for waiting in [pool.submit(all_there.wait) for _ in range(self.count)]:
            waiting.result()
        # Torch sets the number for the calling thread and for all that are yet to come: the latter is put back.
        torch.set_num_threads(here)
        return pool

    def __call__(self, network: Network, batch: Tensor) -> tuple[Tensor, ...]:
        """What ``network`` makes of ``batch`` ``[B, ...]``, without gradients; on a GPU it is not divided."""
        # Two threads that share one image's operations are hardly faster than one (measured), and often disturbed;
        # with more, sharing is all that can be done for a lone image.
        lone = len(batch) == 1 and self.threads > 2
        if lone or batch.device.type != "cpu":
            return _run(network, batch)
        pool = self._lanes()
        rounds = -(-len(batch) // (self.count * _AT_ONCE))
        parts = batch.tensor_split(min(self.count * rounds, len(batch)))
        found = list((map if pool is None else pool.map)(lambda part: _run(network, part), parts))
        return found[0] if len(found) == 1 else tuple(torch.cat(outputs) for outputs in zip(*found, strict=True))


def _take(threads: int) -> None:
    torch.get_num_threads()  # a thread's first look at the number sets it to what is usual
    torch.set_num_threads(threads)


@torch.no_grad()
def _run(network: Network, batch: Tensor) -> tuple[Tensor, ...]:
    return network(batch)
