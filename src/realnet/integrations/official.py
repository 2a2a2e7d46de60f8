"""A checkpoint of the RealNet authors' released code (Zhang et al. 2024) saved as a run of ours."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from realnet.atomic import write_text
from realnet.config import Config, SynthesisConfig, TrainingConfig
from realnet.errors import UserError
from realnet.integrations.official_layout import convert, describe
from realnet.model.foreign import load_foreign
from realnet.model.network import RealNet
from realnet.model.saving import METRICS_FILE, save_config, save_model
from realnet.provenance import collect_provenance

PRESET, THRESHOLD, RULE = "imported", 0.5, "imported; not calibrated"

_CARD = """# RealNet inspector, imported

Imported by `realnet import-official` from `{file}`, a checkpoint of the RealNet authors' released code{epoch}.

| | |
|---|---|
| backbone | {backbone} (frozen), image size {size} x {size} |
| reconstruction | {network}, architecture {architecture}, channels {dimensions} |
| residuals | {retention:.1%} of the channels, ranked by {mode} |
| image score | {score} |
| threshold | {threshold}: {rule} |

Load it with `realnet.load("THIS FOLDER").inspect("image.png")` or `realnet inspect THIS_FOLDER IMAGES --output DIR`.

**Limits.** A checkpoint holds no threshold: choose one above the scores of good images before trusting a verdict. The
released code keeps the state that is best on the TEST images (oracle): figures on them flatter it. Images are resized
here by averaging areas, there by Pillow's bilinear filter, so scores differ a little. {assumed}
The weights are the authors' and include the backbone's ImageNet weights; the licences of both apply.
"""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: tensors by their names there, the settings saved beside them (or None), and the epoch."""

    tensors: dict[str, Tensor]
    settings: Any
    epoch: int | None


@dataclass(frozen=True)
class Imported:
    """What was made of a checkpoint; ``assumed`` are sentences on what the file left open."""

    model: RealNet
    config: Config
    epoch: int | None
    assumed: tuple[str, ...]


def read_checkpoint(file: Path) -> Checkpoint:
    """Read a checkpoint, of which nothing is executed: bare tensors by name, or under ``state_dict``.

    Raises:
        UserError: where the file is missing, damaged, would have to be executed, or holds something else.
    """
    if not file.is_file():
        raise UserError(f"There is no checkpoint {file}: check the path.")
    try:
        loaded = load_foreign(file)
    except Exception as error:
        raise UserError(
            f"{file} cannot be read as weights ({error.__class__.__name__}): it is damaged, no torch file, or holds "
            "objects that would have to be executed. Give a checkpoint as the released code saves it."
        ) from error
    around: dict[str, Any] = loaded if isinstance(loaded, dict) and "state_dict" in loaded else {}
    tensors = around.get("state_dict", loaded)
    if (
        not isinstance(tensors, dict)
        or not tensors
        or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in tensors.items())
    ):
        raise UserError(f"{file} holds no table of tensors; give a checkpoint as the released code saves it.")
    epoch = around.get("epoch")
    return Checkpoint(
        {name.removeprefix("module."): tensor.detach() for name, tensor in tensors.items()},
        around.get("arch"),
        epoch if isinstance(epoch, int) else None,
    )


def import_official(
    file: Path, output: Path, image_size: int = 256, mode: str | None = None, image_score: str = "max"
) -> Imported:
    """Save a checkpoint of the released code as the run ``output``, which gives the same anomaly maps.

    A checkpoint has no threshold: the run's are 0.5 and say that they are not calibrated.

    Args:
        file: ``ckpt_best.pth.tar`` or the like.
        output: a new or empty folder.
        image_size: side in pixels that it was trained at.
        mode: how residuals are ranked; None for what the file says, else ``max&mean``.
        image_score: ``max`` as in the paper, or ``pooled16`` as in the released evaluator.

    Raises:
        UserError: for an output folder in use, a file that cannot be read, or another network than the released code
            makes.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} is in use; give --output a new folder.")
    checkpoint = read_checkpoint(file)
    try:
        layout = describe(checkpoint.tensors, checkpoint.settings, image_size, mode, image_score)
        simple = layout.model.reconstruction.network == "simple"
        config = Config(
            preset=PRESET,
            model=layout.model,
            # What it was trained with is not in the file; these are that code's recipes, its images not at hand.
            synthesis=SynthesisConfig(source="dtd", foreground="none") if simple else SynthesisConfig(source="sia"),
            training=TrainingConfig(select="oracle"),
        )
        model = RealNet(config, pretrained=False)
        model.load_state_dict(convert(checkpoint.tensors, layout, model.state_dict()))
    except UserError as error:
        raise UserError(f"{file} cannot be imported: {error}") from error
    imported = Imported(model.eval(), config, checkpoint.epoch, layout.assumed)
    _save(output, imported, file)
    return imported


def _save(output: Path, imported: Imported, file: Path) -> None:
    """Write everything a run consists of, the model last."""
    config, unknown = imported.config, "unknown"
    metrics = {
        "threshold": {"score": THRESHOLD, "pixel": THRESHOLD, "rule": RULE},
        "training": {
            "categories": [],
            "imported_from": file.name,
            "imported_epoch": imported.epoch,
            "good_images": unknown,
            "held_out_images": unknown,
            "steps": unknown,
            "selected_by": config.training.select,
            "planned_steps": unknown,
            "best_step": unknown,
            "seconds": 0.0,
        },
        "provenance": collect_provenance(
            split="train",
            seed=config.seed,
            preset=config.preset,
            image_score=config.model.image_score,
            selection=config.training.select,
        ),
        "test": {},
    }
    save_config(output, config)
    write_text(output / METRICS_FILE, json.dumps(metrics, indent=2))
    write_text(output / "README.md", _card(imported, file))
    save_model(output, imported.model)


def _card(imported: Imported, file: Path) -> str:
    model = imported.config.model
    return _CARD.format(
        file=file.name,
        epoch="" if imported.epoch is None else f", epoch {imported.epoch}",
        backbone=model.backbone.name,
        size=model.image_size,
        network=model.reconstruction.network,
        architecture=model.reconstruction.architecture,
        dimensions=", ".join(map(str, model.afs.dimensions)),
        retention=model.rrs.retention,
        mode=model.rrs.mode,
        score=model.image_score,
        threshold=THRESHOLD,
        rule=RULE,
        assumed=" ".join(imported.assumed),
    )
