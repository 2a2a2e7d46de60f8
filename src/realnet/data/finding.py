"""One look at a folder: every image file below it, and everything that is left out, with the reason."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from realnet.data.images import IMAGE_SUFFIXES
from realnet.data.vocabulary import word_set

OWN_MARK = "RealNet output"
"""Stands near the beginning of every picture that is made to be looked at, so that none is taken for a photograph."""

GENERATED_FOLDER = "SIA"
"""Images generated for the product, which lie beside the data: neither good nor a kind of defect."""

_MARK_BYTES = 2048
# Images that are not read, or drawings of them: somebody meant to give them, so they are counted.
_UNREAD = word_set(
    """
    .heic .heif .hif .jxl .jxr .cr2 .cr3 .nef .arw .dng .orf .rw2 .raf .raw .psd .svg .pdf .exr .hdr .eps .tga
    .pcx .ico .xcf .dcm .fits .npy .npz .mp4 .avi .mov .zip .rar .7z .tar .gz
    """
)
_SYSTEM_FOLDERS = word_set("@eadir #recycle $recycle.bin __macosx lost+found thumbnails") | {
    "system volume information"
}

_OVERLAYS = frozenset(("overlays", "heatmaps"))


@dataclass(frozen=True)
class LeftOut:
    """One thing that is not used: where it is, why, and how many images it holds (as far as that is known)."""

    place: str
    reason: str
    count: int = 1


@dataclass
class Found:
    """What lies below a folder: image files in order, and what is left out."""

    files: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def find_images(root: Path) -> Found:
    """Every image file below ``root``, by its name, sorted; linked folders are followed once.

    Left out, each with its reason: formats that are not read, links that lead nowhere, folders without permission or
    of the system (``@eaDir``), and this program's own outputs (runs, exports, results, overlays, contact sheets).
    """
    found = Found()
    seen: set[Path] = set()
    links: list[Path] = []
    home = root.resolve()
    _walk(root, root, found, seen, links)
    while links:  # after all real folders, so that the same folders are found by the same names always
        link = links.pop(0)
        target = link.resolve()
        name = _place(link, root)
        if home == target or home.is_relative_to(target):
            found.left_out.append(LeftOut(name, "a link that leads back to a folder it lies in"))
        elif target in seen:
            found.left_out.append(LeftOut(name, "a link to a folder that is read already"))
        else:
            _walk(link, root, found, seen, links)
    found.files.sort()
    return found


def _walk(folder: Path, root: Path, found: Found, seen: set[Path], links: list[Path]) -> None:
    seen.add(folder.resolve())
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        found.left_out.append(LeftOut(_place(folder, root), f"a folder that cannot be read ({error.strerror})"))
        return
    names = {entry.name for entry in entries}
    own = _own_output(names)
    if own and folder != root:
        found.left_out.append(LeftOut(_place(folder, root), own, _count(folder)))
        return
    for entry in entries:
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            reason = _folder_reason(path, root, bool(own))
            if reason is None:
                _walk(path, root, found, seen, links)
            elif reason and (count := _count(path)):
                found.left_out.append(LeftOut(_place(path, root), reason, count))
        elif entry.is_symlink() and path.is_dir():
            links.append(path)
        else:
            reason = _file_reason(path)
            if reason is None:
                found.files.append(path)
            elif reason:
                found.left_out.append(LeftOut(_place(path, root), reason))


def _folder_reason(path: Path, root: Path, in_output: bool) -> str | None:
    """Why a folder is left out; empty where not a word is due, None where it is not."""
    name = path.name.casefold()
    if name in _SYSTEM_FOLDERS or name.startswith("."):
        return "a folder of the system" if name.startswith(("@", "#", "$")) else ""
    if path.name == GENERATED_FOLDER:
        return "generated images (see --source)"
    if name in _OVERLAYS or (in_output and name == "masks"):
        return "RealNet's own pictures"
    return None


def _file_reason(path: Path) -> str | None:
    """Why a file is left out; empty where it is no image at all, None where it is one to be read."""
    if path.name.startswith("."):
        return ""
    suffix = path.suffix.lower()
    if suffix in _UNREAD:
        return f"{suffix.removeprefix('.').upper()} files, which are not read: convert them to PNG or JPEG"
    if suffix not in IMAGE_SUFFIXES:
        return ""
    if not path.is_file():
        return "links that lead nowhere" if path.is_symlink() else "no regular files"
    return "RealNet's own pictures" if is_own_picture(path) else None


def is_own_picture(path: Path) -> bool:
    """Whether this program drew the picture at ``path`` to be looked at; one that cannot be read is none."""
    if path.suffix.lower() not in (".png", ".tif", ".tiff"):
        return False
    try:
        with path.open("rb") as stream:
            return OWN_MARK.encode() in stream.read(_MARK_BYTES)
    except OSError:
        return False


def _own_output(names: set[str]) -> str:
    """What of this program's a folder with these names in it is; empty: nothing."""
    if "config.yaml" in names and ({"metrics.json", "model.json"} & names or _any(names, ".safetensors")):
        return "a RealNet run"
    if "inspector.json" in names:
        return "a RealNet export"
    if "results.jsonl" in names or "inspect.json" in names:
        return "results of realnet inspect"
    if "synthesis.json" in names:
        return "synthetic defects made by RealNet"
    return "generated images (see --source)" if "sia.json" in names else ""


def _any(names: Iterable[str], suffix: str) -> bool:
    return any(name.endswith(suffix) for name in names)


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in ``folder`` that are not hidden, sorted; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != "__MACOSX"
    )


def _count(folder: Path) -> int:
    """How many files named as images lie below ``folder``."""
    walked = os.walk(folder)
    return sum(Path(name).suffix.lower() in IMAGE_SUFFIXES for _, _, names in walked for name in names)


def _place(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
