"""``--ray`` on the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from realnet.synthesis import write_image
from tests.cli.process import Finished

pytest.importorskip("ray")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)
        write_image(tmp_path / "photos" / f"{number}.png", pixels)
    return tmp_path / "photos"


def test_an_inspection_on_this_machine_as_a_cluster(
    realnet: Callable[..., Finished], trained: Path, photos: Path, tmp_path: Path
) -> None:
    call = ["inspect", trained, photos, "--ray", "local", "--output", tmp_path / "out"]
    done = realnet(*call)
    assert done.status == 0, done.err
    assert "3 images judged" in done.out
    (part,) = (tmp_path / "out" / "parts").iterdir()
    assert pyarrow.parquet.read_table(part)["image"].to_pylist() == [str(path) for path in sorted(photos.iterdir())]
    again = realnet(*call)
    assert again.status == 2
    assert "go on with it by --resume" in again.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ray", "local", "--masks"], "--masks is not for a cluster"),
        (["--ray", "local", "--watch"], "--watch is not for a cluster"),
        (["--ray-cpus", "2"], "shares of a cluster: name it with --ray"),
        (["s3://bucket/photos"], "is in another storage: name it with --ray"),
        (["--ray", "local", "--ray-cpus", "5000"], "No machine of the cluster has 5000 cores"),
        (["--ray", "127.0.0.1:1"], "There is no Ray cluster at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    realnet: Callable[..., Finished], trained: Path, photos: Path, tmp_path: Path, options: list[str], sentence: str
) -> None:
    done = realnet("inspect", trained, photos, *options, "--output", tmp_path / "out")
    assert done.status == 2
    assert sentence in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_shares_of_no_cluster_are_refused_elsewhere_too(
    realnet: Callable[..., Finished], product: Path, tmp_path: Path
) -> None:
    done = realnet("benchmark", "table1", "--data", product, "--ray-gpus", "1", "--output", tmp_path / "lab")
    assert done.status == 2
    assert "name it with --ray" in done.err
