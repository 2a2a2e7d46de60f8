"""The versions of a calibration: one takes another's place, all are kept, and an earlier one can be had back."""

from pathlib import Path

from filelock import FileLock

from realnet.calibration import (
    CALIBRATIONS_FOLDER,
    Calibration,
    read_calibration,
    read_version,
    save_calibration,
    version_file,
)
from realnet.card import write_card
from realnet.errors import UserError
from realnet.manifest import is_export, save_thresholds
from realnet.record import METRICS_FILE
from realnet.run_folder import Run

_LOCK = ".calibration.lock"


def install(run: Path, calibration: Calibration) -> Calibration:
    """Make ``calibration`` the one in force of a run or export, as its next version; the model card follows.

    Returns:
        It with its version, and the version before.

    Raises:
        UserError: where the folder cannot be written or holds damaged versions.
    """
    with FileLock(run / _LOCK):
        before = read_calibration(run)
        numbers = [kept.version for kept in list_versions(run)] + ([before.version] if before else [])
        if before is not None:
            save_calibration(run, before)  # of a run whose versions folder was lost
        made = calibration.model_copy(
            update={"version": max(numbers, default=0) + 1, "before": before.version if before else None}
        )
        _put(run, made)
    return made


def undo(run: Path) -> tuple[Calibration, Calibration]:
    """Put the version back in force that the present one took the place of; both stay in ``calibrations/``.

    Returns:
        The version that was in force, and the one that is now.

    Raises:
        UserError: where there is none, or it is lost.
    """
    with FileLock(run / _LOCK):
        now = read_calibration(run)
        if now is None or now.before is None:
            raise UserError(f"{run} has no earlier calibration: nothing is undone.")
        path = version_file(run, now.before)
        if not path.is_file():
            raise UserError(f"{path}, which was in force before, is missing: restore it. Nothing is undone.")
        earlier = read_version(path)
        _put(run, earlier)
    return now, earlier


def list_versions(run: Path) -> list[Calibration]:
    """Every version that is kept, the first one first.

    Raises:
        UserError: where one is damaged.
    """
    return [read_version(path) for path in sorted((run / CALIBRATIONS_FOLDER).glob("[0-9]*.json"))]


def _put(run: Path, calibration: Calibration) -> None:
    save_calibration(run, calibration)
    if is_export(run):
        save_thresholds(run, calibration.score, calibration.pixel)
    elif (run / METRICS_FILE).is_file():
        write_card(Run(run))
