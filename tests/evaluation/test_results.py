"""Rows, what they mark, and that they survive a file."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from realnet.cli.figure_tables import results_table
from realnet.data import Sample
from realnet.errors import UserError
from realnet.evaluation import image_auroc, per_region_overlap
from realnet.evaluation.figures import evaluate_maps
from realnet.evaluation.metrics import pixel_figures
from realnet.evaluation.results import METRICS, Provenance, Results
from realnet.provenance import collect_provenance
from realnet.report.result_words import cells_of, remarks, shown_metrics


def provenance(selection: str = "validation") -> Provenance:
    return Provenance(**collect_provenance(
        data="plates", data_fingerprint="ab" * 32, split="test", seed=3, preset="lite",
        image_score="max", selection=selection,
    ))  # fmt: skip


class Plates:
    """Two products of 10 x 10: ``a`` with two kinds of defect, ``b`` with one; masks of each defect."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        kinds = {"a": ["good"] * 4 + ["hole"] * 2 + ["scratch"] * 3, "b": ["good"] * 3 + ["dent"] * 2}
        self.samples = [
            Sample(Path(f"{name}/{kind}/{index}.png"), name, "test", kind)
            for name, all_kinds in kinds.items()
            for index, kind in enumerate(all_kinds)
        ]
        self.masks: list[np.ndarray | None] = []
        for sample in self.samples:
            mask = np.zeros((10, 10), bool)
            mask[2:5, 3:7] = True
            self.masks.append(mask if sample.is_anomalous else None)
        truth = [np.zeros((10, 10)) if mask is None else mask * 0.4 for mask in self.masks]
        self.maps = np.array([rng.random((10, 10)) * 0.6 + t for t in truth], np.float32)
        self.scores = self.maps.max((1, 2))

    def part(self, category: str, *kinds: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        chosen = [i for i, s in enumerate(self.samples) if s.category == category and s.defect in kinds]
        masks = np.array([np.zeros((10, 10), bool) if self.masks[i] is None else self.masks[i] for i in chosen])
        return self.maps[chosen], masks, self.scores[chosen], masks.any((1, 2))


@pytest.fixture(scope="module")
def plates() -> Plates:
    return Plates()


@pytest.fixture(scope="module")
def results(plates: Plates) -> Results:
    return evaluate_maps(plates.samples, plates.maps, plates.masks, plates.scores, provenance(), threshold=0.7)


def cells(results: Results) -> list[list[str]]:
    """The header and all rows, with every figure that is defined."""
    header, rows = cells_of(results, shown_metrics(results))
    return [header, *(row for row, _ in rows)]


def test_rows_are_the_figures_of_their_images(plates: Plates, results: Results) -> None:
    assert [(row.category, row.defect) for row in results.defects] == [("a", "hole"), ("a", "scratch"), ("b", "dent")]
    scratch = results.defects[1]
    maps, masks, scores, labels = plates.part("a", "good", "scratch")
    expected = pixel_figures(maps, masks)
    assert (scratch.good, scratch.defective, scratch.images) == (4, 3, 7)
    assert scratch.image_auroc == image_auroc(scores, labels)
    assert (scratch.pixel_auroc, scratch.pro) == (expected.auroc, expected.pro)
    assert scratch.pixel_average_precision == expected.average_precision
    assert scratch.pixel_f1_max == expected.f1_max.value
    maps, masks, scores, labels = plates.part("a", "good", "hole", "scratch")
    assert results.categories[0].pro == per_region_overlap(maps, masks)
    assert results.categories[0].missed == (scores[labels] <= 0.7).sum()
    assert results.categories[0].false_alarms == (scores[~labels] > 0.7).sum()


def test_overall_is_the_mean_over_categories(plates: Plates, results: Results) -> None:
    a, b = results.categories
    assert results.overall.category == "all"
    for name in METRICS:
        assert getattr(results.overall, name) == pytest.approx((getattr(a, name) + getattr(b, name)) / 2)
    assert results.overall.images == len(plates.samples)
    only = [i for i, s in enumerate(plates.samples) if s.category == "b"]
    single = evaluate_maps(
        [plates.samples[i] for i in only], plates.maps[only], [plates.masks[i] for i in only],
        plates.scores[only], provenance(),
    )  # fmt: skip
    assert single.overall == single.categories[0]
    assert single.overall.missed is None


def test_json_round_trip(results: Results) -> None:
    assert Results.from_json(results.to_json()) == results


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"overall": 3}', "\x00"])
def test_other_text_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match="no evaluation results"):
        Results.from_json(text)


def test_unknown_fields_are_refused(results: Results) -> None:
    with pytest.raises(UserError, match="extra"):
        Results.from_json(results.to_json().replace('"notes"', '"extra": 1, "notes"', 1))


def test_oracle_marks_every_figure(plates: Plates) -> None:
    results = evaluate_maps(plates.samples, plates.maps, plates.masks, plates.scores, provenance("oracle"))
    assert all(row.oracle for row in (results.overall, *results.categories, *results.defects))
    figures = (1 + len(results.categories) + len(results.defects)) * len(METRICS)
    assert sum("(oracle)" in cell for row in cells(results) for cell in row) == figures
    plain = evaluate_maps(plates.samples, plates.maps, plates.masks, plates.scores, provenance())
    assert not any("(oracle)" in text for text in [*remarks(plain), *(cell for row in cells(plain) for cell in row)])


def test_without_masks_only_image_figures(plates: Plates) -> None:
    masks = [None] * len(plates.samples)
    results = evaluate_maps(plates.samples, plates.maps, masks, plates.scores, provenance())
    row = results.categories[0]
    assert row.image_auroc is not None and row.image_f1_max is not None
    assert row.pixel_auroc is None and row.pro is None and row.pixel_f1_max is None
    assert "none of 5 defective images has a mask" in results.notes[0]
    assert not any("Pixel" in title for title in cells(results)[0])


def test_one_class_only_gives_no_figures_and_a_note(plates: Plates) -> None:
    goods = [i for i, s in enumerate(plates.samples) if not s.is_anomalous]
    results = evaluate_maps(
        [plates.samples[i] for i in goods], plates.maps[goods], [None] * len(goods), plates.scores[goods], provenance()
    )
    assert results.overall.image_auroc is None
    assert all("no defective image" in note for note in results.notes) and len(results.notes) == 2
    assert Results.from_json(results.to_json()) == results
    assert "–" in cells(results)[1]


def test_realnet_protocol_is_labelled_and_holds_its_own_figures_only(plates: Plates) -> None:
    results = evaluate_maps(
        plates.samples,
        1 - plates.maps,
        plates.masks,
        1 - plates.scores,
        provenance(),
        protocol="realnet",
        fpr_limit=0.1,
    )
    assert results.provenance.protocol == "realnet"
    assert (results.provenance.image_score, results.provenance.fpr_limit) == ("pooled16", 0.3)
    assert results.overall.pixel_auroc is not None and results.overall.pixel_auroc > 0.5
    assert results.overall.pixel_average_precision is None
    assert any("authors" in remark for remark in remarks(results))
    assert "a: this protocol turned the Pixel AUROC, which was below 0.5, around." in results.notes
    exact = evaluate_maps(plates.samples, 1 - plates.maps, plates.masks, 1 - plates.scores, provenance())
    assert exact.overall.pixel_auroc is not None and exact.overall.pixel_auroc < 0.5


def test_maps_may_differ_in_size(plates: Plates) -> None:
    maps = [m if i % 2 else np.kron(m, np.ones((2, 2), np.float32)) for i, m in enumerate(plates.maps)]
    masks = [
        None if mask is None else np.kron(mask, np.ones((m.shape[0] // 10,) * 2)) > 0
        for m, mask in zip(maps, plates.masks, strict=True)
    ]
    results = evaluate_maps(plates.samples, maps, masks, plates.scores, provenance())
    assert results.overall.pro is not None


def test_lengths_must_agree(plates: Plates) -> None:
    with pytest.raises(ValueError, match="13 masks"):
        evaluate_maps(plates.samples, plates.maps, plates.masks[:-1], plates.scores, provenance())
    with pytest.raises(ValueError, match="no image"):
        evaluate_maps([], [], [], [], provenance())


def test_tables_show_names_as_they_are(plates: Plates) -> None:
    samples = [Sample(s.image, s.category.replace("a", "[red]|x"), s.split, s.defect) for s in plates.samples]
    results = evaluate_maps(samples, plates.maps, plates.masks, plates.scores, provenance(), threshold=0.7)
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(results_table(results))
    text = console.export_text()
    assert "[red]|x" in text and "all kinds" in text and f"{results.overall.pro:.3f}" in text


def test_provenance_names_versions_hardware_and_date() -> None:
    facts = provenance()
    assert facts.versions["torch"] and "cores" in facts.hardware and facts.date[:2] == "20"
