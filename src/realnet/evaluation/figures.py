"""All figures of maps and scores against the truth, of each category and kind of defect."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from realnet.data.samples import Sample
from realnet.errors import listed
from realnet.evaluation.metrics import average_precision, f1_max, image_auroc, pixel_figures
from realnet.evaluation.protocol import realnet_protocol
from realnet.evaluation.results import METRICS, Figures, Protocol, Provenance, Results


def evaluate_maps(
    samples: Sequence[Sample],
    maps: Sequence[np.ndarray] | np.ndarray,
    masks: Sequence[np.ndarray | None],
    scores: Sequence[float] | np.ndarray,
    provenance: Provenance,
    *,
    protocol: Protocol = "exact",
    fpr_limit: float = 0.3,
    threshold: float | None = None,
) -> Results:
    """All figures of ``samples``: overall, a category, and a kind of defect.

    Args:
        samples: the images, good and defective, of one or several categories.
        maps: their anomaly maps ``[h, w]``, which may differ in size.
        masks: at the size of the map (nearest neighbour); None for good images, or where there is no truth.
        scores: image scores ``[N]`` of the kind ``provenance.image_score``.
        protocol: ``exact``, or ``realnet`` to repeat the authors' evaluator: its three figures only, of its own
            image score (``pooled16``) and FPR limit, whatever ``scores``, ``fpr_limit`` and ``threshold`` are.
        threshold: the run's; above it an image counts as anomalous.

    Raises:
        ValueError: where lengths or sizes do not agree, or values are no finite numbers.
    """
    if not len(samples) == len(maps) == len(masks) == len(scores):
        raise ValueError(f"{len(samples)} samples, {len(maps)} maps, {len(masks)} masks, {len(scores)} scores")
    if not len(samples):
        raise ValueError("there is no image to evaluate")
    facts: dict[str, Any] = {"protocol": protocol, "fpr_limit": fpr_limit}
    if protocol == "realnet":
        # The run's threshold belongs to its own image score.
        facts, threshold = {"protocol": protocol, "fpr_limit": 0.3, "image_score": "pooled16"}, None
    evaluation = _Evaluation(samples, maps, masks, scores, provenance.model_copy(update=facts), threshold)
    names = list(dict.fromkeys(sample.category for sample in samples))
    categories = tuple(evaluation.row(name) for name in names)
    defects = tuple(
        evaluation.row(name, kind)
        for name in names
        for kind in sorted({s.defect for s in samples if s.category == name and s.is_anomalous})
    )
    return Results(
        overall=_mean(categories),
        categories=categories,
        defects=defects,
        provenance=evaluation.provenance,
        notes=(*(note for row in categories if (note := evaluation.note(row))), *evaluation.flips),
    )


def with_caveats(results: Results, caveats: Sequence[str]) -> Results:
    """The same results with every figure marked, and why; as they are where there is no reason."""
    if not caveats:
        return results

    def marked(rows: Sequence[Figures]) -> tuple[Figures, ...]:
        return tuple(row.model_copy(update={"seen": True}) for row in rows)

    return results.model_copy(
        update={
            "overall": marked([results.overall])[0],
            "categories": marked(results.categories),
            "defects": marked(results.defects),
            "notes": (*(f"(forced) {caveat}" for caveat in caveats), *results.notes),
        }
    )


def merge(parts: Sequence[Results]) -> Results:
    """Results of different categories, evaluated alike, as one, by the first one's provenance; ValueError for none."""
    if not parts:
        raise ValueError("there are no results to merge")
    categories = tuple(row for part in parts for row in part.categories)
    return Results(
        overall=_mean(categories),
        categories=categories,
        defects=tuple(row for part in parts for row in part.defects),
        provenance=parts[0].provenance,
        notes=tuple(note for part in parts for note in part.notes),
    )


class _Evaluation:
    """What `evaluate_maps` was given, and the figures of any part of it."""

    def __init__(
        self,
        samples: Sequence[Sample],
        maps: Sequence[np.ndarray] | np.ndarray,
        masks: Sequence[np.ndarray | None],
        scores: Sequence[float] | np.ndarray,
        provenance: Provenance,
        threshold: float | None,
    ) -> None:
        self.samples, self.maps, self.masks = samples, maps, masks
        self.scores = np.asarray(scores, dtype=np.float64)
        self.provenance, self.threshold = provenance, threshold
        self.flips: list[str] = []

    def row(self, category: str, defect: str | None = None) -> Figures:
        """The figures of a category, or of its good images with one kind of defect."""
        chosen = [
            index
            for index, sample in enumerate(self.samples)
            if sample.category == category and (not sample.is_anomalous or defect in (None, sample.defect))
        ]
        labels = np.array([self.samples[index].is_anomalous for index in chosen])
        scores = self.scores[chosen]
        counts: dict[str, int] = {"good": int((~labels).sum()), "defective": int(labels.sum())}
        if self.threshold is not None:
            counts["missed"] = int((scores[labels] <= self.threshold).sum())
            counts["false_alarms"] = int((scores[~labels] > self.threshold).sum())
        figures: dict[str, float | None] = {}
        if labels.any() and not labels.all():
            name = category if defect is None else f"{category}, {defect}"
            exact = self.provenance.protocol == "exact"
            figures = self._exact(chosen, labels) if exact else self._protocol(chosen, labels, name)
        oracle = self.provenance.selection == "oracle"
        return Figures(category=category, defect=defect, oracle=oracle, **counts, **figures)

    def note(self, row: Figures) -> str:
        """Why figures of a category are missing; empty where none is."""
        if not row.good or not row.defective:
            kind = "defective" if row.good else "good"
            return f"{row.category} has no {kind} image, so nothing can be told apart: no figures."
        defective = [i for i, s in enumerate(self.samples) if s.category == row.category and s.is_anomalous]
        without = [index for index in defective if self._mask(index) is None]
        if not without:
            return ""
        if len(without) == len(defective):
            return f"{row.category}: none of {len(defective)} defective images has a mask: no pixel figures."
        names = [f"{self.samples[i].defect}/{self.samples[i].name}" for i in without]
        return (
            f"{row.category}: {len(without)} of {len(defective)} defective images have no mask or an empty one and "
            f"count for the image figures only: {listed(names)}."
        )

    def _exact(self, chosen: Sequence[int], labels: np.ndarray) -> dict[str, float | None]:
        scores = self.scores[list(chosen)]
        figures: dict[str, float | None] = {
            "image_auroc": image_auroc(scores, labels),
            "image_average_precision": average_precision(scores, labels),
            "image_f1_max": f1_max(scores, labels).value,
        }
        maps, masks = self._pictures(chosen)
        if masks is not None:
            pixels = pixel_figures(maps, masks, self.provenance.fpr_limit)
            figures |= {
                "pixel_auroc": pixels.auroc,
                "pro": pixels.pro,
                "pixel_average_precision": pixels.average_precision,
                "pixel_f1_max": pixels.f1_max.value,
            }
        return figures

    def _protocol(self, chosen: Sequence[int], labels: np.ndarray, name: str) -> dict[str, float | None]:
        maps, masks = self._pictures(chosen)
        figures = realnet_protocol([self.maps[index] for index in chosen], None, labels)
        if masks is not None:
            known = realnet_protocol(maps, masks)
            turned = tuple(name for name in known.flipped if name != "image_auroc")
            figures = known._replace(image_auroc=figures.image_auroc, flipped=figures.flipped + turned)
        for flipped in figures.flipped:
            self.flips.append(
                f"{name}: this protocol turned the {METRICS[flipped].title}, which was below 0.5, around."
            )
        return {"image_auroc": figures.image_auroc, "pixel_auroc": figures.pixel_auroc, "pro": figures.pro}

    def _pictures(self, chosen: Sequence[int]) -> tuple[list[np.ndarray], list[np.ndarray] | None]:
        """Maps and masks of the images of which it is known where they are defective; no masks: of no defective one."""
        masks = {index: self._mask(index) for index in chosen}
        known = {index: mask for index, mask in masks.items() if mask is not None}
        if not any(self.samples[index].is_anomalous for index in known):
            return [self.maps[index] for index in chosen], None
        return [self.maps[index] for index in known], list(known.values())

    def _mask(self, index: int) -> np.ndarray | None:
        """The truth of an image; None where a defective image has none, or one that marks nothing."""
        mask = self.masks[index]
        if not self.samples[index].is_anomalous:
            return np.broadcast_to(np.False_, np.shape(self.maps[index]))
        return mask if mask is not None and np.any(mask) else None


def _mean(rows: Sequence[Figures]) -> Figures:
    """The mean row of several; a figure is the mean over the categories in which it is defined."""
    if len(rows) == 1:
        return rows[0]

    def mean_of(values: list[Any], combine: Callable[[list[Any]], Any]) -> Any:
        known = [value for value in values if value is not None]
        return combine(known) if known else None

    figures = {
        name: mean_of([getattr(row, name) for row in rows], lambda known: float(np.mean(known))) for name in METRICS
    }
    counts = {
        name: mean_of([getattr(row, name) for row in rows], sum)
        for name in ("good", "defective", "missed", "false_alarms")
    }
    return Figures(category="all", defect=None, oracle=rows[0].oracle, **figures, **counts)
