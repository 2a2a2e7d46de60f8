"""A checkpoint of the RealNet authors' released code (Zhang et al. 2024) saved as a run of ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from realnet.card import write_card
from realnet.config import Config, SynthesisConfig, TrainingConfig
from realnet.errors import UserError
from realnet.integrations.official_layout import convert, describe
from realnet.model.foreign import read_foreign, tensors_in
from realnet.model.network import RealNet
from realnet.model.saving import save_model
from realnet.provenance import collect_provenance, facts_of
from realnet.record import Imported as ImportedRecord
from realnet.record import Record, save_record
from realnet.run_folder import Run, save_config

PRESET = "imported"


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
    """Read a checkpoint: bare tensors by name, or under ``state_dict``; nothing is executed. UserError for another."""
    if not file.is_file():
        raise UserError(f"There is no checkpoint {file}: check the path.")
    give = "give a checkpoint as the released code saves it"
    loaded = read_foreign(file, give)
    tensors = tensors_in(loaded, file, give)
    around: dict[str, Any] = loaded if "state_dict" in loaded else {}
    epoch = around.get("epoch")
    return Checkpoint(
        {str(name).removeprefix("module."): tensor.detach() for name, tensor in tensors.items()},
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
    config = imported.config
    record = Record(
        imported=ImportedRecord(file=file.name, epoch=imported.epoch, assumed=imported.assumed),
        provenance=collect_provenance(split="train", **facts_of(config)),
    )
    save_config(output, config)
    save_record(output, record)
    write_card(Run(output))
    save_model(output, imported.model)
