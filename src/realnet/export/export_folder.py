"""An export as a folder: written beside its place, verified there, and moved in whole."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from realnet.atomic import write_text
from realnet.calibration import save_calibration
from realnet.config import Config
from realnet.data import fingerprint
from realnet.data.samples import spread
from realnet.data.summary import describe_not_used
from realnet.errors import UserError
from realnet.export.formats import write_graph
from realnet.export.request import Request
from realnet.export.verify import (
    TOLERANCES,
    compare,
    judge_held_out,
    program_engine,
    refuse_disagreement,
    refuse_loss,
    torch_engine,
)
from realnet.inspection.engines import Engine, open_engine
from realnet.inspection.exported import to_batch
from realnet.manifest import INSPECTOR_FILE, Manifest, describe_file
from realnet.model.joined import JoinedNet
from realnet.model.network import RealNet
from realnet.model.saving import load_network
from realnet.progress import Watcher
from realnet.provenance import collect_provenance
from realnet.record import Record
from realnet.run_folder import Run, save_seen
from realnet.training.prepare import Split, good_images, images_of, split_samples
from realnet.view import keep_reference

LICENCE = (
    "The weights include those of the backbone, which were trained on ImageNet, and were trained on images of the "
    "product: the licences of both apply to this model, whatever the licence of the software that made it."
)
_CALIBRATION_IMAGES, _VERIFICATION_IMAGES = 128, 32
_OTHER_IMAGES = (
    "These are not the good images that the run was trained on: it may have seen some of what counts as held out here."
)


def export_run(
    run: Run, output: Path, request: Request, tolerance: float | None = None, watcher: Watcher | None = None
) -> Manifest:
    """Export the trained ``run`` to the folder ``output``, new or empty, which appears whole or not at all.

    ``request`` is the format, and real images to verify on and, for int8, to calibrate with; ``tolerance`` stands in
    the place of :data:`realnet.export.verify.TOLERANCES`. Returns what was written as ``inspector.json``.

    Raises:
        UserError: for a place that cannot be written, a damaged run, images that cannot be read, and where the export
            disagrees with the run.
    """
    watcher, form = watcher or Watcher(), request.form
    for line in describe_not_used(request.left_out):
        watcher.say(line)
    limit = TOLERANCES[form] if tolerance is None else tolerance
    model, config, record = load_network(run), run.config, run.record
    score, pixel = run.thresholds
    size = config.model.image_size
    split = split_samples(request.good, config) if form == "openvino-int8" else None
    with _whole_folder(output) as place:
        watcher.stage(f"Converting to {form}")
        files = write_graph(place, model, size, form, _calibration(split, config))
        view = keep_reference(place, config.model.view)
        beside = [place / view.reference] if view.reference is not None else []
        manifest = Manifest(
            format=form,
            files=tuple(describe_file(file) for file in (*files, *beside)),
            image_size=size,
            tile=config.model.tile,
            levels=config.data.pair,
            view=view,
            image_score=config.model.image_score,
            discriminator=config.model.discriminator.kind,
            threshold=score,
            pixel_threshold=pixel,
            categories=run.products,
            sizes=run.sizes,
            verification={},
            provenance=_provenance(config, record),
            licence=LICENCE,
        )
        watcher.stage("Verifying")
        exported = program_engine(files[0]) if form == "torch" else open_engine(place, manifest, "cpu")
        verified, said = _verify(model, exported, request, split, config, manifest, limit, record)
        # OpenVINO maps its files into memory, and Windows moves no folder of which a file is open.
        del exported
        manifest = manifest.model_copy(update={"verification": verified})
        write_text(place / INSPECTOR_FILE, manifest.to_json())
        # For drift: the scores of the good images that the threshold rests on.
        if run.calibration is not None:
            save_calibration(place, run.calibration)
        # For a calibration: which images it must not rest on.
        if run.trained_on:
            save_seen(place, sorted(run.trained_on))
    for line in said:
        watcher.say(line)
    return manifest


def _calibration(split: Split | None, config: Config) -> Iterator[np.ndarray]:
    good = split.train if split else ()
    chosen = [good[i] for i in spread(len(good), _CALIBRATION_IMAGES)]
    for image in good_images(chosen, config, _CALIBRATION_IMAGES):
        yield to_batch([image])


def _verify(
    model: RealNet | JoinedNet,
    exported: Engine,
    request: Request,
    split: Split | None,
    config: Config,
    manifest: Manifest,
    limit: float,
    run_record: Record,
) -> tuple[dict[str, Any], list[str]]:
    """What came out, as a record and in sentences; the figures decide for 8 bits, the differences otherwise."""
    reference = torch_engine(model)
    files = [request.shown[number] for number in spread(len(request.shown), _VERIFICATION_IMAGES)]
    shown = images_of(files, None, config, _VERIFICATION_IMAGES, cache=0)
    form = manifest.format
    agreement = compare(reference, exported, shown, manifest.threshold, form, limit)
    record, said = {"images": asdict(agreement)}, [agreement.sentence()]
    if split is None:
        refuse_disagreement(agreement, form)
        return record, said
    found = judge_held_out(reference, exported, split.held_out or split.train, config, manifest.threshold, limit)
    refuse_loss(found)
    record["held_out"] = asdict(found)
    said.append(found.sentence())
    if fingerprint(request.good) != run_record.provenance.get("data_fingerprint"):
        record["held_out"]["note"] = _OTHER_IMAGES
        said.append(_OTHER_IMAGES)
    return record, said


def _provenance(config: Config, record: Record) -> dict[str, Any]:
    packages = {}
    for package in ("onnx", "onnxruntime", "openvino", "nncf"):
        with contextlib.suppress(PackageNotFoundError):
            packages[package] = version(package)
    return collect_provenance(preset=config.preset, seed=config.seed, converters=packages, run=record.provenance)


@contextlib.contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """A folder beside ``output`` that becomes it on success and is removed on failure; UserError where it cannot be."""
    place = output.parent / f".{output.name}.{os.getpid()}.part"
    try:
        place.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"Cannot write {output}: {error.strerror}. Choose a folder that can be written.") from error
    try:
        yield place
        if output.is_dir():
            output.rmdir()  # empty, as was checked
        place.rename(output)
    except OSError as error:
        raise UserError(
            f"Cannot write {output}: {error.strerror or error}. Free some space or choose another folder."
        ) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)
