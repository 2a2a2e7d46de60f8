"""Evaluation of a trained run on the test images of a data set."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realnet.atomic import atomic_path, write_text
from realnet.config import Config
from realnet.data import Category, Sample, fingerprint, measure_tiled, read_image, read_mask, resize_image
from realnet.evaluation.results import Protocol, Provenance, Results, evaluate_maps
from realnet.inspection.inspector import read_thresholds
from realnet.inspection.judging import finite, full_size
from realnet.model.lanes import Lanes
from realnet.model.network import RealNet, measure
from realnet.model.saving import METRICS_FILE, load_model, read_metrics
from realnet.view import View, view_of


@dataclass(frozen=True)
class Evaluation:
    """Results, and what they were computed from: all the report needs.

    ``maps`` is float32 ``[N, size, size]``, ``masks`` bool of the same size or None, ``scores`` ``[N]``.
    """

    results: Results
    model: RealNet
    config: Config
    samples: list[Sample]
    maps: np.ndarray
    masks: list[np.ndarray | None]
    scores: np.ndarray
    threshold: float
    pixel_threshold: float


def evaluate_run(
    run: Path,
    data: str,
    categories: Sequence[Category],
    protocol: Protocol = "exact",
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    batch_size: int = 16,
) -> Evaluation:
    """Judge the test images of ``categories`` with the run's model and compute every figure.

    Args:
        run: folder of a trained run.
        data: name of the data set, for the record.
        categories: with test images.
        protocol: ``exact``, or ``realnet`` for the authors' evaluator.
        device: where the model runs.
        progress: told how many images of how many are judged.
        batch_size: images at a time.

    Raises:
        UserError: for a damaged run, also one whose figures are no numbers, or unreadable images.
    """
    model, config = load_model(run, device)
    view = view_of(config.model.view)
    threshold, pixel_threshold = read_thresholds(run)
    samples = [sample for category in categories for sample in category.test]
    size = config.model.image_size
    maps, scores = np.empty((len(samples), size, size), np.float32), np.empty(len(samples), np.float32)
    lanes = Lanes()
    for start in range(0, len(samples), batch_size):
        batch = samples[start : start + batch_size]
        place = slice(start, start + len(batch))
        maps[place], scores[place] = _judge(model, config, view, batch, lanes)
        progress(start + len(batch), len(samples))
    masks = [None if sample.mask is None else read_mask(sample.mask, size) for sample in samples]
    provenance = Provenance.collect(
        data=f"{Path(data).name} ({', '.join(category.name for category in categories)})",
        data_fingerprint=fingerprint(samples),
        split="test",
        seed=config.seed,
        preset=config.preset,
        image_score=config.model.image_score,
        selection=config.training.select,
    )
    results = evaluate_maps(samples, maps, masks, scores, provenance, protocol=protocol, threshold=threshold)
    return Evaluation(results, model, config, samples, maps, masks, scores, threshold, pixel_threshold)


def _judge(
    model: RealNet, config: Config, view: View | None, samples: Sequence[Sample], lanes: Lanes
) -> tuple[np.ndarray, list[float]]:
    """Maps ``[N, size, size]`` and scores. With tiles or a view they come of the full map, brought to that size."""
    size, tile = config.model.image_size, config.model.tile

    def judge(images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        return finite(*measure(model, images, lanes))

    if view is not None:
        looked = [view.look(read_image(sample.image), str(sample.image)) for sample in samples]
        if tile is None:
            maps, scores = judge([resize_image(one.seen, size) for one in looked])
            pairs = [
                (full_size(own, *one.seen.shape[:2]), score)
                for own, one, score in zip(maps, looked, scores, strict=True)
            ]
        else:
            pairs = [measure_tiled(judge, one.seen, tile, size) for one in looked]
        restored = [resize_image(one.restore(own), size) for one, (own, _) in zip(looked, pairs, strict=True)]
        return np.stack(restored), [score for _, score in pairs]
    if tile is None:
        return judge([read_image(sample.image, size) for sample in samples])
    found = [measure_tiled(judge, read_image(sample.image), tile, size) for sample in samples]
    return np.stack([resize_image(anomaly_map, size) for anomaly_map, _ in found]), [score for _, score in found]


def record(run: Path, results: Results) -> None:
    """Add ``results`` to the run's ``metrics.json``, under the data they were computed on."""
    metrics = read_metrics(run)
    facts = results.provenance
    key = f"{facts.data}, protocol {facts.protocol}"
    metrics.setdefault("test", {})[key] = results.model_dump(mode="json")
    write_text(run / METRICS_FILE, json.dumps(metrics, indent=2))


def write_maps(folder: Path, samples: Sequence[Sample], maps: np.ndarray) -> None:
    """Write anomaly maps as float32 TIFF in MVTec's evaluation layout: ``CATEGORY/test/DEFECT/NAME.tiff``."""
    from PIL import Image

    for sample, anomaly_map in zip(samples, maps, strict=True):
        path = folder / sample.category / "test" / sample.defect / f"{sample.image.stem}.tiff"
        with atomic_path(path) as temporary:
            Image.fromarray(anomaly_map).save(temporary, format="TIFF")
