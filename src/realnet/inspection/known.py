"""Which good images a run was trained on: a threshold must not rest on them."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from realnet.atomic import write_text
from realnet.data import read_image
from realnet.errors import UserError
from realnet.inspection.trace import image_hash

KNOWN_FILE = "trained_on.json"


def save_known(run: Path, files: Sequence[Path]) -> None:
    """Write ``trained_on.json``: the hash of each image's pixels, and its name.

    Raises:
        UserError: where a file cannot be read, or the folder not be written.
    """
    with ThreadPoolExecutor() as pool:
        hashes = pool.map(lambda file: image_hash(read_image(file)), files)
        known = {found: file.name for found, file in zip(hashes, files, strict=True)}
    write_text(run / KNOWN_FILE, json.dumps(known, indent=1))


def read_known(run: Path) -> dict[str, str]:
    """Names of the images that the run was trained on, by their hashes; empty where the run does not say.

    Raises:
        UserError: where the file is damaged.
    """
    path = run / KNOWN_FILE
    if not path.is_file():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {str(found): str(name) for found, name in known.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged: restore it from the training that made it.") from error
