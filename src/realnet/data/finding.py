"""The one look at a folder: every image file below it, and everything that is left out, with the reason."""

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from realnet.data.images import IMAGE_SUFFIXES
from realnet.data.vocabulary import is_called_masks, word_set
from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.files import beginning

OWN_MARK = "RealNet output"
"""Stands near the beginning of every picture that is made to be looked at, so that none is taken for a photograph."""

GENERATED_FOLDER = "SIA"
"""Images generated for the product, which lie beside the data: neither good nor a kind of defect."""

GENERATED, GENERATED_DEFECTS = "generated images (see --source)", "synthetic defects made by RealNet"
OWN_PICTURES = "RealNet's own pictures"
MASKS = "masks, by the folder's name; to inspect it, name the folder itself"
_GENERATED = (GENERATED, GENERATED_DEFECTS)

_MARK_BYTES = 2048
ARCHIVES = word_set(".zip .rar .7z .tar .gz")
# Images that are not read, or drawings of them: somebody meant to give them, so they are counted.
_UNREAD = ARCHIVES | word_set(
    """
    .heic .heif .hif .jxl .jxr .cr2 .cr3 .nef .arw .dng .orf .rw2 .raf .raw .psd .svg .pdf .exr .hdr .eps .tga
    .pcx .ico .xcf .dcm .fits .npy .npz .mp4 .avi .mov
    """
)
_HEIC = frozenset((".heic", ".heif", ".hif"))
# How images begin: PNG, JPEG, GIF, TIFF, BMP, WebP, JPEG 2000.
_BEGINNINGS = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8|II\*\0|MM\0\*|BM.{4}\0{4}|RIFF.{4}WEBP|\0\0\0\x0cjP  ", re.DOTALL
)
_SYSTEM_FOLDERS = word_set("@eadir #recycle $recycle.bin lost+found thumbs thumbnails") | {"system volume information"}

_OVERLAYS = frozenset(("overlays", "heatmaps"))


@dataclass(frozen=True)
class LeftOut:
    """One thing that is not used: where it is, why, and how many images it holds (as far as that is known)."""

    place: str
    reason: str
    count: int = 1


def find_images(root: Path, generated: bool = False) -> tuple[list[Path], list[LeftOut]]:
    """Every image file below ``root``, sorted, and what is left out; arguments as for :func:`walk`."""
    found = list(walk(root, generated=generated, masks=True))
    files = sorted(entry for entry in found if isinstance(entry, Path))
    return files, [entry for entry in found if isinstance(entry, LeftOut)]


def list_images(paths: Iterable[str | Path], left_out: list[LeftOut] | None = None) -> list[Path]:
    """The image files among ``paths``: files as given, folders searched as :func:`find_images` does; each once.

    Images that this program generated count here: whoever names their folder means them. ``left_out`` is told what of
    the folders is left out, and why. UserError where a path does not exist or a folder holds no image.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside, beside = find_images(path, generated=True)
            if not inside:
                raise no_images(path, beside)
            found.update(dict.fromkeys(inside))
            if left_out is not None:
                left_out += beside
        elif path.exists():
            found[path] = None
        else:
            raise UserError(f"{path} does not exist; check the spelling of the path.")
    return list(found)


def no_images(folder: Path, left_out: Sequence[LeftOut], wanted: str = "PNG, JPEG, BMP or TIFF files") -> UserError:
    """What is said of a folder without images: the reason, where something was left out."""
    if left_out and left_out[0].place == ".":
        return UserError(f"{folder} is {left_out[0].reason}; check its permissions.")
    if own := own_output({path.name for path in folder.iterdir()}):
        return UserError(f"{folder} holds {own}, not photographs; choose a folder with {wanted}.")
    why = f" that can be used ({left_out[0].place}: {left_out[0].reason})" if left_out else ""
    return UserError(f"{folder} holds no images{why}; choose a folder with {wanted}.")


def walk(
    root: Path,
    leave_out: Collection[Path] = (),
    generated: bool = False,
    is_own: Callable[[Path], bool] | None = None,
    masks: bool = False,
) -> Iterator[Path | LeftOut]:
    """Every image file below ``root``, by its name, folder after folder; linked folders are followed once, at the end.

    Left out, each with its reason: formats that are not read, images that are not named as such, links that lead
    nowhere, folders without permission or of the system (``@eaDir``), and this program's own outputs (runs, exports,
    results, overlays, contact sheets). Hidden files are passed over. ``root`` itself may be any of these.

    Args:
        leave_out: resolved folders below ``root`` that are passed over without a word.
        generated: whether images and defects that were generated count as images.
        is_own: tells pictures drawn by this program; default: :func:`is_own_picture`.
        masks: whether folders of masks are looked into.
    """
    return _Walk(root, leave_out, generated, is_own or is_own_picture, masks).everything()


class _Walk:
    def __init__(
        self, root: Path, leave_out: Collection[Path], generated: bool, is_own: Callable[[Path], bool], masks: bool
    ) -> None:
        self.root, self.leave_out, self.generated, self.is_own, self.masks = root, leave_out, generated, is_own, masks
        self.seen: set[Path] = set()
        self.links: list[Path] = []

    def everything(self) -> Iterator[Path | LeftOut]:
        home = self.root.resolve()
        yield from self.below(self.root)
        while self.links:  # after all real folders, so that the same folders are found by the same names always
            link = self.links.pop(0)
            target = link.resolve()
            if home == target or home.is_relative_to(target):
                yield LeftOut(self._place(link), "a link that leads back to a folder it lies in")
            elif target in self.seen:
                yield LeftOut(self._place(link), "a link to a folder that is read already")
            elif target not in self.leave_out:
                yield from self.below(link)

    def below(self, folder: Path) -> Iterator[Path | LeftOut]:
        self.seen.add(folder.resolve())
        try:
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            yield LeftOut(self._place(folder), f"a folder that cannot be read ({error.strerror})")
            return
        own = own_output({entry.name for entry in entries})
        if own in _GENERATED and self.generated:
            own = ""
        if own and folder != self.root:
            yield LeftOut(self._place(folder), own, count_images(folder))
            return
        for entry in entries:
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self._inner(path, bool(own))
            elif entry.is_symlink() and path.is_dir():
                self.links.append(path)
            else:
                reason = self._file_reason(path)
                if reason is None:
                    yield path
                elif reason:
                    yield LeftOut(self._place(path), reason)

    def _inner(self, path: Path, in_output: bool) -> Iterator[Path | LeftOut]:
        if self.leave_out and path.resolve() in self.leave_out:
            return
        reason = folder_reason(path.name, in_output, self.masks)
        if reason is None or (reason == GENERATED and self.generated):
            yield from self.below(path)
        elif reason and (count := count_images(path)):
            yield LeftOut(self._place(path), reason, count)

    def _file_reason(self, path: Path) -> str | None:
        """Why a file is left out; empty where it is no image at all, None where it is one to be read."""
        reason = file_reason(path)
        if reason is not None:
            return reason
        if not path.is_file():
            return "links that lead nowhere" if path.is_symlink() else "no regular files"
        return OWN_PICTURES if self.is_own(path) else None

    def _place(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def left_out_folder(folder: Path) -> str | None:
    """Why a walk would leave out ``folder``: by its name or what it holds; as :func:`folder_reason` has it."""
    reason = folder_reason(folder.name, masks=False)
    if reason is not None:
        return reason
    with contextlib.suppress(OSError):
        return own_output({path.name for path in folder.iterdir()}) or None
    return None


def folder_reason(name: str, in_output: bool = False, masks: bool = True) -> str | None:
    """Why a folder ``name``, ``in_output`` of this program, is left out; empty: without a word; None: it is not.

    ``masks``: whether those are wanted.
    """
    plain = name.casefold()
    if plain == "__macosx" or plain.startswith("."):
        return ""
    if plain in _SYSTEM_FOLDERS:
        return "a folder of the system"
    if name == GENERATED_FOLDER:
        return GENERATED
    if plain in _OVERLAYS or (in_output and plain == "masks"):
        return OWN_PICTURES
    return None if masks or not is_called_masks(name) else MASKS


def name_reason(name: str) -> str | None:
    """Why a file called ``name`` is left out; empty where it is no image at all, None where it is named as one."""
    if name.startswith("."):
        return ""
    suffix = PurePath(name).suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return None
    if suffix not in _UNREAD:
        return ""
    how = "unpack them" if suffix in ARCHIVES else "convert them to PNG or JPEG"
    how += f", or {install_hint('heic')}" if suffix in _HEIC else ""
    return f"{suffix.removeprefix('.').upper()} files, which are not read: {how}"


def file_reason(path: Path) -> str | None:
    """As :func:`name_reason`, and a look into files that are not named as images."""
    reason = name_reason(path.name)
    hidden = path.name.startswith(".")
    if reason == "" and not hidden and path.is_file() and _BEGINNINGS.match(beginning(path, 16)):
        return "images whose names do not say so: let them end in .png, .jpg or .tif"
    return reason


def is_own_picture(path: Path) -> bool:
    """Whether this program drew the picture at ``path`` to be looked at; one that cannot be read is none."""
    return path.suffix.lower() in (".png", ".tif", ".tiff") and OWN_MARK.encode() in beginning(path, _MARK_BYTES)


def own_output(names: Collection[str]) -> str:
    """What of this program's a folder with these names in it is; empty: nothing."""
    weights = any(name.endswith(".safetensors") for name in names)
    if "config.yaml" in names and (weights or "metrics.json" in names or "model.json" in names):
        return "a RealNet run"
    if "inspector.json" in names:
        return "a RealNet export"
    if "results.jsonl" in names or "inspect.json" in names:
        return "results of realnet inspect"
    if "synthesis.json" in names:
        return GENERATED_DEFECTS
    return GENERATED if "sia.json" in names else ""


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in ``folder`` that are not hidden, sorted; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != "__MACOSX"
    )


def count_images(folder: Path) -> int:
    """How many files named as images lie below ``folder``."""
    walked = os.walk(folder)
    return sum(Path(name).suffix.lower() in IMAGE_SUFFIXES for _, _, names in walked for name in names)
