"""Pictures as files of every usual kind, and what can be done to the bytes of a file."""

import functools
import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 256
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ENCODINGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PNG", ".png", {}),
    ("JPEG", ".jpg", {"quality": 90}),
    ("JPEG", ".jpeg", {"quality": 60, "progressive": True}),
    ("TIFF", ".tif", {}),
    ("TIFF", ".tiff", {"compression": "tiff_lzw"}),
    ("TIFF", ".tif", {"compression": "tiff_adobe_deflate"}),
    ("WEBP", ".webp", {"quality": 80}),
    ("WEBP", ".webp", {"lossless": True}),
    ("BMP", ".bmp", {}),
    ("GIF", ".gif", {}),
)


def seed_images(data: Path, count: int = 8) -> list[Image.Image]:
    """Images of a folder, every so many of them, small; and two drawn ones, whatever the folder holds."""
    found = sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    images = []
    for path in found[:: max(1, len(found) // count)][:count]:
        with Image.open(path) as image:
            images.append(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
    return images + [drawn(np.random.default_rng(number)) for number in range(2)]


def drawn(rng: np.random.Generator, side: int = SIDE) -> Image.Image:
    """A bright square on a dark ground, with some noise."""
    image = np.full((side, side, 3), 40.0)
    edge = side // 5
    image[edge:-edge, edge:-edge] = rng.integers(90, 220, 3)
    return Image.fromarray(np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The contents of a file of that format."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def any_file(rng: np.random.Generator, images: Sequence[Image.Image]) -> tuple[bytes, str]:
    """A good file of any format, and its suffix."""
    kind, suffix, options = ENCODINGS[rng.integers(len(ENCODINGS))]
    return encode(images[rng.integers(len(images))], kind, **options), suffix


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bits are wrong."""
    changed = bytearray(data)
    for position in rng.integers(len(data), size=rng.integers(1, 40)):
        changed[position] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def header_fuzzed(data: bytes, rng: np.random.Generator) -> bytes:
    """Some of the first bytes behind the signature are random, or extreme."""
    changed = bytearray(data)
    for position in rng.integers(4, min(len(data), 160), size=rng.integers(1, 8)):
        changed[position] = int(rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))]))
    return bytes(changed)


def spliced(first: bytes, second: bytes, rng: np.random.Generator) -> bytes:
    """The beginning of one file and the end of another, perhaps of another format."""
    return first[: rng.integers(8, len(first))] + second[rng.integers(len(second)) :]


def inserted(data: bytes, rng: np.random.Generator) -> bytes:
    """Random bytes within, or a piece that comes twice."""
    place = int(rng.integers(len(data)))
    if rng.integers(2):
        return data[:place] + rng.bytes(int(rng.integers(1, 5000))) + data[place:]
    return data[:place] + data[max(0, place - int(rng.integers(1, 5000))) :]


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    """A chunk of a PNG; its ``length`` may be a lie."""
    size = len(data) if length is None else length
    return struct.pack(">I", size) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, pixels: bytes, extra: bytes = b"") -> bytes:
    """A PNG whose header may say what it likes; ``pixels`` are compressed already."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), extra, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@functools.cache
def zeros(count: int) -> bytes:
    """So many zero bytes, compressed."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    packed = b"".join(packer.compress(block[: min(len(block), count - done)]) for done in range(0, count, len(block)))
    return packed + packer.flush()


def tiff(entries: Sequence[tuple[int, int, int, int]], data: bytes = b"", following: int = 0) -> bytes:
    """A TIFF of one directory: ``(tag, type, count, value)``; pixels begin behind it."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", following) + data
