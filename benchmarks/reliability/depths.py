"""Pictures of more than 8 bits as files, packed by hand, and pictures of formats that nobody reads as such."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from benchmarks.reliability.encoding import encode
from PIL import Image


def packed(values: np.ndarray, bits: int) -> bytes:
    """Rows of unsigned ``values``, the most significant bit first, each row ending on a byte."""
    rows = values.reshape(len(values), -1)
    each = (rows[..., None].astype(np.uint64) >> np.arange(bits - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
    return np.packbits(each.astype(np.uint8).reshape(len(rows), -1), axis=1).tobytes()


def deep_tiff(
    values: np.ndarray,
    bits: int = 0,
    white_is_zero: bool = False,
    order: str = "<",
    orientation: int = 1,
) -> bytes:
    """An uncompressed TIFF of ``values`` ``[h, w]`` or ``[h, w, 3]``, packed to ``bits`` where that is not 0."""
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = packed(values, bits) if bits else values.astype(values.dtype.newbyteorder(order)).tobytes()
    bits = bits or values.dtype.itemsize * 8
    photometric = 2 if samples == 3 else int(not white_is_zero)
    tags = {256: (4, width), 257: (4, height), 258: (3, bits), 259: (3, 1), 262: (3, photometric), 273: (4, 0)}
    tags |= {274: (3, orientation), 277: (3, samples), 278: (4, height), 279: (4, len(data)), 339: (3, kind)}
    behind = 8 + 2 + 12 * len(tags) + 4
    extra = b""
    if samples == 3:  # three equal values do not fit into a tag
        extra = struct.pack(order + "6H", *[bits] * 3, *[kind] * 3)
    tags[273] = (4, behind + len(extra))
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    for tag, (form, value) in sorted(tags.items()):
        if samples == 3 and tag in (258, 339):
            out += struct.pack(order + "HHII", tag, 3, 3, behind + (6 if tag == 339 else 0))
        elif form == 3:
            out += struct.pack(order + "HHIHH", tag, form, 1, value, 0)
        else:
            out += struct.pack(order + "HHII", tag, form, 1, value)
    return out + struct.pack(order + "I", 0) + extra + data


def deep_pnm(values: np.ndarray, white: int) -> bytes:
    """A PGM or PPM whose header says that ``white`` (256 and more) is white."""
    height, width = values.shape[:2]
    head = f"P{5 if values.ndim == 2 else 6}\n# drawn\n{width} {height}\n{white}\n".encode()
    return head + values.astype(">u2").tobytes()


def pages(*pictures: Image.Image) -> bytes:
    """A TIFF with several pages."""
    # Copies: an image keeps options of an earlier JPEG.
    return encode(pictures[0].copy(), "TIFF", save_all=True, append_images=[other.copy() for other in pictures[1:]])


def twelve_bit_jpeg(width: int, height: int) -> bytes:
    """The head of a JPEG of 12 bits, which is enough to know it by."""
    frame = struct.pack(">BHBHHB", 0xC1, 11, 12, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + bytes(100) + b"\xff\xd9"


def _foreign(head: bytes, count: int = 500) -> Callable[[np.random.Generator], bytes]:
    return lambda rng: head + rng.bytes(count)


FOREIGN: dict[str, Callable[[np.random.Generator], bytes]] = {
    "HEIC": _foreign(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
    "JPEG XL": _foreign(b"\xff\x0a"),
    "JPEG XL in a box": _foreign(b"\0\0\0\x0cJXL \r\n\x87\n"),
    "JPEG of 12 bits": lambda rng: twelve_bit_jpeg(64, 64),
    "float16 TIFF": lambda rng: deep_tiff(rng.random((20, 30)).astype(np.float16)),
    "24-bit TIFF": lambda rng: deep_tiff(rng.integers(0, 2**24, (20, 30), dtype=np.uint32), 24),
    "Photoshop": _foreign(b"8BPS\0\1"),
    "OpenEXR": _foreign(b"\x76\x2f\x31\x01"),
    "FITS": _foreign(b"SIMPLE  =                    T"),
    "DICOM": _foreign(bytes(128) + b"DICM"),
    "raw of a camera": _foreign(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"),
    "PDF": _foreign(b"%PDF-1.7\n"),
}
"""Files that are pictures, in formats that are not read."""


def array_of(image: Image.Image) -> np.ndarray:
    """The grey values of a picture, uint8 ``[h, w]``."""
    return np.asarray(image.convert("L"))


def deep_variants() -> dict[str, tuple[Callable[[np.ndarray], bytes], str]]:
    """From a picture of 8 bits to a file of more, by name, with the file's suffix."""

    def up(white: float, dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
        return lambda grey: (grey.astype(np.float64) * white / 255).round().astype(dtype)

    def tif(white: float, dtype: Any, **options: Any) -> tuple[Callable[[np.ndarray], bytes], str]:
        return lambda grey: deep_tiff(up(white, dtype)(grey), **options), ".tif"

    def png(white: float) -> tuple[Callable[[np.ndarray], bytes], str]:
        return lambda grey: encode(Image.fromarray(up(white, np.uint16)(grey)), "PNG"), ".png"

    return {
        "packed 10": tif(1023, np.uint16, bits=10),
        "packed 12": tif(4095, np.uint16, bits=12),
        "packed 12, big end first": tif(4095, np.uint16, bits=12, order=">"),
        "packed 14": tif(16383, np.uint16, bits=14),
        "mono10 in 16": tif(1023, np.uint16),
        "mono12 in 16": tif(4095, np.uint16),
        "mono12 in 16, PNG": png(4095),
        "16 bits": tif(65535, np.uint16, order=">"),
        "16 bits, PNG": png(65535),
        "16 bits, white is zero": (
            lambda grey: deep_tiff(np.uint16(65535) - up(65535, np.uint16)(grey), white_is_zero=True), ".tif"
        ),
        "32 bits": tif(2**20 - 1, np.uint32),
        "signed 16 bits": (lambda grey: deep_tiff(up(2000, np.int16)(grey) - np.int16(1000)), ".tif"),
        "signed 32 bits": (lambda grey: deep_tiff(up(2e6, np.int32)(grey) - np.int32(10**6)), ".tif"),
        "floats to 1": (lambda grey: deep_tiff(grey.astype(np.float32) / 255), ".tif"),
        "floats to 255": (lambda grey: deep_tiff(grey.astype(np.float32)), ".tif"),
        "long floats": (lambda grey: deep_tiff(grey / 255), ".tif"),
        "PGM of 12 bits": (lambda grey: deep_pnm(up(4095, np.uint16)(grey), 4095), ".pgm"),
        "PGM of 16 bits": (lambda grey: deep_pnm(up(65535, np.uint16)(grey), 65535), ".pgm"),
    }  # fmt: skip


def without_its_end(image: Image.Image, count: int) -> bytes:
    """A JPEG that lacks its last ``count`` bytes; the very last two only say that it ends."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=92)
    return stream.getvalue()[:-count]
