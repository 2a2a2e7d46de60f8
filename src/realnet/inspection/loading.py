"""``realnet.load``: a trained run or an export, whichever the folder is; torch is imported for a run only."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Union

from realnet.errors import UserError
from realnet.inspection.exported import ExportedInspector, exported_inspector
from realnet.run_folder import Run

if TYPE_CHECKING:
    from realnet.inspection.inspector import Inspector
    from realnet.model.saving import Backbones


class Sharing:
    """What several inspectors of one process have in common, given to :func:`load` with each: their backbone."""

    @cached_property
    def backbones(self) -> "Backbones":
        """The networks, made with the first run: exports need no torch."""
        from realnet.model.saving import Backbones

        return Backbones()


def load(
    folder: str | Path,
    device: str = "auto",
    sharing: Sharing | None = None,
    say: Callable[[str], None] | None = None,
) -> Union["Inspector", ExportedInspector]:
    """Load a trained run, or what ``realnet export`` made of one, as an inspector.

    Args:
        folder: the ``--output`` folder of ``realnet train`` or ``realnet export``.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; of an export
            also what the program that runs it calls its own.
        sharing: with other inspectors of this process.
        say: told in a line which device judges.

    Raises:
        UserError: for a folder that is no finished run and no export, or is damaged; for an absent device or package.

    Example:
        >>> from realnet import load  # doctest: +SKIP
        >>> load("runs/bottle").inspect("photo.png").is_anomalous  # doctest: +SKIP
    """
    run = Run(Path(folder))
    if not run.folder.is_dir():
        raise UserError(f"There is no run {folder}: give the --output folder of `realnet train`.")
    return load_on(run, device, say, sharing)


def judging_device(name: str, exported: bool, say: Callable[[str], None]) -> str:
    """As :func:`realnet.acceleration.use_device`; of an export, whose program has devices of its own, as given."""
    if exported:
        say(f"Device: {'chosen by the program that runs the export' if name == 'auto' else name}.")
        return name
    from realnet.acceleration import use_device

    return use_device(name, say)


def load_on(
    run: Run, device: str, say: Callable[[str], None] | None, sharing: Sharing | None = None
) -> Union["Inspector", ExportedInspector]:
    """As :func:`load`, once ``say`` was told in a line which device judges; UserError likewise."""
    if say is not None:
        device = judging_device(device, run.is_export, say)
    judge: Inspector | ExportedInspector
    if run.is_export:
        judge = exported_inspector(run, device)
    else:
        from realnet.inspection.inspector import trained_inspector

        judge = trained_inspector(run, device, None if sharing is None else sharing.backbones)
    judge.trained_on, judge.sizes = run.remembered, run.sizes
    return judge
