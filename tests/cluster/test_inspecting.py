"""Inspection by several machines: every file in the results once, as one machine would have judged it."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from realnet import load
from realnet.cluster import remote_inspecting as inspecting
from realnet.cluster.connection import Cluster
from realnet.errors import UserError
from realnet.inspection.summary_page import Summary
from realnet.progress import Watcher
from realnet.synthesis import write_image
from tests.cluster.conftest import Nodes


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty images, one of them broken, and what is no image."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(5)
    for number in range(30):
        write_image(folder / f"{number % 3}" / f"{number:02d}.png", rng.integers(0, 255, (40, 50, 3), np.uint8))
    (folder / "1" / "04.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def spread(
    cluster: Cluster, run: Path, photos: Path, output: Path, resume: bool = False, watcher: Watcher | None = None
) -> Summary:
    place = (str(output), None, 0, resume, watcher or Watcher())
    return inspecting.inspect_on(cluster, run, [str(photos)], *place)


def rows(output: Path) -> list[dict[str, object]]:
    """Without ids and times, which no two judgements share."""
    return [
        {name: value for name, value in row.items() if name not in ("id", "time")}
        for part in sorted((output / "parts").iterdir())
        for row in pyarrow.parquet.read_table(part).to_pylist()
    ]


@pytest.fixture(scope="module")
def whole(cluster: Cluster, trained: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of an undisturbed call."""
    output = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspecting, "_PART", 4)
        summary = spread(cluster, trained, photos, output)
    assert (summary.images, summary.unreadable, summary.earlier) == (30, 1, 0)
    return output


def test_rows_are_those_of_one_machine(whole: Path, trained: Path, photos: Path) -> None:
    found = rows(whole)
    assert [row["image"] for row in found] == sorted(str(path) for path in photos.glob("?/*.png"))
    assert len(list((whole / "parts").iterdir())) == 8
    judge = load(trained)
    for row in found:
        if str(row["image"]).endswith("04.png"):
            assert row["score"] is None and "04.png" in str(row["error"])
        else:
            expected = judge.inspect(row["image"])
            assert row["score"] == pytest.approx(expected.score, abs=1e-5)
            assert len(row["regions"]) == len(expected.regions)  # type: ignore[arg-type]


def test_a_lost_machine_changes_nothing(
    cluster: Cluster, two: Nodes, trained: Path, photos: Path, whole: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(inspecting, "_PART", 4)

    class Losing(Watcher):
        def stage(self, text: str, done: int = 0, total: int = 0) -> None:
            if done and len(two.workers) == 2:
                two.lose()

    spread(cluster, trained, photos, tmp_path / "out", watcher=Losing())
    assert len(two.workers) == 1
    assert rows(tmp_path / "out") == rows(whole)


def test_parts_that_are_there_are_not_made_again(
    cluster: Cluster, two: Nodes, trained: Path, photos: Path, whole: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(inspecting, "_PART", 4)
    for path in whole.rglob("*"):
        if path.is_file() and path.name != "part-000003.parquet":
            (tmp_path / path.relative_to(whole)).parent.mkdir(exist_ok=True)
            (tmp_path / path.relative_to(whole)).write_bytes(path.read_bytes())
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    with pytest.raises(UserError, match="holds an inspection: go on with it by --resume"):
        spread(cluster, trained, photos, tmp_path)
    summary = spread(cluster, trained, photos, tmp_path, resume=True)
    assert (summary.images, summary.earlier, summary.unreadable) == (30, 26, 1)
    assert rows(tmp_path) == rows(whole)
    assert {path.name for path in (tmp_path / "parts").iterdir()} - times.keys() == {"part-000003.parquet"}
    assert all((tmp_path / "parts" / name).stat().st_mtime_ns == time for name, time in times.items())
    header = json.loads((tmp_path / inspecting.SETTINGS_FILE).read_text())
    (tmp_path / inspecting.SETTINGS_FILE).write_text(json.dumps({**header, "threshold": 0.123}))
    with pytest.raises(UserError, match="was begun with another model, threshold"):
        spread(cluster, trained, photos, tmp_path, resume=True)


def test_what_a_machine_cannot_write_is_a_sentence_here(
    cluster: Cluster, two: Nodes, trained: Path, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "parts").write_text("no folder")
    with pytest.raises(UserError, match=r"^Cannot write .*part-000000\.parquet"):
        spread(cluster, trained, photos, tmp_path)
