"""RealNet in Python: what the commands do, by the same names and with the same defaults.

Every function raises :class:`realnet.errors.UserError` where the command would end with a sentence. ``progress``
shows bars, and the sentences that the command prints. Nothing heavy is imported before a function is called.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realnet.choices import check_run
from realnet.errors import UserError

if TYPE_CHECKING:
    from realnet.calibration import Calibration
    from realnet.data import Category
    from realnet.evaluation.results import Results
    from realnet.inspection.exported import ExportedInspector
    from realnet.inspection.inspector import Inspector

Place = str | Path
Say = Callable[[str], None]


def train(
    data: Place,
    output: Place,
    *,
    category: str | None = None,
    good: Sequence[str] = (),
    add: Place | Sequence[Place] = (),
    preset: str = "lite",
    synthesis: str | None = None,
    source: Place | None = None,
    time_budget: str | float | None = None,
    seed: int | None = None,
    resume: bool = False,
    config: Place | None = None,
    select: str | None = None,
    false_alarms: str | float | None = None,
    tolerate: str | None = None,
    view: Place | None = None,
    align: str | None = None,
    reference: Place | None = None,
    device: str = "auto",
    devices: int = 1,
    precision: str = "32-true",
    strategy: str = "auto",
    progress: bool = True,
    **fields: Any,
) -> "Inspector":
    """Train an inspector on good images, as ``realnet train`` does, and load it.

    Args:
        data: a folder of good images, or a data set.
        output: folder of the run.
        category: one category of the data set, or ``all`` together.
        good: folders of good images in ``data``, where their names do not say so.
        add: further good images, which are not in ``data``.
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
        view: where to look: an image in which that is not black, or JSON with polygons.
        align: ``shift`` or ``rigid``: bring each image to where a reference has the part.
        reference: the image to align to; None: the first good image.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        devices: how many of that kind.
        precision: as Lightning Fabric's, such as ``32-true`` or ``bf16-mixed``.
        strategy: as Lightning Fabric's, such as ``ddp``.
        progress: show a bar.
        fields: of the configuration: ``training={"steps": 100}`` or ``**{"training.steps": 100}``.

    Returns:
        The trained inspector, on the device it was trained on.

    Raises:
        UserError: for images, fields or an output folder that cannot be used.
        KeyboardInterrupt: when interrupted, after a checkpoint was saved; ``resume=True`` continues.
    """
    from realnet import choices
    from realnet.calibration import rate, read_calibration
    from realnet.data import check_dataset, summarize, with_further

    budget = choices.seconds(time_budget if isinstance(time_budget, str | None) else f"{time_budget:f}s")
    chosen = choices.assignments(fields)
    categories = _one(data, category, good)
    if further := _places(add):
        categories = with_further(categories, further)
    if select is not None:
        chosen.append(f"training.select={select}")
    if false_alarms is not None:
        chosen.append(f"training.false_alarms={rate(str(false_alarms))}")
    chosen += choices.tolerance(tolerate)
    looked, aligned_to = choices.view_settings(_path(view), align, _path(reference), categories)
    chosen += looked
    kind, origin = choices.find_synthesis(Path(data), categories, synthesis, _path(source), chosen, _path(config))
    settings = choices.configuration(preset, chosen, _path(config), kind, origin, seed)
    check_dataset(categories, need_test=settings.training.select == "oracle", test_files=True)

    from realnet.inspection.inspector import load
    from realnet.model.devices import choose_device
    from realnet.progress import Bar
    from realnet.training.launch import Launch
    from realnet.training.run import train as train_run

    place = choose_device(device)
    with Bar("Preparing", progress, "step") as bar:
        for line in summarize(categories):
            bar.say(line)
        if kind != synthesis:
            bar.say(f"Generated images of this product in {origin}: defects are made of them (synthesis='sia').")
        if aligned_to is not None:
            bar.say(f"Images are aligned to {aligned_to}.")
        train_run(categories, settings, Path(output), Launch(place, devices, precision, strategy, budget, resume), bar)
        made = read_calibration(Path(output))
        for line in made.sentences() if made is not None else ():
            bar.say(line)
    return load(output, place)


def evaluate(
    run: Place,
    data: Place,
    *,
    category: str | None = None,
    good: Sequence[str] = (),
    json: Place | None = None,
    maps: Place | None = None,
    report: Place | None = None,
    protocol: str = "exact",
    at_image_size: bool = False,
    force: bool = False,
    device: str = "auto",
    progress: bool = True,
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
    from dataclasses import replace

    if protocol not in ("exact", "realnet"):
        raise UserError(f"There is no protocol {protocol!r}: use exact, or realnet for the authors' evaluator.")
    folder = Path(run)
    check_run(folder)
    categories, caveats = _test_images(folder, data, category, good, force)

    from realnet.atomic import write_text
    from realnet.evaluation.evaluate import evaluate_run, other_product, write_maps
    from realnet.evaluation.results import with_caveats
    from realnet.model.devices import choose_device
    from realnet.progress import Bar
    from realnet.report.run_report import file_evaluation

    with Bar("Evaluating", progress) as bar:
        found = evaluate_run(
            folder, str(data), categories, "realnet" if protocol == "realnet" else "exact", choose_device(device),
            bar.count, at_image_size=at_image_size, caveats=caveats,
        )  # fmt: skip
        for note in found.notes:
            bar.say(note)
        another = other_product(folder, categories, found)
        if another and force:
            found = replace(found, results=with_caveats(found.results, [another]))
        if json is not None:
            write_text(Path(json), found.results.to_json())
        if maps is not None:
            write_maps(Path(maps), found.samples, found.maps)
        if another and not force:
            raise UserError(f"{another} The figures are not filed under the run; force=True files them, with a mark.")
        file_evaluation(folder, found, categories, _path(report), bar.say)
    return found.results


def inspect(
    run: Place,
    images: Place | Sequence[Place],
    output: Place,
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
    progress: bool = True,
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
    from realnet.inspection.sources import open_sources
    from realnet.inspection.tables import check_formats

    folder, place = Path(output), Path(run)
    check_formats(format)
    if resume and overwrite:
        raise UserError("resume keeps earlier results and overwrite replaces them: choose one.")
    inspector = _loaded(place, device)

    from realnet.inspection.journal import Earlier, read_rows
    from realnet.inspection.result_folder import Wanted, inspect_items
    from realnet.progress import Bar

    if threshold is not None:
        inspector.threshold = threshold
    inspector.minimum_area = minimum_area
    names = [str(images)] if isinstance(images, str | Path) else [str(name) for name in images]
    done = 0

    with Bar("Inspecting", progress) as bar:

        def told(row: Any) -> None:
            nonlocal done
            done += 1
            bar.count(done)
            if row.error:
                bar.say(row.error)

        sources = open_sources(names, folder, False, every, bar.say)
        earlier: Earlier = "resume" if resume else "overwrite" if overwrite else "refuse"
        wanted = Wanted(inspector.origin.model_digest, overlays, masks, tuple(format), earlier, limit)
        summary = inspect_items(inspector, sources.items, folder, wanted, told)
        for note in summary.notes:
            bar.say(note)
    last = {row.image: row for row in read_rows(folder)}
    return [row.as_dict() for row in last.values()]


def calibrate(
    run: Place,
    images: Place | Sequence[Place],
    *,
    good: Sequence[str] = (),
    false_alarms: str | float | None = None,
    force: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> "Calibration":
    """Set the thresholds of a run or an export by good images of the line, as ``realnet calibrate`` does.

    Args:
        run: folder of a trained run, or of an export.
        images: good images that the run was not trained on: files, folders, or a data set.
        good: as for :func:`train`.
        false_alarms: share of good images that may be rejected: 0.001 or ``"0.1%"``; None: the run's.
        force: go on with images the run was trained on; the calibration says so.
        device: as for :func:`train`.
        progress: show a bar.

    Returns:
        The calibration; its ``sentences()`` say what it promises.

    Raises:
        UserError: for a run or images that cannot be used, or that were trained on.
    """
    from realnet.calibration import rate, read_calibration
    from realnet.calibrations import install
    from realnet.data import open_good
    from realnet.inspection.calibrating import (
        calibrate_by,
        check_enough,
        check_product,
        check_unseen,
        judge_good,
        usual_rate,
    )
    from realnet.seen import read_trained

    folder = Path(run)
    files = [sample.image for sample in open_good(_places(images), good).train]
    if len(files) < 2:
        raise UserError(f"One good image is no calibration; give {folder} at least twenty.")
    before = read_calibration(folder)
    asked = usual_rate(folder, before) if false_alarms is None else rate(str(false_alarms))
    check_enough(len(files), asked)
    inspector = _loaded(folder, device)

    from realnet.progress import Bar

    with Bar("Calibrating", progress) as bar:
        judged = judge_good(inspector, files, read_trained(folder), lambda done: bar.count(done, len(files)))
        if not force:
            check_unseen(folder, judged)
            if before is not None:
                check_product(judged.scores, before)
        made = install(folder, calibrate_by(judged, asked, before))
        for line in made.sentences():
            bar.say(line)
    return made


def teach(
    run: Place,
    images: Place | Sequence[Place],
    *,
    good: Sequence[str] = (),
    device: str = "auto",
    progress: bool = True,
) -> "Inspector":
    """Add good images to a finished run of a closed-form preset, in seconds, as ``realnet teach`` does.

    The version before is kept, and ``realnet calibrate RUN --undo`` puts it back.

    Args:
        run: folder of the run.
        images: good images: files, folders, or a data set.
        good: as for :func:`train`.
        device: as for :func:`train`.
        progress: show a bar.

    Returns:
        The inspector as it is now.

    Raises:
        UserError: for a run that cannot take further images, or images that cannot be used.
    """
    from realnet.data import open_good

    folder = Path(run)
    check_run(folder)
    chosen = open_good(_places(images), good).train

    from realnet.inspection.inspector import load
    from realnet.model.devices import choose_device
    from realnet.progress import Bar
    from realnet.training.teaching import learn, save_lesson

    place = choose_device(device)
    with Bar("Learning", progress) as bar:
        files, names = [sample.image for sample in chosen], [sample.name for sample in chosen]
        for line in save_lesson(folder, learn(folder, files, names, place, bar.stage)).sentences():
            bar.say(line)
    return load(folder, place)


def export(
    run: Place,
    output: Place,
    *,
    format: str = "onnx",
    images: Place | None = None,
    data: Place | None = None,
    category: str | None = None,
    tolerance: float | None = None,
    progress: bool = True,
) -> "ExportedInspector":
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

    Raises:
        UserError: for an absent package, a place in use, images that cannot be used, and where the export differs.
    """
    from realnet.export.request import check_format, check_output, chosen_images
    from realnet.inspection.exported import load_exported
    from realnet.model.saving import trained_categories

    folder, place = Path(run), Path(output)
    check_run(folder)
    form = check_format(format)
    check_output(place)
    chosen = chosen_images(
        None if data is None else str(data), category, _path(images), tuple(trained_categories(folder))
    )

    from realnet.export.export_folder import export_run
    from realnet.progress import Bar

    with Bar("Exporting", progress) as bar:
        _, sentences = export_run(folder, place, form, chosen, tolerance, bar.stage)
        for line in sentences:
            bar.say(line)
    return load_exported(place)


def synthesize(
    data: Place,
    count: int,
    output: Place,
    *,
    synthesis: str = "mix",
    category: str | None = None,
    good: Sequence[str] = (),
    source: Place | None = None,
    seed: int | None = None,
    size: int = 256,
    config: Place | None = None,
    progress: bool = True,
    **fields: Any,
) -> Path:
    """Write image and mask pairs of synthetic defects, as ``realnet synthesize`` does.

    Args:
        data: as for :func:`train`, like ``category``, ``good``, ``source``, ``seed``, ``config`` and ``fields``.
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
    from realnet.data import check_dataset

    settings = choices.configuration("lite", choices.assignments(fields), _path(config), synthesis, _path(source), seed)
    categories = _one(data, category, good)
    check_dataset(categories, need_test=False)

    from realnet.progress import Bar
    from realnet.synthesis import write_pairs
    from realnet.training.prepare import synthesizer_of

    synthesizer, said = synthesizer_of(categories, settings, size)
    with Bar("Writing pairs", progress, "pair") as bar:
        for sentence in said:
            bar.say(sentence)
        return write_pairs(
            synthesizer, list(synthesizer.names or []), count, Path(output), lambda done: bar.count(done, count)
        )


def _path(place: Place | None) -> Path | None:
    return None if place is None else Path(place)


def _places(given: Place | Sequence[Place]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(place) for place in given]


def _one(data: Place, category: str | None, good: Sequence[str]) -> "list[Category]":
    """The categories of a data set: one, or all where that was said."""
    from realnet.data import open_dataset

    categories = open_dataset(Path(data), category, good)
    if category is None and len(categories) > 1:
        names = ", ".join(one.name for one in categories)
        raise UserError(
            f"{data} has several categories: name one of {names} as category=..., or category='all' for one inspector "
            "of them all."
        )
    return categories


def _loaded(run: Path, device: str) -> Any:
    """The inspector in ``run``; an export knows devices of its own."""
    from realnet.inspection.loading import load
    from realnet.inspection.manifest import is_export

    if is_export(run):
        return load(run) if device == "auto" else load(run, device)
    check_run(run)
    from realnet.model.devices import choose_device

    return load(run, choose_device(device))


def _test_images(
    run: Path, data: Place, category: str | None, good: Sequence[str], force: bool
) -> "tuple[list[Category], list[str]]":
    """The categories to judge, checked, and why their figures are to be marked."""
    from realnet.data import check_dataset, open_dataset
    from realnet.model.saving import load_config, trained_categories
    from realnet.seen import find_seen

    categories = open_dataset(Path(data), category, good)
    if category is None:
        trained = trained_categories(run)
        categories = [one for one in categories if one.name in trained] or categories
    check_dataset(categories, need_test=True, need_train=False)
    files = [sample.image for one in categories for sample in one.test]
    seen = find_seen(run, files, load_config(run).data.pair)
    if not seen:
        return categories, []
    sentence = seen.sentence(run, len(files))
    if not force:
        raise UserError(f"{sentence} Evaluate others, or go on with force=True: every figure is marked then.")
    return categories, [sentence]
