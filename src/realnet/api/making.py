"""What makes an inspector or images: train, teach, export, synthesize."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realnet.api.places import FilePath, as_path, as_paths
from realnet.errors import UserError, advise
from realnet.progress import Watcher

if TYPE_CHECKING:
    from realnet.calibration import Calibration
    from realnet.inspection.exported import ExportedInspector
    from realnet.inspection.inspector import Inspector


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
    from realnet.data import check_count, check_dataset, summarize, with_confirmed, with_further, without

    # What is quickly found wrong is said before torch is loaded.
    wanted = []
    if find:
        from realnet.limits.asked import read_asked

        wanted = read_asked([find] if isinstance(find, str) else find)
    budget = choices.seconds(time_budget if isinstance(time_budget, str | None) else f"{time_budget:f}s")
    categories = choices.one_inspector(data, category, good)
    if further := as_paths(add):
        categories = with_further(categories, further)
    if excluded := as_paths(exclude):
        categories = without(categories, [str(one) for one in excluded])
    if kept := as_paths(keep):
        categories = with_confirmed(categories, [str(one) for one in kept])
    folder = choices.default_run(Path(data), categories, resume, devices) if output is None else Path(output)

    check_count(categories)

    from realnet.acceleration import use_device
    from realnet.inspection.inspector import inspector_of, trained_inspector
    from realnet.notebook_bar import watching
    from realnet.run_folder import Run
    from realnet.training.launch import Launch
    from realnet.training.many_products import train_products
    from realnet.training.run import describe_run, say_what_next

    with watching("Preparing", progress, "step") as watcher:
        settings = choices.training_configuration(
            data, categories, preset, [*set, *choices.assignments(fields)], as_path(config), watcher.say,
            synthesis=synthesis, source=as_path(source), seed=seed, select=select, false_alarms=false_alarms,
            tolerate=tolerate, view=as_path(view), align=align, reference=as_path(reference),
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
        made = train_products(categories, settings, folder, launch, watcher)
        describe_run(folder, made.progress, watcher)
        for line in reach(folder, samples, wanted, false_alarms, watcher) if wanted else ():
            watcher.say(line)
        say_what_next(folder, watcher)
    run = Run(folder)
    return trained_inspector(run, place) if made.model is None else inspector_of(run, made.model)


def teach(
    run: FilePath,
    images: FilePath | Sequence[FilePath] = (),
    *,
    good: Sequence[str] = (),
    keep: FilePath | Sequence[FilePath] = (),
    exclude: FilePath | Sequence[FilePath] = (),
    feedback: FilePath | None = None,
    defects: bool = False,
    force: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    progress: bool | Watcher = True,
) -> "Calibration":
    """Add good images to a finished run of a closed-form preset, or take some out, as ``realnet teach`` does.

    The version before is kept, and ``realnet calibrate RUN --undo`` puts it back.

    Args:
        run: folder of the run.
        images: further good images: files, folders, or a data set.
        good: as for :func:`train`.
        keep: good images of the run, or of those given, that stand out and are good all the same: files, or their names
            as the run has them; they are not named again.
        exclude: images that are not good, named likewise: the run unlearns those that it has learned.
        feedback: a results store: the images that people confirmed as good join, and confirmed defects stand guard.
        defects: the confirmed defects of the results store, five at least, are learned as well, so that more like them
            are found.
        force: go on although a confirmed defect that is found would be missed.
        dry_run: say what would come out, and change nothing.
        device: as for :func:`train`.
        progress: show a bar.

    Returns:
        The calibration of the run with these images; its ``sentences()`` say what it promises.

    Raises:
        UserError: for a run that cannot take further images, images that cannot be used, too few defects or good
            images to learn them from, and for defects that would be missed.
    """
    from realnet.acceleration import use_device
    from realnet.data import open_good
    from realnet.data.summary import describe_not_used
    from realnet.history import Store
    from realnet.notebook_bar import watching
    from realnet.run_folder import open_run
    from realnet.training.correcting import correct
    from realnet.training.known_images import Said
    from realnet.training.teaching import check_teachable

    opened = open_run(run)
    places, folder = as_paths(images), opened.folder
    said = Said(tuple(map(str, as_paths(keep))), tuple(map(str, as_paths(exclude))))
    if not places and feedback is None and said == Said():
        raise UserError("Give good images, or a results store with people's feedback, or images to keep or exclude.")
    if defects and feedback is None:
        raise advise(
            "Confirmed defects are learned from a results store:",
            "give feedback, too.",
            "give --feedback, too.",
        )
    check_teachable(folder)
    with watching("Learning", progress) as watcher:
        chosen: list[tuple[Path, str]] = []
        if places:
            category = open_good(places, good)
            for line in describe_not_used(category.left_out):
                watcher.say(line)
            chosen = [(sample.image, sample.name) for sample in category.train]
            for line in opened.other_sizes([file for file, _ in chosen]):
                watcher.warn(line)
        store = None if feedback is None else Store(Path(feedback), make=False)
        place = use_device(device, watcher.say)
        return correct(folder, chosen, store, place, watcher, force=force, dry_run=dry_run, join=defects, said=said)


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
    from realnet.inspection.exported import exported_inspector
    from realnet.run_folder import Run, open_run

    opened = open_run(run)
    request = request_export(opened, Path(output), format, as_path(images), data, category)

    from realnet.export.export_folder import export_run
    from realnet.notebook_bar import watching

    with watching("Exporting", progress) as watcher:
        export_run(opened, Path(output), request, tolerance, watcher)
    return None if format == "torch" else exported_inspector(Run(Path(output)))


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
    settings = choices.configuration("lite", chosen, as_path(config), synthesis, as_path(source), seed)
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
