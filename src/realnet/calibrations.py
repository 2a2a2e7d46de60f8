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
from realnet.record import METRICS_FILE, read_record, save_record
from realnet.run_folder import Run
from realnet.taught import taught_folder, taught_versions

_LOCK = ".calibration.lock"


def install(run: Path, calibration: Calibration, taught: int | None = None) -> Calibration:
    """Make ``calibration`` the one in force of a run or export, as its next version; the model card follows.

    ``taught`` is the version of what the run was taught that its scores are of; None: the one in force stays. Returns
    it with its version, and the version before. UserError where versions are damaged or cannot be written.
    """
    with FileLock(run / _LOCK):
        before = read_calibration(run)
        numbers = [kept.version for kept in list_versions(run)] + ([before.version] if before else [])
        if before is not None:
            save_calibration(run, before)  # of a run whose versions folder was lost
        made = calibration.model_copy(
            update={
                "version": max(numbers, default=0) + 1,
                "before": before.version if before else None,
                "taught": taught or (before.taught if before else None),
            }
        )
        _put(run, made, before)
    return made


def undo(run: Path) -> tuple[Calibration, Calibration]:
    """Put the version back in force that the present one took the place of; both stay in ``calibrations/``.

    Returns the version that was in force, and the one that is now; UserError where there is none, or it is lost.
    """
    with FileLock(run / _LOCK):
        now = read_calibration(run)
        if now is None or now.before is None:
            raise UserError(f"{run} has no earlier calibration: nothing is undone.")
        path = version_file(run, now.before)
        if not path.is_file():
            raise UserError(f"{path}, which was in force before, is missing: restore it. Nothing is undone.")
        earlier = read_version(path)
        if earlier.taught is not None and taught_folder(run, earlier.taught) not in taught_versions(run):
            raise UserError(f"{taught_folder(run, earlier.taught)}, which {path} rests on, is missing: restore it.")
        _put(run, earlier, now)
    return now, earlier


def list_versions(run: Path) -> list[Calibration]:
    """Every version that is kept, the first one first; UserError where one is damaged."""
    return [read_version(path) for path in sorted((run / CALIBRATIONS_FOLDER).glob("[0-9]*.json"))]


def _put(run: Path, calibration: Calibration, before: Calibration | None) -> None:
    save_calibration(run, calibration)
    if is_export(run):
        save_thresholds(run, calibration.score, calibration.pixel)
    elif (run / METRICS_FILE).is_file():
        was, now = before.taught if before else None, calibration.taught
        if was != now:
            _set_figures_aside(run, str(was or 0), str(now or 0))
        write_card(Run(run))


def _set_figures_aside(run: Path, was: str, now: str) -> None:
    """Figures on test images are those of the version that they were measured with."""
    record = read_record(run)
    aside = {**record.test_of_other_versions, was: record.test}
    test = aside.pop(now, {})
    save_record(run, record.model_copy(update={"test": test, "test_of_other_versions": aside}))
