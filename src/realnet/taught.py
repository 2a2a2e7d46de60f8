"""Good images that joined a finished run: versions of what was fitted, one of which the calibration in force names."""

from pathlib import Path

TAUGHT_FOLDER, SUBSPACES_FILE = "taught", "subspaces.safetensors"


def taught_folder(run: Path, version: int) -> Path:
    """Where a version of what a run was taught is kept."""
    return run / TAUGHT_FOLDER / f"{version:04d}"


def taught_versions(run: Path) -> list[Path]:
    """The folders of all that a run was ever taught, the first one first."""
    found = (folder for folder in (run / TAUGHT_FOLDER).glob("[0-9]*") if folder.name.isdigit())
    return sorted(folder for folder in found if (folder / SUBSPACES_FILE).is_file())


def next_version(run: Path) -> int:
    """The number of the next version; one that was not finished has its number again."""
    versions = taught_versions(run)
    return int(versions[-1].name) + 1 if versions else 1
