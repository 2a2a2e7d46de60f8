"""Dynamic batching: images of many requests judged together."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np

from realnet.inspection.judging import Judge

# An anomaly map [S, S] and an image score.
Measured = tuple[np.ndarray, float]
_Waiting = tuple[np.ndarray, Judge, "Future[Measured]"]
_THREADS = 2


class Batcher:
    """Measures images batch after batch, in two threads of its own.

    While batches are computed, further images gather; the next batch takes what is there, up to ``batch_size``. So
    nobody ever waits for company: a lone image is measured at once, and batches grow with the load. The second thread
    has its batch at hand when the first one's ends, and takes what comes while that is small: no core waits.
    """

    def __init__(self, batch_size: int, observe: Callable[[int], None] = lambda size: None) -> None:
        self._batch_size, self._observe = batch_size, observe
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name="batcher", daemon=True) for _ in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def submit(self, image: np.ndarray, judge: Judge) -> "Future[Measured]":
        """Anomaly map and score of one uint8 ``[S, S, 3]`` image, when ``judge`` has measured them."""
        future: Future[Measured] = Future()
        self._waiting.put((image, judge, future))
        return future

    def close(self) -> None:
        """Finish what waits, then end the threads."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < self._batch_size:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:  # the end, which waits until this batch is measured
                    self._waiting.put(None)
                    break
                batch.append(following)
            # Who has gone in the meantime is not measured.
            there = [item for item in batch if item[2].set_running_or_notify_cancel()]
            for judge in dict.fromkeys(item[1] for item in there):
                self._measure([item for item in there if item[1] is judge])

    def _measure(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        self._observe(len(batch))
        try:
            maps, scores = batch[0][1].measure([image for image, _, _ in batch])
        except Exception as error:
            # What one image does must not reach its neighbours: they are tried again alone.
            if len(batch) == 1:
                batch[0][2].set_exception(error)
                return
            for item in batch:
                self._measure([item])
            return
        for (_, _, future), anomaly_map, score in zip(batch, maps, scores, strict=True):
            future.set_result((anomaly_map, float(score)))
