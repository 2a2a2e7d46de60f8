"""``realnet presets`` and ``realnet info``: what there is to train with, and what a run is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from realnet.cli.console import console, plural

if TYPE_CHECKING:
    from realnet.config import TrainingConfig


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


def info(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run, or of an export.")],
) -> None:
    """Say what a run or export is: product, preset, threshold and what it promises, and what speaks against it."""
    from realnet.calibration import read_calibration
    from realnet.inspection.manifest import is_export
    from realnet.training.doubts import find_doubts

    lines = _of_export(run) if is_export(run) else _of_run(run)
    calibration = read_calibration(run)
    if calibration is not None:
        lines += [("threshold", sentence) for sentence in calibration.sentences()]
    metrics = _metrics(run)
    lines += [("doubt", sentence) for sentence in find_doubts(metrics)] if metrics.get("validation") else []
    table = Table.grid(padding=(0, 2))
    before = ""
    for name, value in lines:
        table.add_row(name if name != before else "", value)
        before = name
    console.print(table)


def _metrics(run: Path) -> dict[str, Any]:
    from realnet.model.saving import METRICS_FILE, read_metrics

    return read_metrics(run) if (run / METRICS_FILE).is_file() else {}


def _of_run(run: Path) -> list[tuple[str, str]]:
    from realnet.cli.options import check_run
    from realnet.model.saving import MODEL_FILE, load_config

    check_run(run)
    config, metrics = load_config(run), _metrics(run)
    training = metrics.get("training", {})
    lines = [("run", str(run))]
    if not (run / MODEL_FILE).is_file():
        lines.append(("state", "its training has not finished; continue it with the same call and --resume"))
    if training:
        images = training.get("good_images", 0)
        held_out = training.get("held_out_images", 0)
        lines += [
            ("product", ", ".join(training.get("categories", ()))),
            ("trained on", plural(images, "good image") + (f", {held_out} more held out" if held_out else "")),
            ("training", _trained(training)),
        ]
    lines += [
        ("preset", f"{config.preset}, seed {config.seed}, defects {config.synthesis.source}"),
        ("network", f"{config.model.backbone.name}, {config.model.image_size} x {config.model.image_size} pixels"),
    ]
    if hardware := metrics.get("provenance", {}).get("hardware"):
        lines.append(("hardware", str(hardware)))
    if validation := metrics.get("validation"):
        figure = validation.get("image_auroc")
        lines.append(("validation", f"image AUROC {figure:.3f}: {validation.get('meaning')}"))
    lines += [("test", f"measured on {name}") for name in metrics.get("test", {})]
    return lines


def _trained(training: dict[str, Any]) -> str:
    if training.get("planned_steps") == 0:
        return f"solved in {training.get('seconds')} s, no step was trained"
    return (
        f"{training.get('steps')} of {training.get('planned_steps')} planned steps, the state after step "
        f"{training.get('best_step')} kept, {training.get('seconds')} s"
    )


def _of_export(folder: Path) -> list[tuple[str, str]]:
    from realnet.inspection.manifest import read_manifest

    manifest = read_manifest(folder)
    size = sum(file.length for file in manifest.files) / 1e6
    return [
        ("export", str(folder)),
        ("format", f"{manifest.format}, {size:.1f} MB, {manifest.image_size} x {manifest.image_size} pixels"),
        ("threshold", f"{manifest.threshold:.4f} of the score, {manifest.pixel_threshold:.4f} of the map"),
    ]
