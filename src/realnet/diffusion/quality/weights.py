"""Weight files of the published feature networks: given, already in torch's cache, or fetched where that is asked."""

import re
from pathlib import Path

import torch
from torch import Tensor

from realnet.errors import UserError
from realnet.files import file_sha256
from realnet.model.foreign import read_foreign, tensors_in


def find_weights(given: Path | None, url: str, what: str, download: bool) -> Path | None:
    """The file to read ``what`` from, a network's name for the user; None where there is none and none is fetched.

    ``url`` is where it is published, its name ending in the first digits of its SHA-256, which a download into torch's
    cache must match. UserError for a given file that does not exist, or a download that fails.
    """
    if given is not None:
        if not given.is_file():
            raise UserError(f"There is no weight file {given} for {what}; check the path.")
        return given
    name = url.rpartition("/")[2]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    if cached.is_file():
        return cached
    if not download:
        return None
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(cached), hash_prefix=_digits(url), progress=False)
    except Exception as error:  # http.client, urllib, ssl and the hash check raise what they like
        raise UserError(
            f"{what} could not be downloaded from {url} ({error.__class__.__name__}); check the connection, or fetch "
            f"{name} elsewhere and give it as a local file."
        ) from error
    return cached


def read_weights(path: Path, what: str) -> dict[str, Tensor]:
    """The tensors in a torch file by name; nothing in it is executed; UserError for anything else."""
    loaded = read_foreign(path, "give the published .pth file", f"weights of {what}")
    return tensors_in(loaded, path, f"give the published .pth file of {what}", ())


def describe_weights(path: Path, url: str, what: str) -> tuple[str, str | None]:
    """``what`` with the file's name and SHA-256, and a warning where it is not the published file."""
    digest = file_sha256(path)
    words = f"{what} ({path.name}, sha256 {digest[:12]})"
    if digest.startswith(_digits(url)):
        return words, None
    return words, f"{path.name} is not the published file of {what}: its figures compare with no published ones."


def _digits(url: str) -> str:
    """``6726825d`` of ``.../weights-inception-2015-12-05-6726825d.pth``."""
    match = re.search(r"-([0-9a-f]{8,})\.[a-z]+$", url)
    if match is None:
        raise ValueError(f"{url} does not name the digits of its hash")
    return match[1]
