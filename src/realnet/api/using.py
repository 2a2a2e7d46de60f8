"""What an inspector is used for, and what it is measured and set by: inspect, evaluate, calibrate."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realnet.api.places import FilePath, as_path, as_paths
from realnet.errors import UserError
from realnet.progress import Watcher

if TYPE_CHECKING:
    from realnet.calibration import Calibration
    from realnet.evaluation.results import Results
    from realnet.history import Confirmed
    from realnet.run_folder import Run


def evaluate(
    run: FilePath,
    data: FilePath,
    *,
    category: str | None = None,
    good: Sequence[str] = (),
    json: FilePath | None = None,
    maps: FilePath | None = None,
    report: FilePath | None = None,
    protocol: str = "exact",
    at_image_size: bool = False,
    force: bool = False,
    device: str = "auto",
    progress: bool | Watcher = True,
) -> "Results":
    """Measure a run on the test images of ``data``, as ``realnet evaluate`` does: figures, metrics.json, report.html.

    Args:
        run: folder of a trained run.
        data: a data set with test images.
        category: one category of it; None: what the run was trained on, where it has that.
        good: as for :func:`train`.
        json: write the results here as well.
        maps: write anomaly maps here, as MVTec lays them out.
        report: the report; None: in the run, one a data set.
        protocol: ``exact``, or ``realnet``: the authors' evaluator, to compare with published tables.
        at_image_size: pixel figures at each image's size.
        force: go on with images the run has seen, or of another product; the figures are marked.
        device: as for :func:`train`.
        progress: show a bar.

    Raises:
        UserError: for images that cannot be used, that the run has seen, or that show another product (this one has
            the ``results`` all the same, which are not filed under the run).
    """
    from realnet.atomic import write_text
    from realnet.errors import NotFiled
    from realnet.notebook_bar import watching
    from realnet.tested import choose_tests

    with watching("Evaluating", progress) as watcher:
        tests = choose_tests(run, data, category, good, force, watcher)

        from realnet.acceleration import use_device
        from realnet.evaluation.evaluate import evaluate_run, write_maps
        from realnet.evaluation.results import check_protocol
        from realnet.report.run_report import file_evaluation

        checked, place = check_protocol(protocol), use_device(device, watcher.say)
        found = evaluate_run(tests, checked, place, watcher, at_image_size=at_image_size, force=force)
        for note in found.notes:
            watcher.say(note)
        if maps is not None:
            write_maps(Path(maps), found.samples, found.maps)
        if json is not None:
            write_text(Path(json), found.results.to_json())
        if found.another and not force:
            raise NotFiled(found.another, found.results)
        file_evaluation(found, as_path(report), watcher)
    return found.results


def inspect(
    run: FilePath,
    images: FilePath | Sequence[FilePath],
    output: FilePath,
    *,
    threshold: float | None = None,
    minimum_area: int = 0,
    device: str = "auto",
    every: float | None = None,
    limit: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    format: Sequence[str] = ("csv", "json"),
    overlays: bool = True,
    masks: bool = False,
    progress: bool | Watcher = True,
) -> list[dict[str, Any]]:
    """Judge images, as ``realnet inspect`` does, with overlays and tables in ``output``.

    To judge a few images without writing anything, call an inspector: ``realnet.load(run)(images)``.

    Args:
        run: folder of a trained run, or of an export.
        images: files, folders of them, patterns, or ``camera:`` and a number, address or film.
        output: folder for overlays and results.
        threshold: image score above which an image is anomalous; None: the run's.
        minimum_area: pixels of the smallest defect that counts; 0: any.
        device: as for :func:`train`.
        every: seconds between pictures of a camera or film; None: 1.
        limit: stop after so many images; a camera goes on until then.
        resume: go on where an earlier call with this ``output`` was interrupted.
        overwrite: replace the results of an earlier call with this ``output``.
        format: of the tables: ``csv``, ``json``, ``parquet``.
        overlays: write overlays/NAME.png.
        masks: write masks/NAME.png.
        progress: show a bar.

    Returns:
        A row for each image, with the columns of ``results.json``: ``pandas.DataFrame(rows)`` is a table of them. Where
        an earlier call was resumed, its rows are among them.

    Raises:
        UserError: for a run, images or an output that cannot be used. An unreadable image is a row, and no error.
    """
    from realnet.inspection.journal import read_rows, what_of_earlier
    from realnet.inspection.loading import load
    from realnet.inspection.result_folder import InspectionRequest, inspect_items
    from realnet.inspection.sources import open_sources
    from realnet.inspection.tables import check_formats
    from realnet.notebook_bar import watching

    folder, earlier = Path(output), what_of_earlier(resume, overwrite)
    check_formats(format)
    names = [str(images)] if isinstance(images, str | Path) else [str(name) for name in images]
    done = itertools.count(1)
    with watching("Inspecting", progress) as watcher:
        inspector = load(run, device, say=watcher.say).judge_by(threshold, minimum_area)

        def told(row: Any) -> None:
            watcher.stage("Inspecting", next(done))
            if row.error:
                watcher.warn(row.error)

        sources = open_sources(names, folder, False, every, watcher.warn)
        request = InspectionRequest(overlays, masks, tuple(format), earlier, limit)
        summary = inspect_items(inspector, sources.items, folder, request, told)
        for note in summary.notes:
            watcher.warn(note)
    last = {row.image: row for row in read_rows(folder)}
    return [row.as_dict() for row in last.values()]


def calibrate(
    run: FilePath,
    images: FilePath | Sequence[FilePath] = (),
    *,
    good: Sequence[str] = (),
    false_alarms: str | float | None = None,
    feedback: FilePath | None = None,
    dry_run: bool = False,
    force: bool = False,
    device: str = "auto",
    progress: bool | Watcher = True,
) -> "Calibration":
    """Set the thresholds of a run or an export by good images of the line, as ``realnet calibrate`` does.

    Args:
        run: folder of a trained run, or of an export.
        images: good images that the run was not trained on: files, folders, or a data set.
        good: as for :func:`train`.
        false_alarms: share of good images that may be rejected: 0.001 or ``"0.1%"``; None: the run's.
        feedback: a results store: the images that people confirmed as good count as well.
        dry_run: say what would come out, and change nothing.
        force: go on with images the run was trained on; the calibration says so.
        device: as for :func:`train`.
        progress: show a bar.

    Returns:
        The calibration; its ``sentences()`` say what it promises.

    Raises:
        UserError: for a run or images that cannot be used, or that were trained on.
    """
    from realnet.calibration import rate
    from realnet.calibrations import install
    from realnet.data import open_good
    from realnet.data.summary import describe_not_used
    from realnet.inspection import calibrating
    from realnet.inspection.loading import load_on
    from realnet.notebook_bar import watching
    from realnet.run_folder import open_run_or_export

    opened = open_run_or_export(run)
    before = opened.calibration
    asked = calibrating.usual_rate(opened) if false_alarms is None else rate(str(false_alarms))
    places = as_paths(images)
    with watching("Calibrating", progress) as watcher:
        confirmed = None if feedback is None else _confirmed(opened, Path(feedback), watcher)
        if places:
            chosen = open_good(places, good)
            files = [sample.image for sample in chosen.train]
            if len(files) < 2:
                raise UserError(f"One good image is no calibration; give {run} at least twenty.")
            for line in (f"Calibrating on {len(files)} good images.", *describe_not_used(chosen.left_out)):
                watcher.say(line)
            for line in opened.other_sizes(files):
                watcher.warn(line)
            # Before minutes are spent on judging.
            calibrating.check_enough(len(files) + (len(confirmed.good) if confirmed else 0), asked)
            judge = load_on(opened, device, watcher.say)
            judged = calibrating.judge_good(judge, files, opened.trained_on, watcher)
            if not force:
                calibrating.check_unseen(opened, judged)
                calibrating.check_product(judged.scores, before)
        elif before is not None:
            judged = calibrating.judged_before(before)
        else:
            raise UserError(f"{run} has no calibration that feedback could be added to: give good images as well.")
        if confirmed is not None:
            judged = judged.with_confirmed(confirmed.good, confirmed.defects)
        calibrating.check_enough(len(judged.scores), asked)
        made = calibrating.calibrate_by(judged, asked, before)
        if not dry_run:
            made = install(opened.folder, made)
        for line in made.sentences():
            watcher.say(line)
        if confirmed is not None:
            watcher.say(confirmed.sentence(made.score))
    return made


def _confirmed(run: "Run", feedback: Path, watcher: Watcher) -> "Confirmed":
    """What people confirmed of the images that this very model judged, but for those it was trained on."""
    from realnet.history import Confirmed, Store, read_confirmed

    found = read_confirmed(Store(feedback, make=False), run.digest)
    new = tuple(image for image in found.good if image[1] not in run.trained_on)
    if len(new) < len(found.good):
        watcher.say(f"{len(found.good) - len(new)} confirmed good images are left out: the run was trained on them.")
    if not new and not found.defects:
        raise UserError(f"Nobody has confirmed an image yet that this model judged: {feedback} holds none of them.")
    return Confirmed(new, found.defects)
