"""TIFF: which of its pages is meant, and values of more than 8 bits as they are stored."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import cv2
import numpy as np
from PIL import TiffImagePlugin

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _OFFSETS, _ORIENTATION = 256, 257, 258, 262, 273, 274
_SAMPLES, _LENGTHS, _PLANES, _KIND, _SUBPAGES, _FORMAT = 277, 279, 284, 254, 330, 339
_EXTRA, _TILE_OFFSETS, _TILE_LENGTHS, _DNG = 338, 324, 325, 50706
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _COLOUR_FILTER, _LINEAR_RAW = 0, 1, 2, 32803, 34892
_MASK = 4
_MOST_PAGES = 100_000
_TYPES = {
    (_UNSIGNED, 16): np.uint16, (_UNSIGNED, 32): np.uint32, (_UNSIGNED, 64): np.uint64,
    (_SIGNED, 8): np.int8, (_SIGNED, 16): np.int16, (_SIGNED, 32): np.int32, (_SIGNED, 64): np.int64,
    (_FLOAT, 32): np.float32, (_FLOAT, 64): np.float64,
    # Packed: OpenCV shifts them up to 16 bits.
    (_UNSIGNED, 10): np.uint16, (_UNSIGNED, 12): np.uint16, (_UNSIGNED, 14): np.uint16,
}  # fmt: skip
_PACKED = (10, 12, 14)


@dataclass(frozen=True)
class Page:
    """One picture of a TIFF, and what its tags say of it.

    Attributes:
        number: which page it is, from 0; None for one that lies below another (SubIFD), which nothing here decodes.
        bits: of a value; ``form``: 1 unsigned, 2 signed, 3 float.
        samples: values of a pixel; ``further``: how many of them are neither colours nor alpha; ``photometric``: what
            they mean, ``orientation``: how they lie, as in the standard.
        raw: whether it is what a camera's sensor saw, before there was a picture.
        garbled: whether colours of more than 8 bits lie in planes of their own, which OpenCV and Pillow read wrongly.
        is_mask: whether it only says where another page is transparent.
        end: where its pixels end in the file.
    """

    number: int | None
    width: int
    height: int
    bits: int
    form: int
    samples: int
    further: int
    photometric: int
    orientation: int
    raw: bool
    garbled: bool
    is_mask: bool
    end: int

    @property
    def is_deep(self) -> bool:
        """Whether its values need levels: more than 8 bits, a sign or floats."""
        return self.bits > 8 or self.form in (_SIGNED, _FLOAT)

    @property
    def is_grey(self) -> bool:
        """Whether its pixels are of one colour."""
        return self.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)

    @property
    def white_is_zero(self) -> bool:
        """Whether small values are bright."""
        return self.photometric == _WHITE_IS_ZERO

    @property
    def full(self) -> tuple[float, float] | None:
        """The scale that the file declares: that of packed values. 16 bits often hold 10 or 12, and say nothing."""
        return (0.0, float(2**self.bits - 1)) if self.bits in _PACKED else None


def is_tiff(start: bytes) -> bool:
    """Whether a file that begins with ``start`` (4 bytes) is a TIFF."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_pages(stream: IO[bytes]) -> list[Page]:
    """The pages of a TIFF by their tags; none where they cannot be read."""
    pages: list[Page] = []
    # The parser raises nearly anything on damaged files; the pages before may still serve.
    with contextlib.suppress(Exception):
        stream.seek(0)
        head = stream.read(16)
        directory = TiffImagePlugin.ImageFileDirectory_v2(head if head[2:4] in (b"+\0", b"\0+") else head[:8])
        seen: set[int] = set()
        number, at = 0, directory.next
        while at and at not in seen and len(seen) < _MOST_PAGES:
            seen.add(at)
            stream.seek(at)
            directory.load(stream)
            following, below = directory.next, directory.get(_SUBPAGES, ())
            pages.append(page_of(directory, number))
            for inner in below if isinstance(below, tuple) else (below,):
                stream.seek(int(inner))
                directory.load(stream)
                pages.append(page_of(directory, None))
            number, at = number + 1, following
    return pages


def largest(pages: list[Page]) -> Page:
    """The page of the most pixels, the first where several are as large; a mask only where there is nothing else."""
    return max([page for page in pages if not page.is_mask] or pages, key=lambda page: page.width * page.height)


def page_of(tags: Any, number: int | None = 0) -> Page:
    """What the ``tags`` of a TIFF directory, by number, say of its picture."""
    bits = tags.get(_BITS, (1,))
    forms = tags.get(_FORMAT, (1,))
    photometric = int(tags.get(_PHOTOMETRIC, 1))
    offsets = tags.get(_OFFSETS, tags.get(_TILE_OFFSETS, ()))
    lengths = tags.get(_LENGTHS, tags.get(_TILE_LENGTHS, ()))
    return Page(
        number=number,
        width=int(tags[_WIDTH]),
        height=int(tags[_HEIGHT]),
        bits=max(bits),
        form=max(form if form in (_SIGNED, _FLOAT) else _UNSIGNED for form in forms),
        samples=int(tags.get(_SAMPLES, 1)),
        further=sum(kind == 0 for kind in tags.get(_EXTRA, ())),
        photometric=photometric,
        orientation=int(tags.get(_ORIENTATION, 1)),
        raw=photometric in (_COLOUR_FILTER, _LINEAR_RAW) or _DNG in tags,
        garbled=tags.get(_PLANES, 1) == 2 and int(tags.get(_SAMPLES, 1)) > 1 and max(bits) > 8,
        is_mask=bool(int(tags.get(_KIND, 0)) & _MASK),
        end=max((int(at) + int(length) for at, length in zip(offsets, lengths, strict=False)), default=0),
    )


def unread_kind(page: Page) -> str | None:
    """What a page is that no decoder here reads as it was meant: a raw picture, half floats, odd numbers of bits."""
    if page.raw or page.number is None:
        return "a camera's raw picture" if page.raw else "a TIFF with its picture below another"
    if not page.is_deep:
        return None
    known = (page.form, page.bits) in _TYPES
    if not known or page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or page.samples not in (1, 3, 4):
        return described(page)
    return None


def described(page: Page) -> str:
    """A page of values that are not read, in words."""
    kind = {_FLOAT: "float ", _SIGNED: "signed "}.get(page.form, "")
    return f"a TIFF of {page.samples} {kind}values of {page.bits} bits a pixel"


def read_deep(data: bytes, page: Page) -> np.ndarray | None:
    """The values of a deep page as stored, ``[h, w]`` or ``[h, w, c]``, upright; None: unreadable; OSError: cut off."""
    if page.end > len(data):
        raise OSError("pixels are missing")
    array = decode_quietly(np.frombuffer(data, np.uint8), page.number or 0)
    expected = _TYPES[page.form, page.bits]
    if array is None:
        array = _by_pillow(data, page, expected)
    elif array.dtype != expected or np.atleast_3d(array).shape[2] != page.samples:
        return None
    return array >> (16 - page.bits) if array is not None and page.bits in _PACKED else array


def _by_pillow(data: bytes, page: Page, expected: Any) -> np.ndarray | None:
    """Grey 16 bits and floats in compressions that OpenCV lacks."""
    if expected not in (np.uint16, np.float32) or page.samples != 1 or page.bits in _PACKED:
        return None
    # Decoders raise nearly anything on damaged files.
    with contextlib.suppress(Exception), TiffImagePlugin.TiffImageFile(io.BytesIO(data)) as picture:
        picture.seek(page.number or 0)
        array = np.asarray(picture)
        return array if array.dtype == expected and array.ndim == 2 else None
    return None


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV prints nothing meanwhile."""
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def decode_quietly(buffer: np.ndarray, number: int = 0) -> np.ndarray | None:
    """What OpenCV makes of a file's bytes, RGB or RGBA where there are colours; None where it cannot."""
    array: Any = None
    with contextlib.suppress(Exception), quiet_opencv():  # its own, and those of Python's arguments
        if number == 0:
            array = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
        else:
            _, pages = cv2.imdecodemulti(buffer, cv2.IMREAD_UNCHANGED, range=(number, number + 1))
            array = pages[0] if pages else None
    if array is None or array.ndim == 2:
        return array
    return array[..., [2, 1, 0, 3][: array.shape[2]]] if array.shape[2] in (3, 4) else array
