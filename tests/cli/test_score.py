"""``realnet score``: any method's maps, from the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from realnet.data import open_dataset, read_mask
from realnet.evaluation.evaluate import write_maps
from realnet.evaluation.results import Results
from tests.cli.process import Finished
from tests.data.layouts import SIZE, make_mvtec

Call = Callable[..., Finished]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mvtec(tmp_path_factory.mktemp("data") / "set", ("bolt", "nut"))


@pytest.fixture
def maps(data: Path, tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    samples = [sample for category in open_dataset(data) for sample in category.test]
    truth = [np.zeros((SIZE, SIZE)) if s.mask is None else read_mask(s.mask) for s in samples]
    write_maps(tmp_path / "patches", samples, np.array([rng.random(t.shape) + t for t in truth], np.float32))
    return tmp_path / "patches"


def test_score(realnet: Call, data: Path, maps: Path, tmp_path: Path) -> None:
    finished = realnet("score", maps, data, "--json", tmp_path / "figures.json", "--image-score", "pooled16")
    assert (finished.status, finished.err) == (0, "")
    assert "set (bolt, nut), test images, method patches" in finished.out
    results = Results.from_json((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert [row.category for row in results.categories] == ["bolt", "nut"]
    assert (results.provenance.preset, results.provenance.image_score) == ("patches", "pooled16")
    assert results.overall.pixel_auroc is not None
    assert f"{results.overall.pixel_auroc:.3f}" in finished.out


def test_what_has_no_maps_is_said(realnet: Call, data: Path, maps: Path, tmp_path: Path) -> None:
    shutil.rmtree(maps / "bolt")
    finished = realnet("score", maps, data, "--name", "Patch", "--protocol", "realnet", "--json", tmp_path / "f.json")
    assert (finished.status, finished.err) == (0, "")
    assert "Not judged, as there are no maps of them: bolt." in finished.out
    assert "Protocol realnet" in finished.out
    facts = json.loads((tmp_path / "f.json").read_text())["provenance"]
    assert (facts["preset"], facts["seed"], facts["data"]) == ("Patch", None, "set (nut)")


# {maps}: those of both categories; {data}: the data set.
REFUSED = {
    "no maps": ("{maps}/nowhere {data}", "is no folder; give the one that holds CATEGORY/test/DEFECT/NAME.tiff."),
    "not the maps": ("{data}/bolt/train {data}", "holds no maps of bolt, nut"),
    "category": ("{maps} {data} --category bold", "has no category bold"),
    "protocol": ("{maps} {data} --protocol both", "There is no protocol 'both'"),
    "image score": ("{maps} {data} --image-score mean", "There is no image score 'mean'"),
    "two scores": ("{maps} {data} --image-score max --scores {maps}/s.csv", "give one."),
    "score of the protocol": ("{maps} {data} --protocol realnet --image-score max", "leave --image-score out."),
    "no scores": ("{maps} {data} --scores {maps}/s.csv", "s.csv cannot be read as a CSV file"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_mistakes(realnet: Call, data: Path, maps: Path, tmp_path: Path, mistake: str) -> None:
    call, sentence = REFUSED[mistake]
    arguments = call.format(maps=maps, data=data).split()
    finished = realnet("score", *arguments, "--json", tmp_path / "figures.json")
    assert (finished.status, finished.out.strip()) == (2, "")
    assert len(finished.err.strip().splitlines()) == 1
    assert sentence in finished.err
    assert not (tmp_path / "figures.json").exists()
