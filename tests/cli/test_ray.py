"""``--ray`` on the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from realnet.synthesis import write_image
from tests.cli.process import Finished
from tests.data.layouts import make_mvtec
from tests.diffusion.conftest import diffusion  # noqa: F401 - fixture
from tests.training.tiny import FIELDS

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
    done = realnet("inspect", trained, photos, "--ray", "local", "--output", tmp_path / "out")
    assert done.status == 0, done.err
    assert "3 images judged" in done.out
    (part,) = (tmp_path / "out" / "parts").iterdir()
    assert pyarrow.parquet.read_table(part)["image"].to_pylist() == [str(path) for path in sorted(photos.iterdir())]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--ray", "local", "--masks"], "--masks is not for a cluster"),
        (["--ray", "local", "--watch"], "--watch is not for a cluster"),
        (["--ray-cpus", "2"], "shares of a cluster: name it with --ray"),
        (["s3://bucket/photos"], "is in another storage: name it with --ray"),
        pytest.param(
            ["--ray", "local", "--ray-cpus", "5000"], "No machine of the cluster has 5000 cores", marks=pytest.mark.slow
        ),
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
    done = realnet("benchmark", "table1", "--data", product, "--ray-gpus", "1", "--output", tmp_path / "tables")
    assert done.status == 2
    assert "name it with --ray" in done.err


@pytest.mark.slow
def test_images_generated_on_a_cluster_are_those_of_this_machine(
    realnet: Callable[..., Finished],
    diffusion: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    call = ["sdas", "sample", diffusion, "--count", "3", "--steps", "2", "--batch-size", "2", "--output"]
    here, there = realnet(*call, tmp_path / "here"), realnet(*call, tmp_path / "there", "--ray", "local")
    assert here.status == there.status == 0, there.err
    made = {path.name: path.read_bytes() for path in (tmp_path / "there" / "widget").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "here" / "widget").iterdir()}
    assert len([name for name in made if name.endswith(".png")]) == 3


@pytest.mark.slow
def test_a_table_is_measured_on_a_cluster(realnet: Callable[..., Finished], tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", categories=("cap",))
    plan = tmp_path / "plan.yaml"
    plan.write_text("title: T\nquestion: Q?\nrows:\n  - {name: A, synthesis: nsa}\n")
    fields = [part for field in FIELDS for part in ("--set", field)]
    done = realnet("benchmark", plan, "--data", data, *fields, "--output", tmp_path / "tables", "--ray", "local")
    assert done.status == 0, done.err
    assert "A" in (tmp_path / "tables" / "plan.csv").read_text()
