"""Pages, alpha, JPEG without its end, formats that are not read; and one way to shrink."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from benchmarks.reliability.depths import FOREIGN, deep_tiff, pages, without_its_end
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realnet.data import (
    GoodImages,
    Notes,
    decode_image,
    image_from_array,
    list_images,
    read_image,
    resize_image,
    survey,
)
from realnet.data.images import image_shape, verify_image
from realnet.errors import UserError


def drawn(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_the_largest_page_is_read_and_that_is_said(tmp_path: Path, place: int, mode: str) -> None:
    made = [drawn(40, 30, 1), drawn(60, 40, 2), drawn(20, 10, 3)]
    made.insert(place, made.pop(1))
    if mode == "I;16":
        made = [Image.fromarray(np.asarray(page.convert("L")).astype(np.uint16) * 257) for page in made]
    else:
        made = [page.convert(mode) for page in made]
    path = tmp_path / "pages.tif"
    path.write_bytes(pages(*made))
    notes = Notes()
    expected = image_from_array(np.asarray(made[place]))
    assert np.array_equal(read_image(path, notes=notes), expected)
    assert notes.sentences() == [f"{path} holds several pages: the largest is read."]
    assert np.array_equal(decode_image(path.read_bytes(), "x"), expected)
    assert np.array_equal(image_from_array(Image.open(path)), expected)
    assert verify_image(path) == (40, 60)
    assert image_shape(path) == (40, 60)
    assert notes.sentences()[0] in survey([path]).sentences


def test_of_pages_as_large_the_first(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    path.write_bytes(pages(drawn(40, 30, 1), drawn(40, 30, 2)))
    assert np.array_equal(read_image(path), np.asarray(drawn(40, 30, 1)))


def test_notes_count() -> None:
    notes = Notes()
    for number in range(3):
        notes.add("clear", f"{number}.png")
    notes.add("frames", "film.gif")
    assert notes.sentences() == [
        "film.gif is an animation: its first frame is read.",
        "3 images have alpha channels that are 0 everywhere: they are not applied (such as 0.png).",
    ]


def test_an_animation_is_said(tmp_path: Path) -> None:
    for form in ("gif", "webp", "png"):
        drawn(20, 10).save(tmp_path / f"a.{form}", save_all=True, append_images=[drawn(20, 10, 1)])
        assert survey([tmp_path / f"a.{form}"]).sentences == (
            f"{tmp_path / f'a.{form}'} is an animation: its first frame is read.",
        )


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_that_is_0_everywhere_is_no_transparency(tmp_path: Path, suffix: str, mode: str) -> None:
    plain = drawn(40, 30).convert(mode[:-1])
    clear = plain.convert(mode)
    clear.putalpha(0)
    path = tmp_path / f"clear.{suffix}"
    clear.save(path, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    notes = Notes()
    expected = np.asarray(plain.convert("RGB"))
    assert np.array_equal(read_image(path, notes=notes), expected)
    assert len(notes.sentences()) == 1
    assert "0 everywhere" in notes.sentences()[0]
    assert np.array_equal(image_from_array(clear), expected)
    assert np.array_equal(image_from_array(np.asarray(clear)), expected)
    clear.putpixel((0, 0), (*plain.convert("RGB").getpixel((0, 0))[: len(mode) - 1], 255))  # type: ignore[index]
    shown = image_from_array(clear)
    assert (shown[1:, 1:] == 255).all()
    assert np.array_equal(shown[0, 0], expected[0, 0])


def test_what_is_put_on_white_is_said(tmp_path: Path) -> None:
    half = drawn(20, 10).convert("RGBA")
    half.paste((0, 0, 0, 0), (0, 0, 10, 10))
    half.save(tmp_path / "half.png")
    whole = drawn(20, 10).convert("RGBA")
    whole.save(tmp_path / "whole.png")
    drawn(20, 10).convert("L").point(lambda value: max(value, 9)).save(tmp_path / "no_grey_7.png", transparency=7)
    flat = Image.new("L", (20, 10), 7)
    flat.paste(200, (0, 0, 5, 5))
    flat.save(tmp_path / "grey.png", transparency=7)
    (said,) = survey([tmp_path / name for name in ("half.png", "whole.png", "no_grey_7.png", "grey.png")]).sentences
    assert said.startswith("2 images are transparent in part: that is put on white (such as ")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_further_channels_are_neither_colours_nor_alpha(tmp_path: Path, kind: Any) -> None:
    tifffile = pytest.importorskip("tifffile")
    colours = np.asarray(drawn(40, 30)).astype(kind) * kind(np.iinfo(kind).max // 255)
    infrared = np.full((30, 40, 1), 9, kind)
    path, notes = tmp_path / "four.tif", Notes()
    tifffile.imwrite(path, np.dstack([colours, infrared]), photometric="rgb", extrasamples=["unspecified"])
    assert np.array_equal(read_image(path, notes=notes), np.asarray(drawn(40, 30)))
    assert notes.sentences() == [f"{path} holds further channels beside its colours: they are not read."]


def test_a_tiff_of_many_greys_is_called_one(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "bands.tif"
    tifffile.imwrite(path, np.asarray(drawn(40, 30)), photometric="minisblack", planarconfig="contig")
    with pytest.raises(UserError, match="a TIFF of 3 values of 8 bits a pixel, which is not supported"):
        read_image(path)


def test_alpha_of_16_bits(tmp_path: Path) -> None:
    colours = np.asarray(drawn(40, 30)).astype(np.uint16) * 257
    for value in (0, 65535):
        assert cv2.imwrite(
            str(tmp_path / "a.png"), np.dstack([colours[..., ::-1], np.full((30, 40), value, np.uint16)])
        )
        assert np.array_equal(read_image(tmp_path / "a.png"), np.asarray(drawn(40, 30)))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2), st.integers(0, 1000), st.booleans(), st.sampled_from([(48, 48), (47, 33), (16, 8), (200, 9)]))
def test_jpeg_without_its_last_bytes_but_with_all_pixels(
    count: int, seed: int, grey: bool, size: tuple[int, int]
) -> None:
    image = drawn(*size, seed).convert("L" if grey else "RGB")
    cut = without_its_end(image, count)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=92)
    assert np.array_equal(decode_image(cut, "x"), decode_image(stream.getvalue(), "x"))


@settings(max_examples=40, deadline=None)
@given(st.integers(6, 600), st.integers(0, 1000))
def test_jpeg_without_pixels_is_damaged(count: int, seed: int) -> None:
    cut = without_its_end(drawn(64, 48, seed), count)
    with pytest.raises(UserError, match="x is damaged or truncated"):
        decode_image(cut, "x")


def test_jpeg_without_its_end_passes_the_check(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(without_its_end(drawn(64, 48), 2))
    assert verify_image(path) == (48, 64)
    path.write_bytes(without_its_end(drawn(64, 48), 200))
    with pytest.raises(UserError, match="damaged or truncated"):
        verify_image(path)


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_picture_that_is_not_read_is_called_by_its_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(FOREIGN[kind](np.random.default_rng(0)))
    for read in (read_image, verify_image):
        with pytest.raises(UserError) as refused:
            read(path)
        if kind == "HEIC" and find_spec("pillow_heif"):
            assert "damaged" in str(refused.value)  # it is read, and this one is none
        else:
            assert "not supported: convert it" in str(refused.value)
        assert "not an image" not in str(refused.value)


def test_heic_is_read_by_its_package(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "photo.heic"
    grey = drawn(64, 48).convert("L").convert("RGB")
    heif.from_pillow(grey).save(path, quality=-1)
    assert np.abs(read_image(path).astype(int) - np.asarray(grey)).mean() < 3
    assert list_images([tmp_path]) == [path]
    assert verify_image(path) == (48, 64)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pillow_images_are_turned_like_files(tmp_path: Path, form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{form.lower()}"
    drawn(40, 30).save(path, form, exif=exif)
    expected = read_image(path)
    assert expected.shape == ((40, 30, 3) if orientation >= 5 else (30, 40, 3))
    with Image.open(path) as opened:
        assert np.array_equal(image_from_array(opened), expected)
        opened.load()
        assert np.array_equal(image_from_array(opened), expected)
        assert np.array_equal(image_from_array(opened.convert("RGB")), expected)
        if form != "TIFF":  # which Pillow turns by itself
            deep = Image.fromarray(np.asarray(opened.convert("L")).astype(np.uint16) * 257)
            deep.getexif()[0x0112] = orientation
            grey = Image.fromarray(np.asarray(opened.convert("L")))
            grey.getexif()[0x0112] = orientation
            assert np.array_equal(image_from_array(deep), image_from_array(grey))


def fine_structure(suffix: str, folder: Path) -> Path:
    """2000 x 1500 pixels, lines of two pixels and grain: what a decoder's own shrinking shows otherwise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:1500, :2000]
    grey = (((x + y // 3) % 4 < 2) * 90 + ((x // 500 + y // 500) % 2) * 60 + rng.integers(0, 80, x.shape)).astype(
        np.uint8
    )
    path = folder / f"fine{suffix}"
    Image.fromarray(np.dstack([grey, grey[::-1], grey[:, ::-1]])).save(
        path, **({"quality": 90} if suffix == ".jpg" else {})
    )
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_every_path_shrinks_to_the_same_pixels(tmp_path: Path, suffix: str) -> None:
    path = fine_structure(suffix, tmp_path)
    with Image.open(path) as picture:
        whole = np.asarray(picture.convert("RGB"))
    assert np.array_equal(read_image(path), whole)
    for size in (64, 256, 320):
        expected = cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA)
        assert np.array_equal(read_image(path, size), expected)
        assert np.array_equal(GoodImages([path], size)[0], expected)
        assert np.array_equal(resize_image(decode_image(path.read_bytes(), "x"), size), expected)
        assert np.array_equal(resize_image(image_from_array(Image.open(path)), size), expected)
        assert np.array_equal(resize_image(image_from_array(whole), size), expected)
    # The averages, counted by hand: 2000 and 1500 are multiples of 250.
    blocks = whole.reshape(250, 6, 250, 8, 3).mean(axis=(1, 3))
    assert np.abs(read_image(path, 250) - blocks).max() <= 0.51


def test_a_raw_picture_of_a_camera_is_not_its_thumbnail(tmp_path: Path) -> None:
    """A DNG: a small picture first, what the sensor saw below it."""
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "photo.tif"
    small = np.asarray(drawn(40, 30))
    with tifffile.TiffWriter(path) as writer:
        writer.write(small, photometric="rgb", subifds=1, extratags=[(50706, 1, 4, (1, 4, 0, 0), True)])
        writer.write(np.zeros((60, 80), np.uint16), photometric=32803)
    with pytest.raises(UserError, match="raw picture, which is not supported: convert it"):
        read_image(path)
    with tifffile.TiffWriter(path) as writer:  # a pyramid: the whole picture first, smaller ones below
        writer.write(small, photometric="rgb", subifds=1)
        writer.write(small[::2, ::2], photometric="rgb", subfiletype=1)
    assert np.array_equal(read_image(path), small)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd", "lerc"])
def test_compressed_values(tmp_path: Path, compression: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    values = np.random.default_rng(0).integers(0, 65536, (20, 30)).astype(np.uint16)
    path = tmp_path / "values.tif"
    tifffile.imwrite(path, values, compression=compression)
    if compression == "lerc":
        with pytest.raises(UserError, match="compressed in a way that is not supported: convert it"):
            read_image(path)
    else:
        assert np.array_equal(read_image(path)[..., 0], np.rint(values / 257))
    path.write_bytes(deep_tiff(values))
    assert np.array_equal(read_image(path)[..., 0], np.rint(values / 257))
