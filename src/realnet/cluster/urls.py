"""Files wherever fsspec reaches: on this disk, and in object storage by ``s3://...``, ``gs://...`` and the like."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from realnet.atomic import atomic_path
from realnet.data.images import IMAGE_SUFFIXES
from realnet.errors import UserError

_MAGIC = set("*?[")


def is_url(text: str) -> bool:
    """Whether it names another storage than this machine's disks."""
    return "://" in text and not text.startswith("file://")


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system of a path or URL, and the path in it.

    Raises:
        UserError: for a kind of storage that is unknown, or whose package is missing.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UserError(f"{url} needs a package that is not installed: {str(error).splitlines()[0]}.") from error
    except ValueError as error:
        raise UserError(f"{url} names a storage that fsspec does not know ({error}).") from error


def join(folder: str, *names: str) -> str:
    """A place in a folder, whichever storage it is in."""
    return "/".join((folder.rstrip("/"), *names))


def find_images(sources: Sequence[str]) -> list[str]:
    """The images of files, folders and patterns, sorted in each; paths are made absolute.

    Raises:
        UserError: for what does not exist or holds no image.
    """
    found: list[str] = []
    for source in sources:
        system, path = filesystem(source)
        with _said(f"list {source}"):
            if system.isdir(path):
                names = [name for name in system.find(path) if _is_image(name, path)]
            elif _MAGIC & set(path):
                names = [name for name in system.glob(path) if _is_image(name, "")]
            else:
                names = [path] if system.exists(path) else []
        if not names:
            raise UserError(f"{source} does not exist or holds no images; check the spelling and the access to it.")
        found += sorted(str(system.unstrip_protocol(name)).removeprefix("file://") for name in names)
    return found


def _is_image(name: str, folder: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in PurePosixPath(name.removeprefix(folder)).parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden


def exists(url: str) -> bool:
    """Whether there is a file.

    Raises:
        UserError: where that cannot be known.
    """
    system, path = filesystem(url)
    with _said(f"look for {url}"):
        return bool(system.exists(path))


def names_in(folder: str) -> list[str]:
    """Names of the files in a folder; none where there is no folder.

    Raises:
        UserError: where it cannot be listed.
    """
    system, path = filesystem(folder)
    with _said(f"list {folder}"):
        system.invalidate_cache()
        try:
            return [PurePosixPath(name).name for name in system.ls(path, detail=False)]
        except FileNotFoundError:
            return []


def read_bytes(url: str) -> bytes:
    """A file's content.

    Raises:
        UserError: where it cannot be had.
    """
    system, path = filesystem(url)
    with _said(f"read {url}"):
        return bytes(system.cat_file(path))


def write_whole(url: str, content: bytes) -> None:
    """Write a file that appears whole or not at all: renamed on a disk, while object storage knows no other way.

    Raises:
        UserError: where it cannot be written.
    """
    if not is_url(url):
        with atomic_path(Path(url.removeprefix("file://"))) as temporary:
            temporary.write_bytes(content)
        return
    system, path = filesystem(url)
    with _said(f"write {url}"):
        system.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        system.pipe_file(path, content)


@contextlib.contextmanager
def _said(what: str) -> Iterator[None]:
    """Turn what a storage raises, each its own exceptions, into a sentence: what could not be done, and why."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"Cannot {what}: there is no such file.") from error
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"Cannot {what}: {first.rstrip('.')}.") from error
