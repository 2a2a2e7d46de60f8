"""From the bytes of a file to a picture whose values are as stored and upright; content decides the format."""

import contextlib
import functools
import io
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from realnet.data.levels import Levels
from realnet.data.notes import FRAMES, FURTHER, PAGES
from realnet.data.tiff import Page, decode_quietly, described, is_tiff, largest, read_deep, read_pages, unread_kind
from realnet.data.unfilled import BLANK, is_unfilled
from realnet.data.unsupported import foreign_format, is_heic
from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.files import beginning

# What Pillow may try, whatever the name says: others of its formats start programs (EPS) or are no photographs.
_PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "AVIF", "JPEG2000", "PPM")
_ANIMATED = ("PNG", "GIF", "WEBP", "AVIF")
MAX_PIXELS = 500_000_000
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNM = re.compile(rb"P[2356]\s(?:\s*#[^\n]*\n)*\s*(\d+)\s+(?:#[^\n]*\n\s*)*(\d+)\s+(?:#[^\n]*\n\s*)*(\d+)\s")
# What stands in the place of a JPEG's missing end; see `_without_end`.
_ENDS = (b"\xff\xd9", b"\xaa" * 64 + b"\xff\xd9", b"\x55" * 64 + b"\xff\xd9")
# So many bytes tell what a file is, and what of it is unusual.
_START = 4096
_opening = threading.Lock()


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright.

    Attributes:
        content: a Pillow image of 8 bits or fewer, or values as stored, ``[h, w]`` or ``[h, w, 3 or 4]``.
        form: the name of its format, as Pillow calls it.
        full: the values that the file declares as black and white; None where they are of 8 bits or it does not say.
        inverted: whether the small values are the bright ones.
        notes: what of it is read differently than a person might expect; see `realnet.data.notes`.
    """

    content: Image.Image | np.ndarray
    form: str
    full: Levels | None = None
    inverted: bool = False
    notes: tuple[str, ...] = ()


def decode_file(path: Path) -> Picture:
    """The picture in the file ``path``; UserError where it is missing, damaged, too large or none that is read."""
    refuse_absent(path)
    try:
        with path.open("rb") as stream:
            return decode_stream(stream, str(path), MAX_PIXELS)
    except OSError as error:
        raise damaged(path, error) from error


def decode_stream(stream: IO[bytes], name: str, max_pixels: int) -> Picture:
    """The picture in ``stream``, which can be searched; ``name`` is what errors call it; UserError as `decode_file`."""
    try:
        start = stream.read(_START)
        if is_tiff(start) and (pages := read_pages(stream)):
            return _decode_tiff(stream, pages, name, max_pixels)
        stream.seek(0)
        full = _many_bits(start)
        with open_header(stream, name, max_pixels) as picture:
            return _decode_usual(picture, stream, name, full)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        foreign = foreign_format(start)
        if (foreign == "AVIF" and foreign in _formats()) or (foreign == "HEIC" and _add_heic()):
            raise damaged(name, OSError(f"this {foreign} cannot be decoded")) from error
        if foreign is not None:
            raise unsupported(name, foreign, install_hint("heic") if foreign == "HEIC" else "") from error
        raise UserError(f"{name} is not an image; remove it or replace it by a PNG, JPEG or TIFF.") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        if start[:2] == b"\xff\xd8" and (whole := _without_end(stream)) is not None:
            return Picture(turned(whole), "JPEG")
        raise damaged(name, error) from error


def _decode_usual(picture: Image.Image, stream: IO[bytes], name: str, full: tuple[Levels | None] | None) -> Picture:
    """What Pillow reads, or only checks: colours of more than 8 bits it would cut to 8, and scale grey PGM."""
    form = "JPEG" if picture.format == "MPO" else picture.format or ""
    notes = (FRAMES,) if form in _ANIMATED and getattr(picture, "is_animated", False) else ()
    picture.load()
    _refuse_unfilled(stream, name, form, picture)
    if full is None:
        upright = turned(picture)
        content = upright if upright.mode != "I;16" else np.asarray(upright)
        return Picture(content, form, notes=notes)
    stream.seek(0)
    array = decode_quietly(np.frombuffer(stream.read(), np.uint8))
    if array is None or array.dtype != np.uint16:
        raise OSError("its values cannot be decoded")
    return Picture(turned_array(array, orientation(picture)), form, full[0], notes=notes)


def _many_bits(start: bytes) -> tuple[Levels | None] | None:
    """Of PNG and PNM with more than 8 bits a value, the scale that they declare (None: none); of others None."""
    if start[:8] == _PNG:
        return (None,) if start[24:25] == b"\x10" else None
    found = _PNM.match(start)
    white = int(found[3][:9]) if found else 0
    if white <= 255:
        return None
    return (None,) if white >= 65535 else ((0.0, float(white)),)


def is_plain(path: Path) -> bool:
    """Whether a file begins as a picture of 8 bits, one frame and no alpha channel; False where it cannot be read."""
    start = beginning(path, _START)
    if start[:8] == _PNG:
        moves_or_clear = b"acTL" in start or b"tRNS" in start
        return start[24:25] <= b"\x08" and start[25:26] in (b"\0", b"\2") and not moves_or_clear
    return start[:3] == b"\xff\xd8\xff" or (start[:2] == b"BM" and start[28:29] in (b"\x08", b"\x18"))


def reads_alike(path: Path) -> bool:
    """Whether every usual reader, which takes the first page and converts it to RGB, sees what is read here."""
    if not is_plain(path):
        return False
    with contextlib.suppress(OSError), open_header(path, path, MAX_PIXELS) as picture:
        return orientation(picture) == 1
    return True  # whoever reads it says what is wrong


def _decode_tiff(stream: IO[bytes], pages: list[Page], name: str, max_pixels: int) -> Picture:
    page = largest(pages)
    refuse_enormous(name, page.width, page.height, max_pixels)
    if (kind := unread_kind(page)) is not None:
        raise unsupported(name, kind)
    if page.garbled:
        raise UserError(f"{name} keeps its colours of more than 8 bits in separate planes; save them interleaved.")
    several = sum(other.number is not None and not other.is_mask for other in pages) > 1
    notes = tuple(note for note, holds in ((PAGES, several), (FURTHER, page.further)) if holds)
    stream.seek(0)
    if page.is_deep:
        if (values := read_deep(stream.read(), page)) is None:
            raise UserError(
                f"{name} is damaged, or compressed in a way that is not supported: convert it to PNG or plain TIFF."
            )
        _refuse_unfilled(stream, name, "TIFF", values)
        if page.further and values.ndim == 3:
            values = values[..., : page.samples - page.further]
        return Picture(values, "TIFF", page.full, page.white_is_zero, notes)
    try:
        picture = open_header(stream, name, max_pixels)
    except UnidentifiedImageError as error:
        raise unsupported(name, described(page)) from error
    with picture:
        if page.number:
            picture.seek(page.number)
        picture.load()
        _refuse_unfilled(stream, name, "TIFF", picture)
        return Picture(turned(picture), "TIFF", notes=notes)


def _refuse_unfilled(stream: IO[bytes], name: str, form: str, decoded: Image.Image | np.ndarray) -> None:
    if is_unfilled(stream, form, decoded):
        raise damaged(name, OSError("its end is blank: it was copied in part"))


def header_shape(path: Path) -> tuple[int, int] | None:
    """(height, width) of the upright picture by its header; None where decoding is to say it, or what is wrong."""
    with contextlib.suppress(Exception), path.open("rb") as stream:
        if is_tiff(stream.read(4)) and (pages := read_pages(stream)):
            page = largest(pages)
            refuse_enormous(path, page.width, page.height, MAX_PIXELS)
            return (page.width, page.height) if page.orientation >= 5 else (page.height, page.width)
        stream.seek(0)
        with open_header(stream, path, MAX_PIXELS) as picture:
            width, height = picture.size
            return (width, height) if orientation(picture) >= 5 else (height, width)
    return None


def is_grey(path: Path) -> bool:
    """Whether a file stores one value a pixel, by its header; False where that cannot be read."""
    with contextlib.suppress(Exception), path.open("rb") as stream:
        if is_tiff(stream.read(4)) and (pages := read_pages(stream)):
            return largest(pages).is_grey
        stream.seek(0)
        with open_header(stream, path, MAX_PIXELS) as picture:
            return picture.mode in ("1", "L", "LA", "I", "F") or picture.mode.startswith("I;16")
    return False


def refuse_absent(path: Path) -> None:
    """Refuse what is no file with something in it; UserError saying what ``path`` is."""
    try:
        length = path.stat().st_size
    except (OSError, ValueError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise UserError(f"{path} {reason}; check the path and its permissions.") from error
    if path.is_dir():
        raise UserError(f"{path} is a folder, not an image; give the file inside it.")
    if length == 0:
        raise UserError(f"{path} is empty (0 bytes); copy it again or remove it.")


def damaged(name: str | Path, error: Exception) -> UserError:
    """The sentence for a file that cannot be decoded."""
    if isinstance(error, PermissionError):
        return UserError(f"{name} cannot be read; check its permissions.")
    return UserError(f"{name} is damaged or truncated ({error}); copy it again or remove it.")


def unsupported(name: str, what: str, remedy: str = "") -> UserError:
    """The sentence for a picture that is one, but is not read here; ``remedy`` is a call after which it would be."""
    other = f", or call `{remedy}`" if remedy else ""
    return UserError(f"{name} is {what}, which is not supported: convert it to PNG, TIFF or JPEG{other}.")


def open_header(source: Path | IO[bytes], name: str | Path, max_pixels: int) -> Image.Image:
    """Open without decoding. Pillow's limit, which warns from 89 megapixels, makes way for ``max_pixels``.

    UserError for more pixels than that; UnidentifiedImageError where it is of no format that is read.
    """
    formats = _formats()
    if not isinstance(source, Path) and "HEIF" not in formats:
        start = source.read(256)
        source.seek(0)
        if is_heic(start) and _add_heic():
            formats = (*formats, "HEIF")
    with _opening:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            picture = Image.open(source, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    try:
        refuse_enormous(name, picture.width, picture.height, max_pixels)
    except UserError:
        picture.close()
        raise
    return picture


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `_PILLOW_FORMATS` that this build of Pillow has."""
    Image.init()
    return tuple(name for name in _PILLOW_FORMATS if name in Image.OPEN)


@functools.cache
def _add_heic() -> bool:
    """Let Pillow read HEIC by the package pillow-heif; whether that is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def refuse_enormous(name: str | Path, width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture of more than ``max_pixels`` before it is decoded; UserError saying how large it is."""
    if width * height > max_pixels:
        raise UserError(
            f"{name} has {width} x {height} pixels ({width * height / 1e6:.0f} megapixels), more than the "
            f"{max_pixels / 1e6:g} that are read; shrink or crop it."
        )


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where it says none."""
    with contextlib.suppress(Exception):  # damaged EXIF does not make the picture useless
        return int(picture.getexif().get(_ORIENTATION, 1))
    return 1


def turned(picture: Image.Image) -> Image.Image:
    """``picture`` upright by its EXIF orientation."""
    turn = _UPRIGHT.get(orientation(picture))
    return picture if turn is None else picture.transpose(turn)


def turned_array(values: np.ndarray, turn: int) -> np.ndarray:
    """``values`` ``[h, w]`` or ``[h, w, c]`` as EXIF orientation ``turn`` says they are upright."""
    if turn in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        values = values[::-1]
    if turn in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def _without_end(stream: IO[bytes]) -> Image.Image | None:
    """A JPEG that was cut off behind its last pixel; None where pixels are missing.

    The decoder takes whatever comes next for what is missing: where the picture is the same whatever is put there,
    nothing was missing.
    """
    stream.seek(0)
    data = stream.read().rstrip(b"\xff")  # half of the mark that ends it
    if data.endswith(BLANK):  # a progressive one would be the same without its last scans
        return None
    found: list[Any] = []
    for end in _ENDS:
        try:
            with Image.open(io.BytesIO(data + end), formats=("JPEG",)) as picture:
                picture.load()
                found.append(picture)
        except Exception:  # decoders raise nearly anything on damaged files
            return None
    same = all(picture.tobytes() == found[0].tobytes() for picture in found[1:])
    return found[0] if same else None
