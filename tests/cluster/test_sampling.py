"""Generated images from several machines: the set that one would have made."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from realnet.cluster.connection import Cluster
from realnet.cluster.remote_generating import maker_on
from realnet.diffusion.generating import Request, sample_set
from realnet.diffusion.model_folder import load_diffusion
from tests.cluster.conftest import Nodes

REQUEST = Request(0.1, 0.2, steps=2, seed=3, batch=2)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("losses", [0, 1])
def test_the_same_set_though_a_machine_is_lost(
    cluster: Cluster,
    two: Nodes,
    diffusion: Path,
    tmp_path: Path,
    losses: int,
) -> None:
    model = load_diffusion(diffusion)
    maker, made = maker_on(cluster, model, REQUEST), list[int]()

    def losing(category: str, begins: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        for begin, images in maker(category, begins):
            made.append(begin)
            yield begin, images
            if len(made) == 2 and losses:
                two.lose()

    sample_set(model, "widget", REQUEST, 15, tmp_path / "spread", maker=losing)
    sample_set(model, "widget", REQUEST, 15, tmp_path / "here")
    assert sorted(made) == list(range(0, 15, 2))
    assert content(tmp_path / "spread" / "widget") == content(tmp_path / "here" / "widget")


def test_only_what_is_missing_is_made(cluster: Cluster, two: Nodes, diffusion: Path, tmp_path: Path) -> None:
    model = load_diffusion(diffusion)
    sample_set(model, "widget", REQUEST, 4, tmp_path)
    (tmp_path / "widget" / "000001.png").unlink()
    maker, made = maker_on(cluster, model, REQUEST), list[int]()

    def noting(category: str, begins: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        made.extend(begins)
        return iter(maker(category, begins))

    sample_set(model, "widget", REQUEST, 6, tmp_path, maker=noting)
    assert made == [0, 4]
