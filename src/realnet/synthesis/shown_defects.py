"""The first defects that a run was trained on, kept in its folder for whoever wants to see them."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from realnet.atomic import atomic_path
from realnet.errors import UserError
from realnet.synthesis.anomaly import Anomaly, Image

DEFECTS_FILE = "synthetic_defects.npz"


def save_defects(folder: Path, shown: Sequence[tuple[Image, Anomaly]]) -> None:
    """Write good images and the defects made of them, all of one size; UserError where the folder cannot be written."""
    pictures = [np.dstack([good, one.image, one.source, one.mask]) for good, one in shown]
    facts = json.dumps([{"opacity": one.opacity, "kind": one.kind, "origin": one.origin} for _, one in shown])
    with atomic_path(folder / DEFECTS_FILE) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, pictures=np.stack(pictures), facts=np.array(facts))


def read_defects(folder: Path) -> list[tuple[Image, Anomaly]]:
    """What :func:`save_defects` wrote; nothing where it did not. Nothing is unpickled; UserError for a damaged file."""
    path = folder / DEFECTS_FILE
    if not path.is_file():
        return []
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(str(file["facts"]))
            return [
                (p[..., :3], Anomaly(p[..., 3:6], p[..., 9] > 0, p[..., 6:9], **about))
                for p, about in zip(file["pictures"], facts, strict=True)
            ]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged; delete it, and reports show no defects.") from error
