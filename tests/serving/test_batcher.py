"""Images of many requests judged together."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest

from realnet.inspection.judging import Judge
from realnet.serving.batcher import Batcher, Measured


class Mean(Judge):
    """Its score is the image's mean; a black image is more than it can take. Waits for ``go`` before each batch."""

    def __init__(self) -> None:
        super().__init__(4, 0.5, 0.5)
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Event()

    def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        self.started.set()
        self.go.wait(60)
        if any(image.max() == 0 for image in images):
            raise ValueError("black")
        return np.stack([image[..., 0] / np.float32(255) for image in images]), [float(i.mean() / 255) for i in images]


def grey(value: int) -> np.ndarray:
    return np.full((4, 4, 3), value, np.uint8)


def occupied(batcher: Batcher, judge: Mean) -> list["Future[Measured]"]:
    """An image for each of the batcher's threads; they wait for ``judge.go``."""
    judge.go.clear()
    taken = []
    for _ in range(2):
        judge.started.clear()
        taken.append(batcher.submit(grey(1), judge))
        assert judge.started.wait(60)
    return taken


def test_a_lone_image_does_not_wait_for_company_and_many_share_batches() -> None:
    judge, sizes = Mean(), []
    batcher = Batcher(4, sizes.append)
    assert batcher.submit(grey(51), judge).result(10)[1] == pytest.approx(0.2)
    waiting = occupied(batcher, judge)
    waiting += [batcher.submit(grey(value), judge) for value in range(20, 30)]
    judge.go.set()
    scores = [future.result(10)[1] for future in waiting]
    batcher.close()
    assert scores == pytest.approx([value / 255 for value in (1, 1, *range(20, 30))])
    assert sizes[:3] == [1, 1, 1]
    assert sum(sizes) == 13 and max(sizes) <= 4 and len(sizes) < 13


def test_what_one_image_does_does_not_reach_its_neighbours() -> None:
    judge = Mean()
    batcher = Batcher(8)
    judge.go.clear()
    futures = [batcher.submit(grey(value), judge) for value in (255, 128, 0, 64)]
    judge.go.set()
    with pytest.raises(ValueError, match="black"):
        futures[2].result(10)
    assert [futures[i].result(10)[1] for i in (0, 1, 3)] == pytest.approx([1, 128 / 255, 64 / 255])
    batcher.close()


def test_who_has_gone_is_not_measured_and_closing_finishes_the_rest() -> None:
    judge, sizes = Mean(), []
    batcher = Batcher(8, sizes.append)
    first, second = occupied(batcher, judge)
    gone, stays = batcher.submit(grey(2), judge), batcher.submit(grey(3), judge)
    assert gone.cancel()
    judge.go.set()
    batcher.close()
    assert first.done() and second.done()
    assert stays.result(0)[1] == pytest.approx(3 / 255)
    assert sizes == [1, 1, 1]
