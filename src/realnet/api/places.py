"""Files and folders as a person gives them."""

from collections.abc import Sequence
from pathlib import Path

FilePath = str | Path


def as_path(place: FilePath | None) -> Path | None:
    """``place`` as a path, where there is one."""
    return None if place is None else Path(place)


def as_paths(given: FilePath | Sequence[FilePath]) -> list[Path]:
    """One place, or several, as paths."""
    return [Path(given)] if isinstance(given, str | Path) else [Path(place) for place in given]
