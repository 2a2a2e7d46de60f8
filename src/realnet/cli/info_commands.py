"""``realnet presets`` and ``realnet info``: what there is to train with, and what a run is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from realnet.cli.console import console
from realnet.errors import plural

if TYPE_CHECKING:
    from realnet.config import TrainingConfig
    from realnet.run_folder import Run


def presets() -> None:
    """List the presets of train, and those of sdas train, with what each is made for."""
    from realnet.diffusion.diffusion_presets import diffusion_presets
    from realnet.presets import presets as trained

    table = Table("preset", "backbone", "reconstruction", "defects", "training", title="realnet train --preset")
    for name, config in trained.items():
        model = config.model
        table.add_row(
            name + (" (default)" if name == "lite" else ""),
            model.backbone.name,
            model.reconstruction.network,
            config.synthesis.source,
            _training(config.training),
        )
    console.print(table)
    table = Table("preset", "images", "network", "training", title="realnet sdas train --preset")
    for name, made in diffusion_presets.items():
        net = made.denoiser
        table.add_row(
            name,
            f"{made.size} x {made.size}",
            f"{net.image_size} x {net.image_size}, width {net.width}",
            plural(made.training.steps, "step"),
        )
    console.print(table)


def _training(training: "TrainingConfig") -> str:
    if training.steps == 0:
        return "none: solved, no step is trained"
    length = plural(training.epochs, "epoch") if training.steps is None else plural(training.steps, "step")
    return f"{length}, keeps {'the last state' if training.select == 'last' else 'the best state by validation'}"


def info(run: Annotated[Path, typer.Argument(help="Folder of a trained run, or of an export.")]) -> None:
    """Say what a run or export is: product, preset, threshold and what it promises, and what speaks against it."""
    from realnet.run_folder import open_run_or_export
    from realnet.training.doubts import doubts_of

    opened = open_run_or_export(run)
    lines = _of_export(opened) if opened.is_export else _of_run(opened)
    if opened.calibration is not None:
        lines += [("threshold", sentence) for sentence in opened.calibration.sentences()]
    for member in opened.members:
        if member.calibration is not None and (odd := member.calibration.describe_odd(str(member.folder))):
            lines.append(("look at", f"{member.folder.name}: {odd}"))
    lines += [("doubt", sentence) for sentence in doubts_of(opened)]
    table = Table.grid(padding=(0, 2))
    before = ""
    for name, value in lines:
        table.add_row(name if name != before else "", value)
        before = name
    console.print(table)


def _of_run(run: "Run") -> list[tuple[str, str]]:
    from realnet.record import METRICS_FILE, Record

    # Where its training has not finished, it says nothing of itself yet.
    config, record = run.config, run.record if (run.folder / METRICS_FILE).is_file() else Record()
    lines = [("run", str(run.folder))]
    if not run.is_finished:
        lines.append(("state", "its training has not finished; continue it with the same call and --resume"))
    if record.imported is not None:
        lines.append(("imported", f"from {record.imported.file}"))
    if (training := record.training) is not None:
        held_out = f", {training.held_out_images} more held out" if training.held_out_images else ""
        lines += [
            ("product", ", ".join(training.categories)),
            ("trained on", plural(training.good_images, "good image") + held_out),
            ("training", f"{training.progress}, {training.seconds} s"),
        ]
    if run.taught is not None:
        lines.append(("taught", _taught(run.taught)))
    lines += [
        ("preset", f"{config.preset}, seed {config.seed}, defects {config.synthesis.source}"),
        ("network", f"{config.model.backbone.name}, {config.model.image_size} x {config.model.image_size} pixels"),
    ]
    if hardware := record.provenance.get("hardware"):
        lines.append(("hardware", str(hardware)))
    if (validation := record.validation) is not None:
        lines.append(("validation", f"image AUROC {validation.image_auroc:.3f}: {validation.meaning}"))
    return [*lines, *(("test", f"measured on {name}") for name in record.test)]


def _taught(folder: Path) -> str:
    from realnet.run_folder import LEFT_OUT, read_digests

    said = f"{plural(len(read_digests(folder)), 'further good image')}"
    left_out = len(read_digests(folder, LEFT_OUT))
    return f"{said}; of all good images {left_out} taken out again" if left_out else said


def _of_export(run: "Run") -> list[tuple[str, str]]:
    manifest = run.manifest
    size = sum(file.length for file in manifest.files) / 1e6
    return [
        ("export", str(run.folder)),
        ("format", f"{manifest.format}, {size:.1f} MB, {manifest.image_size} x {manifest.image_size} pixels"),
        ("threshold", f"{manifest.threshold:.4f} of the score, {manifest.pixel_threshold:.4f} of the map"),
    ]
