"""``realnet.load``: a trained run or an export, whichever the folder is; torch is imported for a run only."""

from pathlib import Path
from typing import TYPE_CHECKING, Union

from realnet.inspection.exported import ExportedInspector, load_exported
from realnet.inspection.manifest import is_export

if TYPE_CHECKING:
    from realnet.inspection.inspector import Inspector


def load(folder: str | Path, device: str = "auto") -> Union["Inspector", ExportedInspector]:
    """Load a trained run, or what ``realnet export`` made of one, as an inspector.

    Args:
        folder: the ``--output`` folder of ``realnet train`` or ``realnet export``.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; of an export
            also what the program that runs it calls its own.

    Raises:
        UserError: for a folder that is no finished run and no export, or is damaged; for an absent device or package.

    Example:
        >>> from realnet import load  # doctest: +SKIP
        >>> load("runs/bottle").inspect("photo.png").is_anomalous  # doctest: +SKIP
    """
    if is_export(Path(folder)):
        return load_exported(folder, device)
    from realnet.inspection.inspector import load as load_run

    return load_run(folder, device)
