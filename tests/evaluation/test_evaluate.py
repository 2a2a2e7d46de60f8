"""Names of maps, partial truth, marks, and where figures are filed."""

import json
from pathlib import Path

import numpy as np
import pytest

from realnet.data import Sample
from realnet.data.finding import is_own_picture
from realnet.errors import UserError
from realnet.evaluation.evaluate import map_names, record, write_maps
from realnet.evaluation.figures import evaluate_maps, with_caveats
from realnet.evaluation.metrics import pixel_figures
from realnet.evaluation.results import Provenance, Results
from realnet.provenance import collect_provenance

FACTS = Provenance(**collect_provenance(
    data="photos (part)", data_fingerprint="a" * 64, split="test", seed=0, preset="lite", image_score="max",
    selection="validation",
))  # fmt: skip


def _sample(name: str, defect: str = "ng", place: str = "") -> Sample:
    return Sample(Path("photos", defect, name), "part", "test", defect, None, (), place)


def test_no_two_maps_have_one_name(tmp_path: Path) -> None:
    samples = [_sample("000.png"), _sample("000.jpg"), _sample("A.png"), _sample("a.bmp"), _sample("b.png"),
               _sample("b.png", place="day2/b.png"), _sample("000.png", "good")]  # fmt: skip
    names = [name.as_posix().removeprefix("part/test/") for name in map_names(samples)]
    assert names == ["ng/000.png.tiff", "ng/000.jpg.tiff", "ng/A.png.tiff", "ng/a.bmp.tiff", "ng/b.tiff",
                     "ng/day2/b.tiff", "good/000.tiff"]  # fmt: skip
    maps = np.zeros((len(samples), 4, 4), np.float32)
    write_maps(tmp_path, samples, maps)
    assert len(list(tmp_path.rglob("*.tiff"))) == len(samples)
    assert is_own_picture(tmp_path / "part" / "test" / "ng" / "b.tiff")
    with pytest.raises(UserError, match="is not overwritten"):
        write_maps(tmp_path, samples[4:5], maps[:1])


def _results(masks: list[np.ndarray | None]) -> tuple[Results, np.ndarray]:
    rng = np.random.default_rng(0)
    samples = [_sample(f"{i}.png", "good" if i < 3 else "ng") for i in range(3 + len(masks))]
    maps = rng.random((len(samples), 8, 8)).astype(np.float32)
    return evaluate_maps(samples, maps, [None] * 3 + masks, maps.max((1, 2)), FACTS, threshold=0.5), maps


@pytest.mark.parametrize("lacking", [None, np.zeros((8, 8), bool)])
def test_one_defect_without_a_mask_leaves_the_others_their_pixel_figures(lacking: np.ndarray | None) -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2:4] = True
    results, maps = _results([mask, lacking, mask])
    row = results.overall
    assert (row.good, row.defective) == (3, 3)
    kept = [0, 1, 2, 3, 5]
    expected = pixel_figures(maps[kept], np.stack([np.zeros((8, 8), bool)] * 3 + [mask] * 2))
    assert (row.pixel_auroc, row.pro) == (pytest.approx(expected.auroc), pytest.approx(expected.pro))
    assert any("1 of 3 defective images" in note and "ng/4.png" in note for note in results.notes)


def test_forced_figures_are_marked_everywhere() -> None:
    results, _ = _results([np.ones((8, 8), bool)])
    marked = with_caveats(results, ["RUN has seen these."])
    assert marked.overall.text("image_auroc").endswith("(forced)")
    assert all(row.seen for row in (*marked.categories, *marked.defects))
    assert marked.notes[0] == "(forced) RUN has seen these."
    assert with_caveats(results, []) is results


def test_reports_are_kept_one_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    results, _ = _results([np.ones((8, 8), bool)])

    def filed(**facts: str) -> str:
        changed = results.model_copy(update={"provenance": FACTS.model_copy(update=facts)})
        return record(tmp_path, changed).name

    assert filed() == "report.html"
    assert filed() == "report.html"
    assert filed(data="other (part)") == "report-other-part.html"
    assert filed(data_fingerprint="b" * 64) == "report-photos-part-bbbbbbbb.html"
    assert filed() == "report.html"
    assert len(json.loads((tmp_path / "metrics.json").read_text())["test"]) == 3
