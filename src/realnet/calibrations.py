"""The versions of a calibration: one takes another's place, all are kept, and an earlier one can be had back."""

import json
from pathlib import Path

from filelock import FileLock

from realnet.atomic import write_text
from realnet.calibration import (
    CALIBRATIONS_FOLDER,
    Calibration,
    read_calibration,
    read_version,
    save_calibration,
    threshold_record,
    version_file,
)
from realnet.errors import UserError
from realnet.inspection.manifest import is_export, save_thresholds
from realnet.taught import taught_folder, taught_versions

_LOCK = ".calibration.lock"
_RECORD, _CARD_LINE = "metrics.json", "| threshold | "


def install(run: Path, calibration: Calibration, taught: int | None = None) -> Calibration:
    """Make ``calibration`` the one in force of a run or export, as its next version; record and card follow.

    Args:
        run: its folder.
        calibration: of any version.
        taught: the version of what the run was taught that its scores are of; None: the one in force stays.

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
        if earlier.taught is not None and taught_folder(run, earlier.taught) not in taught_versions(run):
            raise UserError(f"{taught_folder(run, earlier.taught)}, which {path} rests on, is missing: restore it.")
        _put(run, earlier, now)
    return now, earlier


def list_versions(run: Path) -> list[Calibration]:
    """Every version that is kept, the first one first.

    Raises:
        UserError: where one is damaged.
    """
    return [read_version(path) for path in sorted((run / CALIBRATIONS_FOLDER).glob("[0-9]*.json"))]


def _put(run: Path, calibration: Calibration, before: Calibration | None) -> None:
    save_calibration(run, calibration)
    _follow(run, calibration, before)


def _follow(run: Path, calibration: Calibration, before: Calibration | None) -> None:
    """Name the calibration in an export's manifest, or in ``metrics.json`` and the model card; their rest stays."""
    if is_export(run):
        save_thresholds(run, calibration.score, calibration.pixel)
    if not (run / _RECORD).is_file():
        return
    # Only runs have one, and where there are runs, there is torch, which this imports.
    from realnet.model.saving import load_config, read_metrics
    from realnet.training.card import model_card

    metrics = read_metrics(run)
    metrics["threshold"] = threshold_record(calibration)
    was, now = before.taught if before else None, calibration.taught
    if was != now:
        # Figures on test images are those of the model that they were measured with.
        aside = metrics.setdefault("test_of_other_versions", {})
        aside[str(was or 0)] = metrics.pop("test", {})
        metrics["test"] = aside.pop(str(now or 0), {})
    write_text(run / _RECORD, json.dumps(metrics, indent=2))
    card = run / "README.md"
    if not card.is_file() or "training" not in metrics:
        return
    (line,) = (line for line in model_card(load_config(run), metrics).splitlines() if line.startswith(_CARD_LINE))
    text = card.read_text(encoding="utf-8")
    lines = [line if old.startswith(_CARD_LINE) else old for old in text.splitlines()]
    write_text(card, "\n".join(lines) + "\n")
