"""The report of one evaluation of a run: collects what :func:`write_report` draws."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from realnet.data import Sample, read_image
from realnet.data.samples import spread
from realnet.errors import UserError
from realnet.evaluation.evaluate import Evaluation, record
from realnet.inspection.inspection import Inspection
from realnet.limits import read_limits
from realnet.model.network import RealNet
from realnet.progress import Watcher
from realnet.record import METRICS_FILE
from realnet.report.contents import AfsView, GalleryItem, afs_layer
from realnet.report.page import write_report
from realnet.run_folder import Run
from realnet.synthesis import Anomaly
from realnet.synthesis.shown_defects import read_defects
from realnet.training.batches import to_tensor


def file_evaluation(evaluation: Evaluation, report: Path | None, watcher: Watcher) -> None:
    """Record the figures in the run and write the report to ``report`` (None: in the run).

    ``watcher`` is told where the report is, or that the run cannot be written to; UserError for the report.
    """
    try:
        own = record(evaluation.tests.run.folder, evaluation.results)
    except UserError as error:
        watcher.warn(f"Not filed under the run: {error}")
        own = None
    path = report or own
    if path is not None:
        watcher.stage("Writing the report")
        report_evaluation(path, evaluation)
        watcher.say(f"Report: {path}")


def report_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Write ``report.html``; the categories that were tested may hold the run's good images that are odd."""
    run, judge = evaluation.tests.run, evaluation.judge
    labels = [sample.is_anomalous for sample in evaluation.samples]
    shown = worst_first(evaluation.scores, labels, judge.threshold)
    gallery, facts = [_gallery_item(evaluation, index) for index in shown], _facts(run)
    odd = odd_images(run, [sample for category in evaluation.tests.categories for sample in category.train])
    synthetic = read_defects(run.folder)
    afs = afs_view(judge.model, *synthetic[0]) if synthetic and isinstance(judge.model, RealNet) else None
    write_report(
        path,
        evaluation.results,
        evaluation.scores,
        labels,
        gallery=gallery,
        afs=afs,
        synthetic=synthetic,
        odd=odd,
        limits=read_limits(run.folder, run.digest, judge.threshold),
        threshold=judge.threshold,
        facts=facts,
    )


def worst_first(
    scores: Sequence[float] | np.ndarray, labels: Sequence[bool] | np.ndarray, threshold: float, limit: int = 40
) -> list[int]:
    """Which images to show, and in which order: wrong verdicts, the worst first, then right ones, the closest first.

    How wrong a verdict is counts relative to the room on that side of the threshold, so that misses (just below a
    low threshold) are not pushed out by false alarms. At most three quarters of ``limit`` are wrong ones where
    there are right ones to show as well; where not all right ones fit, they are spread evenly. ``labels`` say whether
    an image is defective, scores above ``threshold`` that it is rejected; indices are returned.
    """
    values, defective = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if not len(values):
        return []
    rejected = values > threshold
    room = np.where(rejected, values.max() - threshold, threshold - values.min())
    distance = np.abs(values - threshold) / np.where(room > 0, room, 1)
    wrong = np.flatnonzero(rejected != defective)
    right = np.flatnonzero(rejected == defective)
    wrong = wrong[np.argsort(-distance[wrong], kind="stable")]
    right = right[np.argsort(distance[right], kind="stable")]
    wrong = wrong[: max(limit - len(right), 3 * limit // 4)]
    places = min(limit - len(wrong), len(right))
    return [int(index) for index in [*wrong, *right[spread(len(right), places)]]]


def odd_images(run: Run, good: Sequence[Sample]) -> list[tuple[str, np.ndarray]]:
    """Names and pictures of the good images that the run's calibration found odd, as far as they are at hand."""
    files = {name: sample.image for sample in good for name in (sample.name, sample.full_name)}
    found = []
    for name in run.calibration.odd() if run.calibration is not None else ():
        if name in files:
            with suppress(UserError):
                found.append((name, read_image(files[name], levels=run.levels)))
    return found


def _facts(run: Run) -> dict[str, str]:
    record = run.record
    if record.imported is not None:
        return {"Imported from": record.imported.file}
    if (training := record.training) is None:
        raise UserError(f"{run.folder / METRICS_FILE} does not say how the run was trained; restore it or train again.")
    return {
        "Trained on": f"{training.good_images} good images, {training.held_out_images} more held out",
        "Steps": training.progress,
        "Training time": f"{training.seconds:.0f} s",
    }


def _gallery_item(evaluation: Evaluation, index: int) -> GalleryItem:
    sample, judge = evaluation.samples[index], evaluation.judge
    image = read_image(sample.image, judge.image_size, judge.levels)
    score, anomaly_map = float(evaluation.scores[index]), evaluation.maps[index]
    found = Inspection(score, judge.threshold, judge.pixel_threshold, anomaly_map, image)
    return GalleryItem(sample, found, evaluation.masks[index])


def afs_view(model: RealNet, good: np.ndarray, anomaly: Anomaly) -> AfsView | None:
    """Fig. S7 for a good image and a defect of it; None where the run selected otherwise than by AFS."""
    if not model.afs.measured:
        return None
    device = next(model.buffers()).device
    with torch.no_grad():
        of_good, of_anomalous = (
            [feature[0].float().cpu().numpy() for feature in model.backbone(to_tensor([image]).to(device))]
            for image in (good, anomaly.image)
        )
    layers = tuple(
        afs_layer(
            f"stride {stride}",
            of_good[k],
            of_anomalous[k],
            model.afs.get_buffer(f"loss_{k}").cpu().numpy(),
            model.afs.get_buffer(f"index_{k}").cpu().numpy(),
        )
        for k, stride in enumerate(model.backbone.strides)
    )
    return AfsView(good, anomaly, layers)
