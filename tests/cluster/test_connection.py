"""Pieces of work over several machines, one of which is lost."""

from collections import Counter

import pytest

from realnet.cluster.connection import Cluster, Share
from realnet.errors import UserError
from tests.cluster.conftest import Nodes
from tests.cluster.pieces import refuse, slow_square


def test_every_piece_comes_back_once_though_a_machine_is_lost(cluster: Cluster, two: Nodes) -> None:
    found: Counter[tuple[int, int]] = Counter()
    for piece, result in cluster.spread(slow_square, range(24), {"seconds": 0.1}):
        found[piece, result] += 1
        if len(found) == 4 and len(two.workers) == 2:
            two.lose()
    assert found == Counter({(n, n**2): 1 for n in range(24)})


def test_what_a_piece_says_is_what_the_user_reads(cluster: Cluster, two: Nodes) -> None:
    with pytest.raises(UserError, match=r"^Image 3 is no good\.$"):
        list(cluster.spread(refuse, [3], {"kind": "Image"}))
    with pytest.raises(RuntimeError, match="On the cluster: ValueError: broken"):
        list(cluster.spread(refuse, [5], {"kind": "Image"}))


def test_given_up_is_what_has_not_ended(cluster: Cluster, two: Nodes) -> None:
    remote = cluster.remote(slow_square)
    ended, endless = remote(3, 0), remote(4, 3600)
    assert cluster.get(ended) == 9
    cluster.give_up([ended, endless])
    with pytest.raises((cluster.ray.exceptions.TaskCancelledError, cluster.ray.exceptions.WorkerCrashedError)):
        cluster.get(endless)
    assert cluster.get(ended) == 9
    cluster.give_up([])


def test_room_is_what_the_machines_have(cluster: Cluster, two: Nodes) -> None:
    assert cluster.room == 2
    assert Cluster(cluster.ray, Share(cpus=0.5)).room == 4
