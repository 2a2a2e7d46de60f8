"""Reading image and mask files of any kind into the two forms that the package uses."""

import functools
import io
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from realnet.errors import UserError

_FORMATS = "png apng jpg jpeg jpe jfif bmp dib tif tiff webp gif avif jp2 ppm pgm pbm pnm"
IMAGE_SUFFIXES = frozenset(f".{name}" for name in _FORMATS.split())
# What Pillow may try, whatever the name says: others of its formats start programs (EPS) or are no photographs.
_PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "AVIF", "JPEG2000", "PPM")
MAX_PIXELS = 500_000_000
_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_EXIF_ORIENTATION = 0x0112
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS = 256, 257, 258
_TIFF_PLANES = 284
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_opening = threading.Lock()


def read_image(path: str | Path, size: int | None = None) -> np.ndarray:
    """The image at ``path`` as uint8 [h, w, 3] RGB, upright by its EXIF orientation.

    Grey becomes three equal channels; transparency is composited on white; 16-bit values are scaled by the
    full 16-bit range; for float files see `image_from_array`. Of several frames the first is read. Content
    decides the format, not the name.

    Args:
        path: PNG, JPEG, BMP, TIFF, WebP, GIF, AVIF, JPEG 2000, PPM and their kin, and every TIFF that OpenCV reads.
        size: where given, a plain antialiased resize to [size, size] that ignores the aspect ratio. A JPEG at
            least eight times as large is decoded at a reduced scale of no less than 4 x size.

    Raises:
        UserError: where the file is missing, a folder, empty, no image, damaged or above `MAX_PIXELS`.
    """
    path = Path(path)
    picture, _ = _load(path, size)
    try:
        array = image_from_array(picture)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from error
    return array if size is None else resize_image(array, size)


def decode_image(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The image in ``data``, the contents of a file, as :func:`read_image` would read it.

    Args:
        name: what errors call it.
        max_pixels: above this it is refused before it is decoded.

    Raises:
        UserError: where it is empty, no image, damaged or too large.
    """
    if not data:
        raise UserError(f"{name} is empty (0 bytes); send it again.")
    picture, _ = _decode(io.BytesIO(data), name, None, max_pixels)
    try:
        return image_from_array(picture)
    except UserError as error:
        raise UserError(f"{name} cannot be used: {error}") from error


def read_mask(path: str | Path, size: int | None = None) -> np.ndarray:
    """The mask at ``path`` as bool [h, w], True where the value is not zero (a JPEG's: 128 or more).

    A palette counts by its colours, and what is fully transparent is False. ``size``: nearest neighbour to
    [size, size].

    Raises:
        UserError: as `read_image`.
    """
    picture, file_format = _load(Path(path), None)
    if isinstance(picture, Image.Image) and picture.mode not in _GREY_MODES:
        rgba = np.asarray(picture.convert("RGBA"))
        values = rgba[..., :3].max(axis=2) * (rgba[..., 3] > 0)
    else:
        values = np.asarray(picture)
        values = values.max(axis=2) if values.ndim == 3 else values
    # JPEG leaves faint noise around every edge; lossless masks may number their defects 1, 2, 3, ...
    mask = values >= 128 if file_format == "JPEG" else values != 0
    if size is None:
        return mask
    return cv2.resize(mask.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST_EXACT) > 0


def image_from_array(array: Any) -> np.ndarray:
    """Any picture in memory as uint8 [h, w, 3] RGB.

    Args:
        array: a ``PIL.Image`` or an array [h, w], [h, w, 1] (grey), [h, w, 2] (grey, alpha), [h, w, 3] (RGB)
            or [h, w, 4] (RGB, alpha). bool: True is white; uint8; uint16: by the full 16-bit range; other
            integers up to 255 as uint8, up to 65535 as uint16; floats up to 1 as 0..1, else as the integers.
            Alpha is composited on white.

    Raises:
        UserError: for another shape or type, and for values that are negative, not finite or above 65535.
    """
    if isinstance(array, Image.Image):
        converted = _from_pillow(array)
        if converted.dtype == np.uint8 and converted.ndim == 3:
            return converted
        array = converted
    values = np.asarray(array)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or not 1 <= values.shape[2] <= 4 or 0 in values.shape:
        raise UserError(
            f"An image is an array [height, width] or [height, width, channels] with 1 to 4 channels, "
            f"not of shape {list(np.shape(array))}."
        )
    values = _to_uint8(values)
    colour = values[..., :3] if values.shape[2] >= 3 else np.repeat(values[..., :1], 3, axis=2)
    if values.shape[2] in (2, 4):
        opacity = values[..., -1:].astype(np.uint16)
        colour = ((colour * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(colour)


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """The image files among ``paths``: files as given, folders searched to any depth, sorted; each once.

    Hidden files and folders are left out of a search.

    Raises:
        UserError: where a path does not exist or a folder holds no image.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if is_image_file(file, path))
            if not inside:
                raise UserError(f"{path} holds no images; choose a folder with PNG, JPEG, BMP or TIFF files.")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path] = None
        else:
            raise UserError(f"{path} does not exist; check the spelling of the path.")
    return list(found)


def images_in(folder: Path) -> list[Path]:
    """The image files directly in ``folder``, sorted; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if is_image_file(file, folder))


def is_image_file(file: Path, folder: Path) -> bool:
    """Whether ``file`` (somewhere in ``folder``) is named as an image and is not hidden."""
    if file.suffix.lower() not in IMAGE_SUFFIXES:
        return False
    parts = file.relative_to(folder).parts
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts) and file.is_file()


def verify_image(path: Path) -> tuple[int, int]:
    """(width, height) of the upright image; reads the file, and decodes it only where that is cheap.

    A PNG's checksums are verified (an orientation that stands behind its pixels is not seen); a JPEG is
    decoded at an eighth of its size; others are decoded.

    Raises:
        UserError: as `read_image`.
    """
    _refuse_absent(path)
    try:
        with _open_header(path, path, MAX_PIXELS) as picture:
            width, height = picture.size
            late = picture.format == "PNG" and "exif" not in picture.info  # asking would decode all of it
            if not late and _orientation(picture) >= 5:
                width, height = height, width
            if picture.format == "PNG":
                picture.verify()
            else:
                picture.draft("L", (1, 1))
                picture.load()
    except UnidentifiedImageError:
        array, _ = _load(path, None)
        height, width = np.asarray(array).shape[:2]
    except UserError:
        raise
    except Exception as error:
        raise _damaged(path, error) from error
    return width, height


def image_shape(path: str | Path) -> tuple[int, int]:
    """(height, width) of the upright image at ``path``; only where its header does not say is it decoded.

    Raises:
        UserError: as `read_image`.
    """
    path = Path(path)
    _refuse_absent(path)
    try:
        with _open_header(path, path, MAX_PIXELS) as picture:
            width, height = picture.size
            return (width, height) if _orientation(picture) >= 5 else (height, width)
    except UnidentifiedImageError:
        return read_image(path).shape[:2]
    except UserError:
        raise
    except Exception as error:
        raise _damaged(path, error) from error


def _load(path: Path, size: int | None) -> tuple[Image.Image | np.ndarray, str]:
    """The decoded, upright picture and the name of its format (an array where only OpenCV can read it)."""
    _refuse_absent(path)
    try:
        with path.open("rb") as stream:
            return _decode(stream, str(path), size, MAX_PIXELS)
    except OSError as error:
        raise _damaged(path, error) from error


def _decode(stream: IO[bytes], name: str, size: int | None, max_pixels: int) -> tuple[Image.Image | np.ndarray, str]:
    try:
        with _open_header(stream, name, max_pixels) as picture:
            if size is not None and min(picture.size) >= 8 * size:
                picture.draft(None, (4 * size, 4 * size))
            picture.load()
            turn = _UPRIGHT.get(_orientation(picture))
            file_format = "JPEG" if picture.format == "MPO" else picture.format or ""
            return (picture if turn is None else picture.transpose(turn)), file_format
    except UserError:
        raise
    except UnidentifiedImageError as error:
        array = _tiff_by_opencv(stream, name, max_pixels)
        if array is None:
            raise UserError(f"{name} is not an image; remove it or replace it by a PNG, JPEG or TIFF.") from error
        return array, "TIFF"
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise _damaged(name, error) from error


def _refuse_absent(path: Path) -> None:
    try:
        length = path.stat().st_size
    except (OSError, ValueError) as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise UserError(f"{path} {reason}; check the path and its permissions.") from error
    if path.is_dir():
        raise UserError(f"{path} is a folder, not an image; give the file inside it.")
    if length == 0:
        raise UserError(f"{path} is empty (0 bytes); copy it again or remove it.")


def _damaged(name: str | Path, error: Exception) -> UserError:
    if isinstance(error, PermissionError):
        return UserError(f"{name} cannot be read; check its permissions.")
    return UserError(f"{name} is damaged or truncated ({error}); copy it again or remove it.")


def _open_header(source: Path | IO[bytes], name: str | Path, max_pixels: int) -> Image.Image:
    """Open without decoding. Pillow's limit, which warns from 89 megapixels, makes way for ``max_pixels``."""
    with _opening:
        limit = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            picture = Image.open(source, formats=_formats())
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    try:
        _refuse_enormous(name, picture.width, picture.height, max_pixels)
        if isinstance(picture, TiffImagePlugin.TiffImageFile) and picture.tile and picture.tile[0][0] == "raw":
            _refuse_planes(name, picture.tag_v2)
    except UserError:
        picture.close()
        raise
    return picture


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `_PILLOW_FORMATS` that this build of Pillow has."""
    Image.init()
    return tuple(name for name in _PILLOW_FORMATS if name in Image.OPEN)


def _refuse_enormous(name: str | Path, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UserError(
            f"{name} has {width} x {height} pixels ({width * height / 1e6:.0f} megapixels), more than the "
            f"{max_pixels / 1e6:g} that are read; shrink or crop it."
        )


def _refuse_planes(name: str | Path, tags: Any) -> None:
    """Pillow (where uncompressed) and OpenCV read such files wrongly, without an error."""
    if tags.get(_TIFF_PLANES, 1) == 2 and max(tags.get(_TIFF_BITS, (1,))) > 8:
        raise UserError(f"{name} keeps its colours of more than 8 bits in separate planes; save them interleaved.")


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged EXIF does not make the picture useless
        return 1


def _tiff_by_opencv(stream: IO[bytes], name: str, max_pixels: int) -> np.ndarray | None:
    """TIFFs beyond Pillow, such as float RGB; None for everything else."""
    stream.seek(0)
    data = stream.read(16)
    if data[:2] not in (b"II", b"MM"):
        return None
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if 43 in data[2:4] else 8])  # 43 marks BigTIFF
        stream.seek(tags.next)
        tags.load(stream)
        _refuse_enormous(name, int(tags[_TIFF_WIDTH]), int(tags[_TIFF_HEIGHT]), max_pixels)
        _refuse_planes(name, tags)
        stream.seek(0)
        array = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    except UserError:
        raise
    except Exception:  # of either parser, on damaged files
        return None
    if array is None or array.ndim == 2:
        return array
    return array[..., [2, 1, 0, 3][: array.shape[2]]] if array.shape[2] in (3, 4) else array


def _from_pillow(picture: Image.Image) -> np.ndarray:
    """uint8 [h, w, 3], or [h, w] of more than 8 bits."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture)
        # Pillow holds 16-bit greys in mode I, too: its scale is theirs.
        return np.clip(values, 0, 65535).astype(np.uint16) if picture.mode == "I" else values
    if picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(picture.convert("RGB"))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if values.dtype.kind not in "iuf":
        raise UserError(f"An image holds numbers, not values of type {values.dtype}.")
    low, high = float(values.min()), float(values.max())
    tolerance = 1e-3 if values.dtype.kind == "f" else 0.0  # resampling overshoots a little
    if not (low >= -tolerance and high <= 65535):
        raise UserError(f"Its values run from {low:g} to {high:g}; scale them to 0..1, 0..255 or 0..65535.")
    if values.dtype.kind == "f" and high <= 1 + tolerance:
        scaled = values.astype(np.float64) * 255
    else:
        scaled = values / (1 if high <= 255 + tolerance else 257)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


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
