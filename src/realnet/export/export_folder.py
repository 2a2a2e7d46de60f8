"""An export as a folder: written beside its place, verified there, and moved in whole."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from realnet.atomic import write_text
from realnet.calibration import read_calibration, save_calibration
from realnet.config import Config
from realnet.data import GoodImages, fingerprint
from realnet.errors import UserError
from realnet.export.formats import write_graph
from realnet.export.request import Images, check_format, check_output
from realnet.export.verify import (
    TOLERANCES,
    compare,
    judge_held_out,
    program_engine,
    refuse_disagreement,
    refuse_loss,
    spread,
    torch_engine,
)
from realnet.inspection.engines import Engine, open_engine
from realnet.inspection.exported import to_batch
from realnet.inspection.inspector import read_thresholds
from realnet.inspection.manifest import INSPECTOR_FILE, ExportFormat, Manifest, describe_file
from realnet.model.network import RealNet
from realnet.model.saving import load_model, read_metrics
from realnet.provenance import collect_provenance
from realnet.seen import SEEN_FILE
from realnet.training.prepare import Split, good_images, split_samples
from realnet.view import keep_reference, view_of

LICENCE = (
    "The weights include those of the backbone, which were trained on ImageNet, and were trained on images of the "
    "product: the licences of both apply to this model, whatever the licence of the software that made it."
)
_CALIBRATION_IMAGES, _VERIFICATION_IMAGES = 128, 32
_OTHER_IMAGES = (
    "These are not the good images that the run was trained on: it may have seen some of what counts as held out here."
)


def export_run(
    run: Path,
    output: Path,
    form: ExportFormat,
    images: Images,
    tolerance: float | None = None,
    stage: Callable[[str], None] = lambda text: None,
) -> tuple[Manifest, list[str]]:
    """Export the trained ``run`` to the folder ``output``, which appears whole or not at all.

    Args:
        run: folder of a finished run.
        output: a folder that is new or empty.
        form: the format.
        images: real images to verify on and, for int8, to calibrate with.
        tolerance: in the place of the format's own in :data:`realnet.export.verify.TOLERANCES`.
        stage: told what happens.

    Returns:
        What was written as ``inspector.json``, and what came out of the verification, a sentence each.

    Raises:
        UserError: for an absent package, a place in use or that cannot be written, a run that is none, images that
            cannot be read, and where the export disagrees with the run.
    """
    check_format(form)
    check_output(output)
    limit = TOLERANCES[form] if tolerance is None else tolerance
    model, config = load_model(run)
    thresholds, metrics = read_thresholds(run), read_metrics(run)
    size = config.model.image_size
    split = _split(images, config) if form == "openvino-int8" else None
    with _whole_folder(output) as place:
        stage(f"Converting to {form}")
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
            threshold=thresholds[0],
            pixel_threshold=thresholds[1],
            categories=tuple(metrics.get("training", {}).get("categories", ())),
            verification={},
            provenance=_provenance(config, metrics),
            licence=LICENCE,
        )
        stage("Verifying")
        exported = program_engine(files[0]) if form == "torch" else open_engine(place, manifest, "cpu")
        record, said = _verify(model, exported, images, split, config, manifest, limit, metrics)
        # OpenVINO maps its files into memory, and Windows moves no folder of which a file is open.
        del exported
        manifest = manifest.model_copy(update={"verification": record})
        write_text(place / INSPECTOR_FILE, manifest.model_dump_json(indent=2))
        # For drift: the scores of the good images that the threshold rests on.
        if (calibration := read_calibration(run)) is not None:
            save_calibration(place, calibration)
        # For a calibration: which images it must not rest on.
        if (run / SEEN_FILE).is_file():
            shutil.copyfile(run / SEEN_FILE, place / SEEN_FILE)
    return manifest, said


def _split(images: Images, config: Config) -> Split:
    return split_samples(images.good, config)


def _calibration(split: Split | None, config: Config) -> Iterator[np.ndarray]:
    chosen = spread(split.train if split else (), _CALIBRATION_IMAGES)
    for image in good_images(chosen, config, _CALIBRATION_IMAGES):
        yield to_batch([image])


def _verify(
    model: RealNet,
    exported: Engine,
    images: Images,
    split: Split | None,
    config: Config,
    manifest: Manifest,
    limit: float,
    metrics: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """What came out, as a record and in sentences; the figures decide for 8 bits, the differences otherwise."""
    reference = torch_engine(model)
    shown = GoodImages(
        spread(images.shown, _VERIFICATION_IMAGES), manifest.image_size, tile=manifest.tile, most=_VERIFICATION_IMAGES,
        levels=manifest.levels, view=view_of(config.model.view),
    )  # fmt: skip
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
    if fingerprint(images.good) != metrics.get("provenance", {}).get("data_fingerprint"):
        record["held_out"]["note"] = _OTHER_IMAGES
        said.append(_OTHER_IMAGES)
    return record, said


def _provenance(config: Config, metrics: dict[str, Any]) -> dict[str, Any]:
    """The run's own provenance, and that of the export."""
    packages = {}
    for package in ("onnx", "onnxruntime", "openvino", "nncf"):
        with contextlib.suppress(PackageNotFoundError):
            packages[package] = version(package)
    return collect_provenance(
        preset=config.preset, seed=config.seed, converters=packages, run=metrics.get("provenance", {})
    )


@contextlib.contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """A folder beside ``output`` that becomes it on success and is removed on failure.

    Raises:
        UserError: where it cannot be written or the disk is full.
    """
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
