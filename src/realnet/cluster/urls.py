"""Files wherever fsspec reaches: on this disk, and in object storage by ``s3://...``, ``gs://...`` and the like."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from realnet.atomic import atomic_path
from realnet.data.finding import LeftOut, folder_reason, name_reason, own_output
from realnet.errors import UserError
from realnet.inspection.walking import is_pattern


def is_url(text: str) -> bool:
    """Whether it names another storage than this machine's disks."""
    return "://" in text and not text.startswith("file://")


@contextlib.contextmanager
def _storage(url: str, what: str) -> Iterator[tuple[Any, str]]:
    """fsspec's file system of a path or URL, and the path in it, to do ``what`` with it.

    UserError for a storage that is unknown or not installed, and for what it raises meanwhile: each has exceptions of
    its own.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UserError(f"{url} needs a package that is not installed: {str(error).splitlines()[0]}.") from error
    except ValueError as error:
        raise UserError(f"{url} names a storage that fsspec does not know ({error}).") from error
    try:
        yield system, path
    except FileNotFoundError as error:
        raise UserError(f"Cannot {what} {url}: there is no such file.") from error
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"Cannot {what} {url}: {first.rstrip('.')}.") from error


def join(folder: str, *names: str) -> str:
    """A place in a folder, whichever storage it is in."""
    return "/".join((folder.rstrip("/"), *names))


def find_images(sources: Sequence[str], left_out: list[LeftOut] | None = None) -> list[str]:
    """The images of files, folders and patterns, sorted in each; paths are made absolute; UserError where are none.

    Names decide, as nothing is opened to look for images in a storage that is far away. ``left_out`` is told what is
    left out, and why: formats that are not read, folders of the system, this program's own outputs.
    """
    found: list[str] = []
    for source in sources:
        with _storage(source, "list") as (system, path):
            if system.isdir(path):
                names = _images(system.find(path), path, left_out)
            elif is_pattern(path):
                names = _images(system.glob(path), "", left_out)
            else:
                names = [path] if system.exists(path) else []
        if not names:
            raise UserError(f"{source} does not exist or holds no images; check the spelling and the access to it.")
        found += sorted(str(system.unstrip_protocol(name)).removeprefix("file://") for name in names)
    return found


def _images(names: Sequence[str], folder: str, left_out: list[LeftOut] | None) -> list[str]:
    """Those of ``names`` that are called as images and lie in no folder below ``folder`` that is left out."""
    held: dict[PurePosixPath, set[str]] = defaultdict(set)
    for name in names:
        held[PurePosixPath(name).parent].add(PurePosixPath(name).name)
    outputs = {place: own for place, names_in_it in held.items() if (own := own_output(names_in_it))}
    found = []
    for name in names:
        reason = _reason(PurePosixPath(name), PurePosixPath(folder), outputs)
        if reason is None:
            found.append(name)
        elif reason and left_out is not None:
            left_out.append(LeftOut(name, reason))
    return found


def _reason(path: PurePosixPath, root: PurePosixPath, outputs: dict[PurePosixPath, str]) -> str | None:
    """Why a file is left out; empty where not a word is due, None where it is to be read."""
    if (reason := name_reason(path.name)) == "":
        return reason
    for folder in path.parents:
        if folder == root or folder in root.parents:
            break
        if (outside := folder_reason(folder.name, masks=False)) is not None:
            return outside
        if folder in outputs:
            return outputs[folder]
    return reason


def exists(url: str) -> bool:
    """Whether there is a file; UserError where that cannot be known."""
    with _storage(url, "look for") as (system, path):
        return bool(system.exists(path))


def names_in(folder: str) -> list[str]:
    """Names of the files in a folder; none where there is no folder; UserError where it cannot be listed."""
    with _storage(folder, "list") as (system, path):
        system.invalidate_cache()
        try:
            return [PurePosixPath(name).name for name in system.ls(path, detail=False)]
        except FileNotFoundError:
            return []


def read_bytes(url: str) -> bytes:
    """A file's content; UserError where it cannot be had."""
    with _storage(url, "read") as (system, path):
        return bytes(system.cat_file(path))


def write_whole(url: str, content: bytes) -> None:
    """Write a file that appears whole or not at all, as object storage does anyhow; UserError where it cannot be."""
    if not is_url(url):
        with atomic_path(Path(url.removeprefix("file://"))) as temporary:
            temporary.write_bytes(content)
        return
    with _storage(url, "write") as (system, path):
        system.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        system.pipe_file(path, content)
