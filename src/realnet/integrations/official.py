"""A checkpoint of the RealNet authors' released code (Zhang et al. 2024) saved as a run of ours."""

from pathlib import Path
from typing import Any

from torch import Tensor

from realnet.card import write_card
from realnet.config import Config, SynthesisConfig, TrainingConfig
from realnet.errors import UserError
from realnet.integrations.official_layout import convert, describe
from realnet.model.foreign import read_foreign, tensors_in
from realnet.model.network import RealNet
from realnet.model.saving import save_weights
from realnet.provenance import collect_provenance, facts_of
from realnet.record import Imported, Record, save_record
from realnet.run_folder import MODEL_FILE, Run, save_config

PRESET = "imported"


def read_checkpoint(file: Path) -> tuple[dict[str, Tensor], Any, int | None]:
    """The tensors of a checkpoint by their names there, the settings saved beside them, and the epoch, or None of both.

    The tensors are bare or under ``state_dict``; nothing is executed. UserError for another file.
    """
    if not file.is_file():
        raise UserError(f"There is no checkpoint {file}: check the path.")
    give = "give a checkpoint as the released code saves it"
    loaded = read_foreign(file, give)
    tensors = tensors_in(loaded, file, give)
    around: dict[str, Any] = loaded if "state_dict" in loaded else {}
    epoch = around.get("epoch")
    named = {str(name).removeprefix("module."): tensor.detach() for name, tensor in tensors.items()}
    return named, around.get("arch"), epoch if isinstance(epoch, int) else None


def import_official(
    file: Path, output: Path, image_size: int = 256, mode: str | None = None, image_score: str = "max"
) -> tuple[RealNet, Imported]:
    """Save a checkpoint of the released code as the run ``output``, which gives the same anomaly maps.

    Returns its network, and what its record says of the file. A checkpoint has no threshold: the run's are 0.5 and say
    that they are not calibrated.

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
    tensors, settings, epoch = read_checkpoint(file)
    try:
        layout = describe(tensors, settings, image_size, mode, image_score)
        simple = layout.model.reconstruction.network == "simple"
        config = Config(
            preset=PRESET,
            model=layout.model,
            # What it was trained with is not in the file; these are that code's recipes, its images not at hand.
            synthesis=SynthesisConfig(source="dtd", foreground="none") if simple else SynthesisConfig(source="sia"),
            training=TrainingConfig(select="oracle"),
        )
        model = RealNet(config, pretrained=False)
        model.load_state_dict(convert(tensors, layout, model.state_dict()))
    except UserError as error:
        raise UserError(f"{file} cannot be imported: {error}") from error
    imported = Imported(file=file.name, epoch=epoch, assumed=layout.assumed)
    provenance = collect_provenance(split="train", **facts_of(config))
    save_config(output, config)
    save_record(output, Record(imported=imported, provenance=provenance))
    write_card(Run(output))
    save_weights(output / MODEL_FILE, model)
    return model.eval(), imported
