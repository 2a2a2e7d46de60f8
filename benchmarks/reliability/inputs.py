"""Malformed and unusual images from a seed, every tenth a good one whose score is known (a sentinel)."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.reliability import depths, encoding
from benchmarks.reliability.encoding import any_file, encode, png, tiff, zeros
from PIL import Image

EVERY = 10  # so many inputs, one sentinel
Images = Sequence[Image.Image]
Maker = Callable[[np.random.Generator, Images], tuple[bytes, str]]


@dataclass(frozen=True)
class Sample:
    """One input.

    Attributes:
        name: of its file; may hold anything a file system allows, as surrogates where it is no UTF-8.
        kind: of what is wrong with it.
        data: the file's contents; None where there is no regular file.
        sentinel: which good image it is; None for all others.
    """

    name: str
    kind: str
    data: bytes | None
    sentinel: int | None = None


def sentinels(images: Images) -> list[bytes]:
    """The good images as files."""
    return [encode(image, "PNG") for image in images]


def samples(count: int, seed: int, images: Images) -> list[Sample]:
    """``count`` inputs: every kind as often as the others, but for sentinels."""
    good, made = sentinels(images), []
    for number in range(count):
        if number % EVERY == EVERY - 1:
            which = number // EVERY % len(good)
            made.append(Sample(f"{number:05}-sentinel.png", "sentinel", good[which], which))
            continue
        turn = number - number // EVERY
        kind, make = list(MAKERS.items())[turn % len(MAKERS)]
        rng = np.random.default_rng((seed, number))
        data, suffix = make(rng, images)
        label = kind.replace(" ", "-").replace(",", "")
        name = f"{number:05}-{label}{suffix}"
        if kind == "odd names":
            name = _NAMES[turn // len(MAKERS) % len(_NAMES)].replace("N", str(number)) + suffix
        made.append(Sample(name, kind, data))
    return made


_NAMES = (
    "N two words ", "N\nnew\nline", "N tab\there", "N ünïcödé 検査 🔩", "N\udcff\udcfe no UTF-8", "-N", "N'quotes\"",
    "N;|&$(x)`", "N,comma", "N" + "x" * 235, "N" + "ü" * 115, "N[brackets]*?", "N%2F..%2F", "N\\back", "N\x1b[31mred",
    "N..", "=N+cmd", "N\u202egnp", "[bold]N[red]",
)  # fmt: skip


def _fuzz(change: Callable[[bytes, np.random.Generator], bytes]) -> Maker:
    def make(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
        data, suffix = any_file(rng, images)
        return change(data, rng), suffix

    return make


def _spliced(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
    first, suffix = any_file(rng, images)
    return encoding.spliced(first, any_file(rng, images)[0], rng), suffix


def _wrong_suffix(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
    return any_file(rng, images)[0], str(rng.choice([".png", ".jpg", ".tif", ".bmp", ".webp", ".jp2", ".avif"]))


def _choice(makers: Sequence[Maker]) -> Maker:
    def make(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
        return makers[rng.integers(len(makers))](rng, images)

    return make


def _fixed(data: Callable[[], bytes], suffix: str = ".png") -> Maker:
    return lambda rng, images: (data(), suffix)


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../../evil.txt", "x")
    return stream.getvalue()


def _of(change: Callable[[Image.Image], Image.Image], kind: str, suffix: str, **options: Any) -> Maker:
    return lambda rng, images: (encode(change(images[rng.integers(len(images))]), kind, **options), suffix)


def _convert(mode: str, kind: str, suffix: str, **options: Any) -> Maker:
    return _of(lambda image: image.convert(mode), kind, suffix, **options)


def _grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L"))


def _floats(change: Callable[[np.ndarray], Any]) -> Maker:
    def altered(image: Image.Image) -> Image.Image:
        values = _grey(image).astype(np.float32) / 255
        change(values)
        return Image.fromarray(values)

    return _of(altered, "TIFF", ".tif")


def _spoil(value: float) -> Callable[[np.ndarray], Any]:
    return lambda values: values.__setitem__((slice(3, 9), slice(3, 9)), value)


def _alpha(image: Image.Image) -> Image.Image:
    changed = image.copy()
    changed.putalpha(Image.linear_gradient("L").resize(image.size))
    return changed


def _animated(kind: str, suffix: str) -> Maker:
    def make(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
        frames = [image.convert("P" if kind == "GIF" else "RGB") for image in images[:3]]
        return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50), suffix

    return make


def _turned(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(0, 10))
    kind, suffix = (("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif"))[rng.integers(4)]
    return encode(images[rng.integers(len(images))], kind, exif=exif), suffix


def _corrupt_exif(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
    exif = (
        b"Exif\0\0" + rng.choice([b"II*\0", b"MM\0*", b"II*\0\x08\0\0\0\xff\xff"]) + rng.bytes(int(rng.integers(200)))
    )
    kind, suffix = (("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"))[rng.integers(3)]
    return encode(images[rng.integers(len(images))], kind, exif=exif), suffix


def _sized(width: int, height: int) -> Maker:
    return _of(lambda image: image.resize((width, height)), "PNG", ".png")


def _square(width: int, height: int, bits: int = 8) -> list[tuple[int, int, int, int]]:
    return [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height % 2**32)]  # fmt: skip


def _gif(width: int, height: int, frame: tuple[int, int]) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00;"


def _bmp(width: int, height: int, bits: int = 24) -> bytes:
    return (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, width, height, 1, bits, 0, 0, 1, 1, 0, 0) + bytes(46)
    )


def _jpeg(width: int, height: int) -> bytes:
    frame = struct.pack(">BHBHHB", 0xC0, 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + bytes(100) + b"\xff\xd9"


def _patched(kind: str, at: bytes, offset: int, value: bytes) -> Maker:
    """A good file in which the bytes behind the first ``at`` say something else."""

    def make(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
        data = bytearray(encode(images[0], kind))
        place = data.find(at) + offset
        data[place : place + len(value)] = value
        return bytes(data), f".{kind.lower()}"

    return make


_BOMBS: tuple[Maker, ...] = (
    _fixed(lambda: png(60_000, 60_000, 8, 2, zeros(1 << 24))),
    _fixed(lambda: png(60_000, 60_000, 1, 0, zeros(1 << 20))),
    _fixed(lambda: png(2**31 - 1, 2**31 - 1, 16, 6, zeros(1000))),
    _fixed(lambda: png(7_000, 7_000, 1, 0, zeros(7_000 * 876))),
    _fixed(lambda: tiff(_square(2**31, 2**31), bytes(100)), ".tif"),
    _fixed(lambda: tiff(_square(100_000, 100_000), bytes(100)), ".tif"),
    _fixed(lambda: _gif(65_535, 65_535, (65_535, 65_535)), ".gif"),
    _fixed(lambda: _gif(64, 64, (65_535, 65_535)), ".gif"),
    _fixed(lambda: _bmp(2**31 - 1, 2**31 - 1), ".bmp"),
    _fixed(lambda: _bmp(30_000, -30_000), ".bmp"),
    _fixed(lambda: _jpeg(65_535, 65_535), ".jpg"),
    _fixed(lambda: png(64, 64, 8, 2, zeros(64 * 193), encoding.chunk(b"zTXt", b"k\0\0" + zeros(1 << 26)))),
    _fixed(lambda: png(64, 64, 8, 2, zeros(64 * 193), encoding.chunk(b"iCCP", b"k\0\0" + zeros(1 << 26)))),
)
_LIES: tuple[Maker, ...] = (
    _fixed(lambda: png(64, 64, 8, 2, zeros(1 << 26))),
    _fixed(lambda: png(4_000, 4_000, 8, 2, zeros(100))),
    _fixed(lambda: png(0, 0, 8, 2, zeros(100))),
    _fixed(lambda: png(64, 64, 7, 9, zeros(100))),
    _fixed(lambda: png(64, 64, 8, 3, zeros(64 * 65))),  # a palette image without a palette
    _fixed(lambda: png(64, 64, 8, 2, zeros(64 * 193), encoding.chunk(b"tEXt", b"x", 2**31 - 1))),
    _fixed(lambda: png(64, 64, 8, 2, zeros(64 * 193), encoding.chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))),
    _fixed(lambda: tiff(_square(64, 64), bytes(300), following=8), ".tif"),  # the directory follows itself
    _fixed(lambda: tiff([(256, 4, 2**30, 8), (257, 4, 2**30, 8)]), ".tif"),
    _fixed(lambda: tiff(_square(64, 64, 32), bytes(10)), ".tif"),
    _fixed(lambda: tiff(_square(0, 0)), ".tif"),
    _fixed(lambda: tiff([(256 + number, 3, 1, 1) for number in range(5_000)]), ".tif"),
    _fixed(lambda: _bmp(64, 64, 99), ".bmp"),
    _fixed(lambda: _bmp(-64, 64), ".bmp"),
    _fixed(lambda: _jpeg(0, 0), ".jpg"),
    _fixed(lambda: _gif(0, 0, (0, 0)), ".gif"),
    _patched("WEBP", b"RIFF", 4, b"\xff\xff\xff\xff"),
    _patched("PNG", b"IHDR", 4, struct.pack(">II", 6_000, 6_000)),
    _patched("BMP", b"BM", 16, struct.pack("<ii", 5_000, 5_000)),
)
_FOREIGN: tuple[Maker, ...] = (
    _fixed(lambda: b"just some text\n"),
    _fixed(lambda: b"<!doctype html><title>404</title><p>Not found" + b"<b>" * 5_000, ".jpg"),
    _fixed(_zip),
    _fixed(lambda: pickle.dumps({"a": [1, 2, 3]})),
    _fixed(lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n%%EOF\n"),
    _fixed(lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    _fixed(lambda: b"P6 99999999 99999999 255\n", ".ppm"),
    _fixed(lambda: b"P3 2 2 255\n1 2 x", ".ppm"),
    _fixed(lambda: b"%PDF-1.7\n", ".webp"),
    _fixed(lambda: bytes(5_000), ".tif"),
    lambda rng, images: (rng.bytes(int(rng.integers(1, 5_000))), ".png"),
    lambda rng, images: (b"\x89PNG\r\n\x1a\n" + rng.bytes(2_000), ".png"),
    lambda rng, images: (b"RIFF\xff\0\0\0WEBPVP8 " + rng.bytes(500), ".webp"),
    lambda rng, images: (b"\0\0\0\x1cftypavif" + rng.bytes(500), ".avif"),
    lambda rng, images: (b"\0\0\0\x0cjP  \r\n\x87\n" + rng.bytes(500), ".jp2"),
)


def _deep(make: Callable[[np.ndarray], bytes], suffix: str) -> Maker:
    return lambda rng, images: (make(_grey(images[rng.integers(len(images))])), suffix)


def _hot_pixel(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
    values = _grey(images[rng.integers(len(images))]).astype(rng.choice(["u2", "u4", "i2", "f4", "f8"]))
    values[tuple(rng.integers(values.shape))] = 30_000
    return depths.deep_tiff(values), ".tif"


def _several_pages(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
    side = int(rng.integers(8, 100))
    made = [images[rng.integers(len(images))].resize((side, side)), images[rng.integers(len(images))]]
    return depths.pages(*(made if rng.integers(2) else made[::-1])), ".tif"


def _clear(image: Image.Image) -> Image.Image:
    changed = image.copy()
    changed.putalpha(0)
    return changed


def _unread(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
    del images
    make = list(depths.FOREIGN.values())[rng.integers(len(depths.FOREIGN))]
    return make(rng), str(rng.choice([".png", ".jpg", ".tif"]))


def _without_its_end(rng: np.random.Generator, images: Images) -> tuple[bytes, str]:
    return depths.without_its_end(images[rng.integers(len(images))], int(rng.integers(1, 9))), ".jpg"


MAKERS: dict[str, Maker] = {
    "more than 8 bits": _choice([_deep(make, suffix) for make, suffix in depths.deep_variants().values()]),
    "hot pixel": _hot_pixel,
    "several pages": _several_pages,
    "alpha 0 everywhere": _choice([_of(_clear, "PNG", ".png"), _of(_clear, "TIFF", ".tif")]),
    "JPEG without its end": _without_its_end,
    "formats that are not read": _unread,
    "bits flipped": _fuzz(encoding.flipped),
    "truncated": _fuzz(lambda data, rng: data[: rng.integers(1, len(data))]),
    "spliced": _spliced,
    "header fuzzed": _fuzz(encoding.header_fuzzed),
    "bytes inserted": _fuzz(encoding.inserted),
    "bomb": _choice(_BOMBS),
    "lies about sizes": _choice(_LIES),
    "0 bytes": _fixed(lambda: b""),
    "no image": _choice(_FOREIGN),
    "wrong suffix": _wrong_suffix,
    "16 bits": _choice(
        [
            _of(lambda image: Image.fromarray(_grey(image).astype(np.uint16) * 257), "PNG", ".png"),
            _of(lambda image: Image.fromarray(_grey(image).astype(np.uint16) * 257), "TIFF", ".tif"),
            _of(lambda image: Image.fromarray(_grey(image).astype(np.int32) * 1000 - 9), "TIFF", ".tif"),
        ]
    ),
    "1 bit": _choice([_convert("1", "PNG", ".png"), _convert("1", "TIFF", ".tif", compression="group4")]),
    "palette and transparency": _choice(
        [
            _convert("P", "PNG", ".png", transparency=0),
            _convert("P", "GIF", ".gif", transparency=3),
            _convert("PA", "TIFF", ".tif"),
            _of(_alpha, "PNG", ".png"),
            _of(_alpha, "WEBP", ".webp"),
            _convert("LA", "PNG", ".png"),
        ]
    ),
    "colour spaces": _choice(
        [
            _convert("CMYK", "JPEG", ".jpg"),
            _convert("CMYK", "TIFF", ".tif"),
            _convert("YCbCr", "TIFF", ".tif"),
            _convert("LAB", "TIFF", ".tif", icc_profile=None),
            _patched("JPEG", b"JFIF", 0, b"XXXX"),
        ]
    ),
    "floats, NaN, infinities": _choice(
        [_floats(lambda values: None), *(_floats(_spoil(value)) for value in (np.nan, np.inf, -np.inf, -5, 1e30))]
    ),
    "animated": _choice([_animated("GIF", ".gif"), _animated("WEBP", ".webp"), _animated("PNG", ".png")]),
    "turned by EXIF": _turned,
    "corrupt EXIF": _corrupt_exif,
    "extreme sizes": _choice([_sized(1, 1), _sized(1, 20_000), _sized(20_000, 1), _sized(2, 3), _sized(3, 2_000)]),
    "odd names": lambda rng, images: (encode(images[rng.integers(len(images))], "PNG"), ".png"),
}


def write_samples(made: Sequence[Sample], folder: Path) -> dict[str, Sample]:
    """Write them into ``folder``, with links that loop, a FIFO and a folder named as images beside.

    Returns:
        The inputs that a row of results is due to, by path.
    """
    folder.mkdir(parents=True)
    due = {}
    for sample in made:
        if sample.data is not None:
            path = folder / sample.name
            path.write_bytes(sample.data)
            due[str(path)] = sample
    (folder / "loop-a.png").symlink_to(folder / "loop-b.png")
    (folder / "loop-b.png").symlink_to(folder / "loop-a.png")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "device.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo.png")
    inner = folder / "folder.png"
    inner.mkdir()
    first = next(sample for sample in made if sample.sentinel is not None)
    assert first.data is not None
    (inner / "inner.png").write_bytes(first.data)
    due[str(inner / "inner.png")] = first
    return due
