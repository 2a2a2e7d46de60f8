"""The report: one HTML file that opens anywhere, offline."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from markupsafe import Markup

from realnet.atomic import write_text
from realnet.evaluation.results import METRICS, Results
from realnet.inspection.overlay import as_webp, fitted_mask, heatmap, outline, resized, shrunk, white
from realnet.limits import Limits
from realnet.report.charts import histogram, limits_chart, roc_chart
from realnet.report.contents import AfsView, GalleryItem
from realnet.report.result_words import cells_of, heading, remarks, shown_metrics
from realnet.synthesis.anomaly import Anomaly
from realnet.templates import filled

_THUMBNAIL = 224
_TILE = 96
_FOREMOST = ("image_auroc", "pixel_auroc", "pro")


def write_report(
    path: str | Path,
    results: Results,
    scores: Sequence[float] | np.ndarray,
    labels: Sequence[bool] | np.ndarray,
    *,
    gallery: Sequence[GalleryItem] = (),
    afs: AfsView | None = None,
    synthetic: Sequence[tuple[np.ndarray, Anomaly]] = (),
    odd: Sequence[tuple[str, np.ndarray]] = (),
    limits: Limits | None = None,
    threshold: float | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write ``report.html``: everything in one file, nothing loaded from anywhere.

    Args:
        scores: image scores of all images evaluated, ``[N]``.
        labels: whether each is defective, ``[N]``.
        gallery: judged images to show, in this order (see `worst_first`).
        afs: which channels see a defect; None: left out.
        synthetic: pairs of a good image and the defect made of it.
        odd: names and pictures of good images that score far above the others.
        limits: what it finds of drawn defects; None: left out.
        threshold: the run's, of the image score.
        facts: further lines for the table of where the figures come from, such as training time.

    Raises:
        UserError: where the file cannot be written.
    """
    values, defective = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    colours = heatmap(np.linspace(0, 1, 9)[None])[0]
    provenance = _provenance(results, facts or {})
    charts, shown = _charts(values, defective, threshold, results.overall.oracle), shown_metrics(results)
    content = {
        "title": ", ".join(row.category for row in results.categories),
        "heading": heading(results),
        "results": results,
        "overall": results.overall,
        "metrics": [
            [(name, METRICS[name]) for name in shown if (name in _FOREMOST) == first] for first in (True, False)
        ],
        "table": cells_of(results, shown),
        "remarks": remarks(results),
        "charts": charts,
        "gallery": _gallery(gallery),
        "judged": len(values),
        "gradient": f"linear-gradient(90deg, {', '.join(f'rgb({r} {g} {b})' for r, g, b in colours.tolist())})",
        "afs": None if afs is None else _afs(afs),
        "synthetic": [_defect(good, anomaly) for good, anomaly in synthetic],
        "odd": [{"name": name, "image": as_webp(shrunk(image, _THUMBNAIL))} for name, image in odd],
        "limits": limits,
        "limits_chart": None if limits is None else Markup(limits_chart(limits)),
        "provenance": provenance,
    }
    write_text(path, filled("realnet.report", "report.html.jinja", **content))


def _charts(scores: np.ndarray, labels: np.ndarray, threshold: float | None, oracle: bool) -> list[Markup]:
    charts = []
    if labels.any() and not labels.all():
        charts.append(roc_chart(scores, labels, threshold, "(oracle)" if oracle else ""))
    if len(scores):
        charts.append(histogram(scores, labels, threshold))
    return [Markup(chart) for chart in charts]


def _gallery(items: Sequence[GalleryItem]) -> dict[str, Any] | None:
    """The items to show, and the colour scale that they share."""
    if not items:
        return None
    high = max(max(float(item.found.anomaly_map.max()), item.found.pixel_threshold) for item in items)
    high = min(1.0, math.ceil(high * 20) / 20) or 1.0
    return {"high": f"{high:g}", "items": [_item(item, high) for item in items]}


def _item(item: GalleryItem, high: float) -> dict[str, Any]:
    sample, found = item.sample, item.found
    image = shrunk(found.image, _THUMBNAIL)
    return {
        "name": sample.name,
        "defect": sample.defect,
        "verdict": item.verdict,
        "score": f"{found.score:.3f}",
        "threshold": f"{found.threshold:.3f}",
        "image": as_webp(image),
        "truth": None if item.mask is None else as_webp(white(fitted_mask(item.mask, image)), lossless=True),
        "truth_text": "no mask" if sample.is_anomalous else "good",
        "map": as_webp(heatmap(resized(found.anomaly_map, image), high)),
        "outline": as_webp(outline(image, fitted_mask(found.mask, image))),
    }


def _afs(view: AfsView) -> dict[str, Any]:
    good, anomalous = shrunk(view.good, _THUMBNAIL), shrunk(view.anomaly.image, _THUMBNAIL)
    return {
        "good": as_webp(good),
        "anomalous": as_webp(anomalous),
        "mask": as_webp(white(fitted_mask(view.anomaly.mask, anomalous)), lossless=True),
        "layers": [
            {
                "name": layer.name,
                "total": layer.total,
                "selected": layer.selected,
                "tiles": [
                    {"channel": channel, "loss": f"{loss:.4f}", "kept": kept, "map": as_webp(_tile(difference))}
                    for channel, loss, kept, difference in zip(
                        layer.channels, layer.losses, layer.kept, layer.differences, strict=True
                    )
                ],
            }
            for layer in view.layers
        ],
    }


def _tile(difference: np.ndarray) -> np.ndarray:
    return heatmap(cv2.resize(difference.astype(np.float32), (_TILE, _TILE), interpolation=cv2.INTER_NEAREST))


def _defect(good: np.ndarray, anomaly: Anomaly) -> dict[str, str]:
    image = shrunk(anomaly.image, _THUMBNAIL)
    return {
        "good": as_webp(shrunk(good, _THUMBNAIL)),
        "image": as_webp(image),
        "outline": as_webp(outline(image, fitted_mask(anomaly.mask, image))),
        "kind": anomaly.kind,
        "opacity": f"{anomaly.opacity:.2f}",
        "origin": "" if anomaly.origin == "generated" else f", from {anomaly.origin}",
    }


def _provenance(results: Results, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    source = results.provenance
    return [
        ("data", f"{source.data} ({source.split})"),
        ("data fingerprint", source.data_fingerprint),
        ("preset", source.preset),
        ("seed", str(source.seed)),
        ("image score", source.image_score),
        ("selected by", source.selection),
        ("protocol", source.protocol),
        ("PRO up to", f"false positive rate {source.fpr_limit:g}"),
        *((name, str(value)) for name, value in facts.items()),
        ("hardware", source.hardware),
        ("system", f"{source.system}, Python {source.python}"),
        ("versions", ", ".join(f"{name} {number}" for name, number in source.versions.items())),
        ("date", source.date),
    ]
