"""A cluster of several nodes on this machine."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from realnet.cluster.connection import Cluster, Share, connected
from tests.cluster.pieces import slow_square
from tests.diffusion.conftest import diffusion  # noqa: F401 - fixtures


@dataclass
class Nodes:
    """The machines of a cluster; the head has no cores for work, and its loss would be this process's own."""

    inside: Any
    workers: list[Any] = field(default_factory=list)

    def add(self) -> None:
        """One more machine, with one core."""
        self.workers.append(self.inside.add_node(num_cpus=1))

    def lose(self) -> None:
        """Kill the machine that came first, with all that runs on it."""
        self.inside.remove_node(self.workers.pop(0), allow_graceful=False)


@pytest.fixture(scope="package")
def nodes() -> Iterator[Nodes]:
    """Two machines beside the head."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as Inside

    found = Nodes(Inside(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}))
    found.add()
    found.add()
    found.inside.wait_for_nodes()
    yield found
    found.inside.shutdown()


@pytest.fixture(scope="package")
def cluster(nodes: Nodes) -> Iterator[Cluster]:
    """This process, connected to it."""
    with connected(nodes.inside.address, Share()) as connection:
        # Where its processes do not come up, that is a failure and no endless wait.
        assert connection.ray.get(connection.ray.remote(slow_square).remote(1, 0), timeout=180) == 1
        yield connection


@pytest.fixture
def two(nodes: Nodes) -> Nodes:
    """Two machines again, whatever an earlier test did to them."""
    while len(nodes.workers) < 2:
        nodes.add()
    nodes.inside.wait_for_nodes()
    return nodes
