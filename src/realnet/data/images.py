"""Reading image files of any kind, and pictures in memory, into the one form that the package uses."""

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from realnet.data.decoding import (
    MAX_PIXELS,
    Picture,
    decode_file,
    decode_stream,
    header_shape,
    open_header,
    orientation,
    turned,
    turned_array,
)
from realnet.data.levels import Levels, opacity, to_8_bits
from realnet.data.notes import CLEAR, PARTLY, Notes
from realnet.data.tiff import page_of
from realnet.errors import UserError, raise_problems

_FORMATS = "png apng jpg jpeg jpe jfif bmp dib tif tiff webp gif avif jp2 ppm pgm pbm pnm"
_HEIC = " heic heif hif" if find_spec("pillow_heif") is not None else ""
IMAGE_SUFFIXES = frozenset(f".{name}" for name in (_FORMATS + _HEIC).split())
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
# Pillow holds 16-bit greys in mode I, too.
_MODE_I: Levels = (0.0, 65535.0)
_Item = TypeVar("_Item")
_Value = TypeVar("_Value")


def read_image(
    path: str | Path, size: int | None = None, levels: Levels | None = None, notes: Notes | None = None
) -> np.ndarray:
    """The image at ``path`` as uint8 [h, w, 3] RGB, upright by its EXIF orientation.

    Grey becomes three equal channels; transparency is composited on white, unless it hides everything. What has more
    than 8 bits, a sign or floats is scaled by ``levels`` (see `realnet.data.levels.to_8_bits`). Of the pages of a TIFF
    the largest is read, of an animation the first frame. Content decides the format, not the name.

    Args:
        path: PNG, JPEG, BMP, TIFF, WebP, GIF, AVIF, JPEG 2000, PPM and their kin; HEIC with the package pillow-heif.
        size: where given, `resize_image` to [size, size].
        levels: the stored values that become black and white, of a run; None: those that the type has of itself.
        notes: counts what is read differently than a person might expect.

    Raises:
        UserError: where the file is missing, a folder, empty, no image, damaged, not supported, above `MAX_PIXELS` or
            does not fit the levels.
    """
    array = as_rgb(decode_file(Path(path)), str(path), levels, notes)
    return array if size is None else resize_image(array, size)


def decode_image(
    data: bytes, name: str, max_pixels: int = MAX_PIXELS, levels: Levels | None = None, notes: Notes | None = None
) -> np.ndarray:
    """The image in ``data``, the contents of a file, as :func:`read_image` would read it.

    Args:
        name: what errors call it.
        max_pixels: above this it is refused before it is decoded.
        levels, notes: as for :func:`read_image`.

    Raises:
        UserError: where it is empty, no image, damaged, not supported, too large or does not fit the levels.
    """
    if not data:
        raise UserError(f"{name} is empty (0 bytes); send it again.")
    return as_rgb(decode_stream(io.BytesIO(data), name, max_pixels), name, levels, notes)


def stored_values(path: Path) -> np.ndarray:
    """What the file at ``path`` stores, upright, [h, w, c], more than 8 bits as they are; UserError as `read_image`."""
    picture = decode_file(path)
    content = picture.content
    if isinstance(content, Image.Image) or content.dtype in (np.uint8, np.bool_):
        return as_rgb(picture, str(path), None, None)
    return content[..., None] if content.ndim == 2 else content


def image_from_array(array: Any, levels: Levels | None = None) -> np.ndarray:
    """Any picture in memory as uint8 [h, w, 3] RGB, the same that its file would give.

    Args:
        array: a ``PIL.Image``, turned upright by its EXIF orientation, and read from its file where that is open and
            not decoded yet; or an array [h, w], [h, w, 1] (grey), [h, w, 2] (grey, alpha), [h, w, 3] (RGB) or
            [h, w, 4] (RGB, alpha); or a torch tensor of these shapes or with the channels first. bool: True is white;
            uint8 as it is; everything else by `realnet.data.levels.to_8_bits`. Alpha is composited on white, unless
            it is 0 everywhere.
        levels: the values that become black and white, of a run; None: those that the type has of itself.

    Raises:
        UserError: for another shape or type, and for values that are not finite or do not fit the levels.
    """
    name = "The image"
    if isinstance(array, Image.Image):
        data = _own_file(array)
        if data is not None:
            return decode_image(data, getattr(array, "filename", "") or name, levels=levels)
        return as_rgb(_from_pillow(array), name, levels, None)
    values = _from_tensor(array) if hasattr(array, "detach") else np.asarray(array)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or not 1 <= values.shape[2] <= 4 or 0 in values.shape:
        raise UserError(
            f"An image is an array [height, width] or [height, width, channels] with 1 to 4 channels, "
            f"not of shape {list(np.shape(array))}."
        )
    return as_rgb(Picture(values, ""), name, levels, None)


def verify_image(path: Path) -> tuple[int, int]:
    """(height, width) of the upright image; reads the file, and decodes it only where that is cheap.

    A PNG's checksums are verified (an orientation that stands behind its pixels is not seen); a JPEG is
    decoded at an eighth of its size; others are decoded. UserError as `read_image`.
    """
    # Decoders raise nearly anything; what is wrong decoding in full says.
    with contextlib.suppress(Exception), path.open("rb") as stream, open_header(stream, path, MAX_PIXELS) as picture:
        if picture.format in ("PNG", "JPEG", "MPO"):
            late = picture.format == "PNG" and "exif" not in picture.info  # asking would decode all of it
            width, height = picture.size
            turns = not late and orientation(picture) >= 5
            if picture.format == "PNG":
                picture.verify()
            else:
                picture.draft("L", (1, 1))
                picture.load()
            return (width, height) if turns else (height, width)
    return _shape(decode_file(path))


def image_shape(path: str | Path) -> tuple[int, int]:
    """(height, width) of the upright image, decoded only where its header does not say; UserError as `read_image`."""
    return header_shape(Path(path)) or _shape(decode_file(Path(path)))


def _shape(picture: Picture) -> tuple[int, int]:
    content = picture.content
    return (content.height, content.width) if isinstance(content, Image.Image) else (content.shape[0], content.shape[1])


def as_rgb(picture: Picture, name: str, levels: Levels | None, notes: Notes | None) -> np.ndarray:
    """A decoded picture as uint8 [h, w, 3] RGB; arguments and errors as those of :func:`decode_image`."""
    if notes is not None:
        for note in picture.notes:
            notes.add(note, name)
    content = picture.content
    if isinstance(content, Image.Image):
        if content.mode not in _ALPHA_MODES and "transparency" not in content.info:
            return np.array(content if content.mode == "RGB" else content.convert("RGB"))
        values = np.array(content.convert("RGBA"))
    else:
        values = content[..., None] if content.ndim == 2 else content
    try:
        colours = 3 if values.shape[2] >= 3 else 1
        colour = to_8_bits(values[..., :colours], levels, picture.full)
    except UserError as error:
        raise UserError(f"{name} cannot be used: {error}") from error
    if picture.inverted:
        colour = 255 - colour
    if values.shape[2] in (2, 4):
        colour = _on_white(colour, values[..., -1:], levels or picture.full, name, notes)
    return np.ascontiguousarray(colour if colours == 3 else np.repeat(colour, 3, axis=2))


def _on_white(
    colour: np.ndarray, alpha: np.ndarray, levels: Levels | None, name: str, notes: Notes | None
) -> np.ndarray:
    """``colour`` uint8 [h, w, c] composited on white by ``alpha`` [h, w, 1], which may be of another range."""
    if not alpha.any():
        # Some programs leave the fourth byte at 0: a picture that hides everything was not meant.
        if notes is not None:
            notes.add(CLEAR, name)
        return colour
    share = opacity(alpha, levels).astype(np.uint16)
    if notes is not None and share.min() < 255:
        notes.add(PARTLY, name)
    return ((colour * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)


def _own_file(picture: Image.Image) -> bytes | None:
    """The contents of the file that ``picture`` was opened from, as long as nothing of it was decoded or chosen."""
    stream = getattr(picture, "fp", None)
    if not isinstance(picture, ImageFile.ImageFile) or not picture.tile or stream is None or picture.tell():
        return None
    with contextlib.suppress(OSError, ValueError):
        place = stream.tell()
        stream.seek(0)
        data: bytes = stream.read()
        stream.seek(place)
        return data
    return None


def _from_pillow(picture: Image.Image) -> Picture:
    picture.load()
    if not (picture.mode in ("I", "F") or picture.mode.startswith("I;16")):
        return Picture(turned(picture), "")
    values = np.asarray(picture)
    values = turned_array(values.astype(values.dtype.newbyteorder("=")), orientation(picture))
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return Picture(values, "", _MODE_I if picture.mode == "I" else None)
    page = page_of(picture.tag_v2)
    if (page.form, page.bits) == (1, 32):  # Pillow has no type for these
        values = values.view(np.uint32)
    return Picture(values, "", page.full, page.white_is_zero)


def _from_tensor(tensor: Any) -> np.ndarray:
    """A torch tensor, which usually has its channels first, as an array with the channels last."""
    plain = tensor.detach().cpu()
    if str(plain.dtype) == "torch.bfloat16":
        plain = plain.float()
    values = plain.numpy()
    if values.ndim == 3 and values.shape[0] in (1, 2, 3, 4):
        values = np.moveaxis(values, 0, 2)
    return values


def resize_image(array: np.ndarray, size: int) -> np.ndarray:
    """Plain resize to a square: averages areas along what shrinks, then interpolates along what grows.

    Args:
        array: ``[h, w]`` or ``[h, w, 3]``.
        size: side in pixels.
    """
    height, width = array.shape[:2]
    if height > size or width > size:
        array = cv2.resize(array, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    if array.shape[:2] != (size, size):
        array = cv2.resize(array, (size, size), interpolation=cv2.INTER_LINEAR)
    return array


def image_hash(image: np.ndarray) -> str:
    """SHA-256 (hex) of what is seen: the same for every file, upload or array that decodes to the same pixels.

    It is that of the text ``HEIGHTxWIDTH:`` followed by the RGB bytes, line by line.

    Args:
        image: uint8 ``[h, w, 3]`` RGB, upright.
    """
    digest = hashlib.sha256(f"{image.shape[0]}x{image.shape[1]}:".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def image_hashes(files: Sequence[Path], levels: Levels | None) -> list[str]:
    """The :func:`image_hash` of each file: the same for copies under other names and in other lossless formats.

    ``levels`` are the run's, by which results have their hashes, too. UserError, a sentence each (the first 20), for
    files that cannot be read.
    """
    return each_in_threads(lambda file: image_hash(read_image(file, levels=levels)), files)


def each_in_threads(
    look: Callable[[_Item], _Value], items: Iterable[_Item], problems: Sequence[str] = ()
) -> list[_Value]:
    """What ``look`` finds of each item; a `UserError` of ``problems`` and all that it raises, as `raise_problems`."""

    def found_or_wrong(item: _Item) -> tuple[list[_Value], list[str]]:
        try:
            return [look(item)], []
        except UserError as error:
            return [], [str(error)]

    with ThreadPoolExecutor() as pool:
        looked = list(pool.map(found_or_wrong, items))
    raise_problems([*problems, *(sentence for _, wrong in looked for sentence in wrong)])
    return [value for found, _ in looked for value in found]
