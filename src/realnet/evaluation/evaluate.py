"""Evaluation of a trained run on the test images of a data set."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realnet.atomic import atomic_path
from realnet.data import Notes, Sample, read_truth
from realnet.data.finding import OWN_MARK
from realnet.errors import UserError
from realnet.evaluation.figures import evaluate_maps, with_caveats
from realnet.evaluation.results import Protocol, Provenance, Results
from realnet.inspection.inspector import Inspector
from realnet.inspection.judging import full_size
from realnet.model.saving import load_network
from realnet.model.threads import Threads
from realnet.progress import Watcher
from realnet.provenance import facts_of
from realnet.record import read_record, save_record
from realnet.tested import Trial

_TIFF_SOFTWARE, _LONGEST = 305, 100


@dataclass(frozen=True)
class Evaluation:
    """Results, and what they were computed from: all the report needs.

    ``judge`` is the run's, with its model, configuration and thresholds.
    ``maps`` is float32 ``[N, size, size]``, ``masks`` bool of the same size or None, ``scores`` ``[N]``. ``notes`` say
    what of the images was read differently than a person might expect. ``another`` says why the images seem to show
    another product than the run was trained on; empty where they do not.
    """

    results: Results
    tests: Trial
    judge: Inspector
    samples: list[Sample]
    maps: np.ndarray
    masks: list[np.ndarray | None]
    scores: np.ndarray
    notes: tuple[str, ...]
    another: str


def evaluate_run(
    tests: Trial,
    protocol: Protocol = "exact",
    device: str = "cpu",
    watcher: Watcher | None = None,
    batch_size: int = 16,
    *,
    at_image_size: bool = False,
    force: bool = False,
) -> Evaluation:
    """Judge ``tests`` with the run's model and compute every figure.

    Args:
        at_image_size: compute pixel figures at the size of each image, as MVTec's own evaluation, not at the model's.
        force: mark figures of what seems to be another product, too.

    Raises:
        UserError: for a damaged run, also one whose figures are no numbers, or unreadable images.
    """
    run, categories = tests.run, tests.categories
    judge = Inspector(load_network(run, device), run.config, *run.thresholds, threads=Threads())
    config, notes = run.config, Notes()
    samples = [sample for category in categories for sample in category.test]
    size = config.model.image_size
    maps, scores = np.empty((len(samples), size, size), np.float32), np.empty(len(samples), np.float32)
    shapes: list[tuple[int, int]] = []
    for start in range(0, len(samples), batch_size):
        batch = [judge.look(sample.image, notes=notes) for sample in samples[start : start + batch_size]]
        place = slice(start, start + len(batch))
        maps[place], scores[place] = judge.measure_small(batch)
        shapes += [looked.image.shape[:2] for looked in batch]
        if watcher is not None:
            watcher.stage("Evaluating", start + len(batch), len(samples))
    masks = [read_truth(sample, (size, size)) for sample in samples]
    good = [float(s) for s, one in zip(scores, samples, strict=True) if not one.is_anomalous]
    another = run.looks_other([category.name for category in categories], good)
    judged: Sequence[np.ndarray] | np.ndarray = maps
    truths = masks
    if at_image_size:
        judged = [full_size(anomaly_map, *shape) for anomaly_map, shape in zip(maps, shapes, strict=True)]
        truths = [read_truth(sample) for sample in samples]
    provenance = Provenance.of_tests(
        tests.data, categories, pixels="image" if at_image_size else "map", **facts_of(config)
    )
    results = evaluate_maps(samples, judged, truths, scores, provenance, protocol=protocol, threshold=judge.threshold)
    results = with_caveats(results, [another, *tests.caveats] if another and force else tests.caveats)
    return Evaluation(results, tests, judge, samples, maps, masks, scores, tuple(notes.sentences()), another)


def record(run: Path, results: Results) -> Path:
    """Add ``results`` to the record of the run in the folder ``run``; where their report belongs: one a data set.

    Figures of the same images are replaced; other images under the same name are kept apart by their fingerprint.
    """
    before, facts = read_record(run), results.provenance
    key = f"{facts.data}, protocol {facts.protocol}" + (", at image size" if facts.pixels == "image" else "")
    name, there = facts.data, before.test.get(key)
    if isinstance(there, dict) and there.get("provenance", {}).get("data_fingerprint") != facts.data_fingerprint:
        name = f"{name} {facts.data_fingerprint[:8]}"
        key = f"{key}, images {facts.data_fingerprint[:8]}"
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-")[:_LONGEST]
    reports = {name: f"report-{plain}.html" if before.reports else "report.html", **before.reports}
    test = {**before.test, key: results.model_dump(mode="json")}
    save_record(run, before.model_copy(update={"test": test, "reports": reports}))
    return run / reports[name]


def write_maps(folder: Path, samples: Sequence[Sample], maps: np.ndarray) -> None:
    """Write anomaly maps as float32 TIFF in MVTec's evaluation layout: ``CATEGORY/test/DEFECT/NAME.tiff``.

    Of images in folders below their kind, NAME has these folders; of two that differ in their suffix only, it is
    ``000.png`` and ``000.jpg``. UserError where one is there already: none is overwritten.
    """
    from PIL import Image

    files = [folder / name for name in map_names(samples)]
    if there := [file for file in files if file.exists()]:
        raise UserError(f"{there[0]} is there already, and is not overwritten: give --maps another folder.")
    for path, anomaly_map in zip(files, maps, strict=True):
        with atomic_path(path) as temporary:
            Image.fromarray(anomaly_map).save(temporary, format="TIFF", tiffinfo={_TIFF_SOFTWARE: OWN_MARK})


def map_names(samples: Sequence[Sample]) -> list[Path]:
    """Where the map of each sample belongs below the folder of maps; no two are the same, whatever the disk's case."""
    plain = [Path(sample.category, "test", sample.defect, sample.name) for sample in samples]
    counts = Counter(str(path.with_suffix("")).casefold() for path in plain)
    return [
        path.with_name(f"{path.name}.tiff" if counts[str(path.with_suffix("")).casefold()] > 1 else f"{path.stem}.tiff")
        for path in plain
    ]
