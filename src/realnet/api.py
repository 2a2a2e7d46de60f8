"""RealNet in Python: what the commands do, by the same names and with the same defaults.

Every function raises :class:`realnet.errors.UserError` where the command would end with a sentence. ``progress``
shows bars, and the sentences that the command prints; False shows nothing, a :class:`realnet.progress.Watcher` of one's
own is told instead. Nothing heavy is imported before a function is called.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realnet.progress import Watcher

if TYPE_CHECKING:
    from realnet.calibration import Calibration
    from realnet.evaluation.results import Results
    from realnet.history import Confirmed
    from realnet.inspection.exported import ExportedInspector
    from realnet.inspection.inspector import Inspector
    from realnet.run_folder import Run

FilePath = str | Path


def train(
    data: FilePath,
    output: FilePath | None = None,
    *,
    category: str | None = None,
    good: Sequence[str] = (),
    add: FilePath | Sequence[FilePath] = (),
    exclude: FilePath | Sequence[FilePath] = (),
    keep: FilePath | Sequence[FilePath] = (),
    preset: str = "lite",
    synthesis: str | None = None,
    source: FilePath | None = None,
    time_budget: str | float | None = None,
    seed: int | None = None,
    resume: bool = False,
    config: FilePath | None = None,
    select: str | None = None,
    false_alarms: str | float | None = None,
    tolerate: str | None = None,
    find: str | Sequence[str] = (),
    view: FilePath | None = None,
    align: str | None = None,
    reference: FilePath | None = None,
    device: str = "auto",
    devices: int = 1,
    precision: str = "32-true",
    strategy: str = "auto",
    set: Sequence[str] = (),
    progress: bool | Watcher = True,
    **fields: Any,
) -> "Inspector":
    """Train an inspector on good images, as ``realnet train`` does, and load it.

    Args:
        data: a folder of good images, or a data set.
        output: folder of the run; None: a new one, ``runs/`` and the product's name.
        category: one category of the data set, or ``all`` together.
        good: folders of good images in ``data``, where their names do not say so.
        add: further good images, which are not in ``data``.
        exclude: good images to train without: files, or their names as a training names those that stand out.
        keep: good images that stand out and are good all the same, named likewise: they are not named again.
        preset: a name in :data:`realnet.presets`.
        synthesis: how defects are made: ``mix``, ``nsa``, ``cutpaste``, ``dtd`` or ``sia``.
        source: folder of textures (dtd, mix) or of generated images (sia).
        time_budget: train what fits in this time: seconds, or a text such as ``"5m"``.
        seed: of everything random.
        resume: continue an interrupted run.
        config: YAML file with fields to override.
        select: which state is kept: ``validation``, ``last`` or ``oracle``.
        false_alarms: share of good images that may be rejected: 0.01, or a text such as ``"1%"``.
        tolerate: how far a good part may be moved, turned, lighter or darker: ``"shift=5%,rotation=3,light=20%"``.
        find: what is to be found, such as ``"scratch:2px"`` or ``"scratch:2px@32"`` of 32 grey levels: chooses image
            size, tiles and threshold, and says what is reached.
        view: where to look: an image in which that is not black, or JSON with polygons.
        align: ``shift`` or ``rigid``: bring each image to where a reference has the part.
        reference: the image to align to; None: the first good image.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        devices: how many of that kind.
        precision: as Lightning Fabric's, such as ``32-true`` or ``bf16-mixed``.
        strategy: as Lightning Fabric's, such as ``ddp``.
        set: fields of the configuration as texts, ``training.steps=100``.
        progress: show a bar.
        fields: likewise of the configuration: ``training={"steps": 100}`` or ``**{"training.steps": 100}``.

    Returns:
        The trained inspector, on the device it was trained on.

    Raises:
        UserError: for images, fields or an output folder that cannot be used.
        KeyboardInterrupt: when interrupted, after a checkpoint was saved; ``resume=True`` continues.
    """
    from realnet import choices
    from realnet.data import check_dataset, summarize, with_confirmed, with_further, without

    # What is quickly found wrong is said before torch is loaded.
    wanted = []
    if find:
        from realnet.limits.asked import read_asked

        wanted = read_asked([find] if isinstance(find, str) else find)
    budget = choices.seconds(time_budget if isinstance(time_budget, str | None) else f"{time_budget:f}s")
    categories = choices.one_inspector(data, category, good)
    if further := _places(add):
        categories = with_further(categories, further)
    if excluded := _places(exclude):
        categories = without(categories, [str(one) for one in excluded])
    if kept := _places(keep):
        categories = with_confirmed(categories, [str(one) for one in kept])
    folder = choices.default_run(Path(data), categories, resume, devices) if output is None else Path(output)

    from realnet.acceleration import use_device
    from realnet.inspection.inspector import load
    from realnet.notebook_bar import watching
    from realnet.training.launch import Launch
    from realnet.training.many_products import train_products
    from realnet.training.run import describe_run, say_what_next

    with watching("Preparing", progress, "step") as watcher:
        settings = choices.training_configuration(
            data, categories, preset, [*set, *choices.assignments(fields)], _path(config), watcher.say,
            synthesis=synthesis, source=_path(source), seed=seed, select=select, false_alarms=false_alarms,
            tolerate=tolerate, view=_path(view), align=align, reference=_path(reference),
        )  # fmt: skip
        empty = check_dataset(categories, need_test=settings.training.select == "oracle", test_files=True)
        place = use_device(device, watcher.say, devices)
        for line in (*summarize(categories), *empty):
            watcher.say(line)
        launch = Launch(place, devices, precision, strategy, budget, resume)
        samples = [sample for one in categories for sample in one.train]
        if wanted:
            from realnet.limits.choosing import choose
            from realnet.limits.reaching import reach

            settings = choose(samples, settings, wanted, watcher, place)
        describe_run(folder, train_products(categories, settings, folder, launch, watcher), watcher)
        for line in reach(folder, samples, wanted, false_alarms, watcher) if wanted else ():
            watcher.say(line)
        say_what_next(folder, watcher)
    return load(folder, place)


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
        UserError: for images that cannot be used, that the run has seen, or that show another product.
    """
    from realnet.atomic import write_text
    from realnet.run_folder import open_run
    from realnet.seen import choose_tests

    opened = open_run(run)

    from realnet.acceleration import use_device
    from realnet.evaluation.evaluate import evaluate_run, write_maps
    from realnet.evaluation.results import check_protocol
    from realnet.notebook_bar import watching
    from realnet.report.run_report import file_evaluation

    checked = check_protocol(protocol)
    with watching("Evaluating", progress) as watcher:
        place = use_device(device, watcher.say)
        categories, caveats = choose_tests(opened, data, category, good, force, watcher)
        found = evaluate_run(
            opened, str(data), categories, checked, place, watcher, at_image_size=at_image_size, caveats=caveats,
            force=force,
        )  # fmt: skip
        for note in found.notes:
            watcher.say(note)
        watcher.figures(found.results)
        if maps is not None:
            write_maps(Path(maps), found.samples, found.maps)
        if json is not None:
            write_text(Path(json), found.results.to_json())
        if found.refusal is not None:
            raise found.refusal
        file_evaluation(opened, found, categories, _path(report), watcher)
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
    from realnet.inspection.loading import load_on
    from realnet.inspection.result_folder import InspectionRequest, inspect_items
    from realnet.inspection.sources import open_sources
    from realnet.inspection.tables import check_formats
    from realnet.notebook_bar import watching
    from realnet.run_folder import open_run_or_export

    folder, earlier = Path(output), what_of_earlier(resume, overwrite)
    check_formats(format)
    names = [str(images)] if isinstance(images, str | Path) else [str(name) for name in images]
    done = itertools.count(1)
    with watching("Inspecting", progress) as watcher:
        inspector = load_on(open_run_or_export(run), device, watcher.say).judge_by(threshold, minimum_area)

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
    from realnet.errors import UserError
    from realnet.inspection import calibrating
    from realnet.inspection.loading import load_on
    from realnet.notebook_bar import watching
    from realnet.run_folder import open_run_or_export

    opened = open_run_or_export(run)
    before = opened.calibration
    asked = calibrating.usual_rate(opened) if false_alarms is None else rate(str(false_alarms))
    places = _places(images)
    with watching("Calibrating", progress) as watcher:
        confirmed = None if feedback is None else _confirmed(opened, Path(feedback), watcher)
        if places:
            chosen = open_good(places, good)
            files = [sample.image for sample in chosen.train]
            for line in (f"Calibrating on {len(files)} good images.", *describe_not_used(chosen.left_out)):
                watcher.say(line)
            if len(files) < 2:
                raise UserError(f"One good image is no calibration; give {run} at least twenty.")
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


def teach(
    run: FilePath,
    images: FilePath | Sequence[FilePath] = (),
    *,
    good: Sequence[str] = (),
    feedback: FilePath | None = None,
    force: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    progress: bool | Watcher = True,
) -> "Calibration":
    """Add good images to a finished run of a closed-form preset, in seconds, as ``realnet teach`` does.

    The version before is kept, and ``realnet calibrate RUN --undo`` puts it back.

    Args:
        run: folder of the run.
        images: further good images: files, folders, or a data set.
        good: as for :func:`train`.
        feedback: a results store: the images that people confirmed as good join, and confirmed defects stand guard.
        force: go on although a confirmed defect that is found would be missed.
        dry_run: say what would come out, and change nothing.
        device: as for :func:`train`.
        progress: show a bar.

    Returns:
        The calibration of the run with these images; its ``sentences()`` say what it promises.

    Raises:
        UserError: for a run that cannot take further images, images that cannot be used, and for defects that would be
            missed.
    """
    from realnet.acceleration import use_device
    from realnet.data import open_good
    from realnet.data.summary import describe_not_used
    from realnet.errors import UserError
    from realnet.history import Store
    from realnet.notebook_bar import watching
    from realnet.run_folder import open_run
    from realnet.training.correcting import correct
    from realnet.training.teaching import check_teachable

    places, folder = _places(images), open_run(run).folder
    if not places and feedback is None:
        raise UserError("Give good images, or a results store with people's feedback.")
    check_teachable(folder)
    with watching("Learning", progress) as watcher:
        chosen: list[tuple[Path, str]] = []
        if places:
            category = open_good(places, good)
            for line in describe_not_used(category.left_out):
                watcher.say(line)
            chosen = [(sample.image, sample.name) for sample in category.train]
        store = None if feedback is None else Store(Path(feedback), make=False)
        place = use_device(device, watcher.say)
        return correct(folder, chosen, store, place, watcher, force=force, dry_run=dry_run)


def export(
    run: FilePath,
    output: FilePath,
    *,
    format: str = "onnx",
    images: FilePath | None = None,
    data: FilePath | None = None,
    category: str | None = None,
    tolerance: float | None = None,
    progress: bool | Watcher = True,
) -> "ExportedInspector | None":
    """Export a run for another program, verified on real images, as ``realnet export`` does, and load it.

    Args:
        run: folder of a trained run.
        output: folder of the export: new or empty.
        format: ``onnx``, ``openvino``, ``openvino-fp16``, ``openvino-int8`` or ``torch``.
        images: good images to verify on; openvino-int8 is calibrated with them.
        data: in their place, the data set that the run was trained on.
        category: of the data set.
        tolerance: largest difference from PyTorch; None: the format's.
        progress: show a bar.

    Returns:
        The export as an inspector; None of ``torch``, which can run any code when it is loaded.

    Raises:
        UserError: for an absent package, a place in use, images that cannot be used, and where the export differs.
    """
    from realnet.export.request import request_export
    from realnet.inspection.exported import load_exported
    from realnet.run_folder import open_run

    opened = open_run(run)
    request = request_export(opened, Path(output), format, _path(images), data, category)

    from realnet.export.export_folder import export_run
    from realnet.notebook_bar import watching

    with watching("Exporting", progress) as watcher:
        export_run(opened, Path(output), request, tolerance, watcher)
    return None if format == "torch" else load_exported(output)


def synthesize(
    data: FilePath,
    count: int,
    output: FilePath,
    *,
    synthesis: str = "mix",
    category: str | None = None,
    good: Sequence[str] = (),
    source: FilePath | None = None,
    seed: int | None = None,
    size: int = 256,
    config: FilePath | None = None,
    set: Sequence[str] = (),
    progress: bool | Watcher = True,
    **fields: Any,
) -> Path:
    """Write image and mask pairs of synthetic defects, as ``realnet synthesize`` does.

    Args:
        data: as for :func:`train`, like ``category``, ``good``, ``source``, ``seed``, ``config``, ``set``, ``fields``.
        count: how many pairs.
        output: folder of the pairs, in the layout of MVTec AD.
        synthesis: how defects are made.
        size: side of the images in pixels.
        progress: show a bar.

    Returns:
        The manifest, which names the origin of each pair.

    Raises:
        UserError: for images, fields or an output folder that cannot be used.
    """
    from realnet import choices
    from realnet.data import check_dataset, summarize

    chosen = [*set, *choices.assignments(fields)]
    settings = choices.configuration("lite", chosen, _path(config), synthesis, _path(source), seed)
    categories = choices.one_inspector(data, category, good)
    check_dataset(categories, need_test=False)

    from realnet.notebook_bar import watching
    from realnet.synthesis import write_pairs
    from realnet.training.prepare import synthesizer_of

    synthesizer, said = synthesizer_of(categories, settings, size)
    with watching("Writing pairs", progress, "pair") as watcher:
        for sentence in (*summarize(categories), *said):
            watcher.say(sentence)
        names = list(synthesizer.names or [])
        return write_pairs(
            synthesizer, names, count, Path(output), lambda done: watcher.stage("Writing pairs", done, count)
        )


def _path(place: FilePath | None) -> Path | None:
    return None if place is None else Path(place)


def _places(given: FilePath | Sequence[FilePath]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(place) for place in given]


def _confirmed(run: "Run", feedback: Path, watcher: Watcher) -> "Confirmed":
    """What people confirmed of the images that this very model judged, but for those it was trained on."""
    from realnet.errors import UserError
    from realnet.history import Confirmed, Store, read_confirmed

    found = read_confirmed(Store(feedback, make=False), run.digest)
    new = tuple(image for image in found.good if image[1] not in run.trained_on)
    if len(new) < len(found.good):
        watcher.say(f"{len(found.good) - len(new)} confirmed good images are left out: the run was trained on them.")
    if not new and not found.defects:
        raise UserError(f"Nobody has confirmed an image yet that this model judged: {feedback} holds none of them.")
    return Confirmed(new, found.defects)
