"""Parts of a batch side by side: the same result, and nothing changed for others."""

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from realnet.model.threads import Threads


class Watched(nn.Module):
    """Doubles and halves, and keeps what it saw of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, int, str, bool]] = []

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls.append((len(batch), torch.get_num_threads(), threading.current_thread().name, batch.requires_grad))
        return 2 * batch, batch / 2


@pytest.mark.parametrize(
    ("threads", "images", "parts"),
    [(1, 4, [4]), (1, 5, [2, 3]), (2, 5, [2, 3]), (2, 12, [3, 3, 3, 3]), (3, 2, [1, 1]), (2, 1, [1])],
)
def test_the_batch_is_divided_and_comes_back_in_its_order(threads: int, images: int, parts: list[int]) -> None:
    network, batch = Watched(), torch.rand(images, 3, 4, 4)
    doubled, halved = Threads(threads)(network, batch)
    assert torch.equal(doubled, 2 * batch)
    assert torch.equal(halved, batch / 2)
    assert sorted(size for size, *_ in network.calls) == parts


@pytest.fixture(params=[1, 2, 3])
def usual(request: pytest.FixtureRequest) -> Iterator[int]:
    """Threads of everybody else."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_each_lane_has_its_share_of_the_threads(usual: int) -> None:
    network = Watched()
    Threads(2)(network, torch.rand(4, 1))
    assert [threads for _, threads, _, _ in network.calls] == [1, 1]
    network = Watched()
    lanes = Threads(20)
    assert lanes.count == 8
    lanes(network, torch.rand(8, 1))
    assert {threads for _, threads, _, _ in network.calls} == {2}


@pytest.mark.parametrize(("threads", "on_a_lane"), [(2, True), (3, False)])
def test_a_lone_image_is_shared_out_where_there_are_threads_enough(threads: int, on_a_lane: bool) -> None:
    network = Watched()
    Threads(threads)(network, torch.rand(1, 1))
    assert network.calls[0][2].startswith("lane") == on_a_lane


def test_the_threads_of_others_are_left_alone(usual: int) -> None:
    found: list[int] = []
    Threads(2)(Watched(), torch.rand(4, 1))
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == usual
    assert found == [usual]


def test_no_gradients_in_the_lanes_either() -> None:
    batch = torch.rand(4, 1, requires_grad=True)
    assert not any(found.requires_grad for found in Threads(2)(Watched(), batch))


def test_what_fails_in_a_lane_is_raised() -> None:
    with pytest.raises(RuntimeError):
        Threads(2)(nn.Linear(3, 1), torch.rand(4, 2))
