"""Many inspectors behind one server: loaded when asked for, as many as there is room for."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import requests

from realnet.errors import UserError
from realnet.inspection.inspector import Inspector
from realnet.serving import Settings, open_shelf
from tests.serving.conftest import serving


@pytest.fixture(scope="module")
def many(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four copies of a run, and what is none."""
    root = tmp_path_factory.mktemp("many")
    for name in ("a", "b", "c", "d"):
        shutil.copytree(trained, root / name)
    (root / "notes").mkdir()
    (root / "list.txt").write_text("a")
    return root


def test_an_inspector_is_loaded_when_it_is_asked_for_and_makes_room(many: Path) -> None:
    shelf, said = open_shelf(many, room=0)
    assert said == ["Not served, as they are no finished runs: notes."]
    assert list(shelf) == ["a", "b", "c", "d"] and "e" not in shelf
    assert list(shelf.loaded()) == ["a"], "one is loaded at the start"
    size = shelf["a"].judge.bytes_held
    assert size > 0
    shelf, _ = open_shelf(many, room=2 * size)
    for name in ("b", "a", "c"):
        assert shelf[name].folder == many / name
    assert list(shelf.loaded()) == ["a", "c"], "b was asked for longest ago"


def test_backbones_are_there_once_and_verdicts_are_the_same(many: Path) -> None:
    shelf, _ = open_shelf(many, room=2**30)
    first, second = shelf["a"].judge, shelf["b"].judge
    assert isinstance(first, Inspector) and isinstance(second, Inspector)
    assert first.model.backbone.network is second.model.backbone.network  # type: ignore[union-attr]
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert first.inspect(image).score == second.inspect(image).score


def test_what_drift_is_seen_by_outlives_a_place_in_memory(many: Path) -> None:
    shelf, _ = open_shelf(many, room=0)
    shelf["a"].recent.append(0.25)
    shelf["b"]
    assert not shelf.is_loaded("a")
    assert list(shelf["a"].recent) == [0.25]


def test_a_server_answers_for_all_of_them(many: Path, png: bytes) -> None:
    shelf, _ = open_shelf(many, room=0)
    with serving(shelf, Settings()) as address:
        scores = []
        for name in ("d", "a", "c"):
            answer = requests.post(f"{address}/v1/inspect", files={"image": png}, data={"model": name}, timeout=60)
            assert answer.status_code == 200, answer.text
            scores.append(answer.json()["score"])
        assert len(set(scores)) == 1
        assert [model["name"] for model in requests.get(f"{address}/v1/models").json()] == ["c"], "those in memory"
        assert requests.get(f"{address}/v1/models/b").json()["name"] == "b"
        assert requests.get(f"{address}/health").json()["models"] == ["a", "b", "c", "d"]
        assert 'model="c"' in requests.get(f"{address}/metrics").text
        missing = requests.post(f"{address}/v1/inspect", files={"image": png}, data={"model": "e"})
        assert missing.status_code == 404 and "a, b, c, d" in missing.json()["error"]


def test_a_run_that_was_damaged_since_costs_its_own_answers_only(many: Path, png: bytes, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(many, copy)
    shelf, _ = open_shelf(copy, room=2**30)
    (copy / "b" / "model.safetensors").write_bytes(b"nothing")
    with serving(shelf) as address:
        answer = requests.post(f"{address}/v1/inspect", files={"image": png}, data={"model": "b"}, timeout=60)
        assert answer.status_code >= 500
        assert requests.post(f"{address}/v1/inspect", files={"image": png}, data={"model": "c"}, timeout=60).ok


def test_a_folder_without_runs_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run and no export"):
        open_shelf(tmp_path, room=0)
