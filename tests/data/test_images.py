"""Images and masks of every mode and in every state."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realnet.data import image_from_array, list_images, read_image, read_mask
from realnet.data.decoding import decode_file
from realnet.data.images import resize_image, verify_image
from realnet.errors import UserError
from tests.data.layouts import picture, save, save_mask


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)


def _smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 255 // height, x * 255 // width, (x + y) * 255 // (height + width)], -1).astype(np.uint8)


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "P", "L", "LA", "1", "PA", "CMYK", "YCbCr", "I;16", "I", "F", "LAB", "HSV"]
)
def test_every_mode_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    smooth = _smooth(24, 36)
    if mode in ("I;16", "I", "F"):
        grey = smooth[..., 0].astype(np.float32)
        source = Image.fromarray((grey * 257).astype(np.uint16 if mode == "I;16" else np.int32))
        source = Image.fromarray(grey) if mode == "F" else source
    elif mode == "PA":
        source = Image.fromarray(smooth).convert("P").convert("PA")
    else:
        source = (
            Image.fromarray(smooth).convert("RGB").convert(mode)
            if mode != "LAB"
            else Image.new("LAB", (36, 24), (255, 128, 128))
        )
    if mode in ("PA", "HSV", "LAB"):
        got, expected = image_from_array(source), None
    else:
        path = tmp_path / ("image.tif" if mode not in ("P", "LA") else "image.png")
        source.save(path)
        levels = {"I": (0, 65535), "F": (0, 255)}.get(mode)
        got, expected = read_image(path, levels=levels), source
        assert np.array_equal(image_from_array(source, levels), got)
    assert got.dtype == np.uint8
    assert got.shape == (24, 36, 3)
    if mode in ("I;16", "I", "F"):
        assert np.abs(got.astype(int) - smooth[..., :1]).max() <= 1
    elif expected is not None:
        assert np.array_equal(got, np.array(expected.convert("RGB")))
    else:
        assert got.mean() > 60  # not black: decoded in earnest


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_is_scaled_by_the_full_range(tmp_path: Path, suffix: str, channels: int) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (20, 30, channels), dtype=np.uint16)
    values[0, 0], values[0, 1] = 0, 65535
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), values[..., ::-1])
    got = read_image(path).astype(float)
    assert np.abs(got - values / 257).max() <= 1
    assert (got.min(), got.max()) == (0, 255)


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_tiff(tmp_path: Path, scale: int, channels: int) -> None:
    values = np.random.default_rng(2).random((20, 30, channels), dtype=np.float32)
    path = tmp_path / "float.tif"
    assert cv2.imwrite(str(path), values[..., ::-1] * scale)
    assert np.abs(read_image(path, levels=(0, scale)) - values * 255.0).max() <= 0.51
    assert verify_image(path) == (20, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    upright = _smooth(40, 64)
    # What a camera stores is the inverse of what the tag tells to do.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in (".jpg", ".png"):
        path = tmp_path / f"turned{suffix}"
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=95)
        got = read_image(path)
        assert got.shape == upright.shape
        assert np.abs(got.astype(int) - upright).mean() < 3
        assert verify_image(path) == (40, 64)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_first_of_several_frames(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / f"film{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(read_image(path), np.array(frames[0]))
    assert verify_image(path) == (10, 20)


def test_transparency_becomes_white(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:2] = (200, 10, 10, 255)
    rgba[2] = (0, 0, 0, 128)
    path = save(tmp_path / "clear.png", rgba)
    got = read_image(path)
    assert np.array_equal(got, image_from_array(rgba))
    assert (got[:2] == (200, 10, 10)).all()
    assert (got[2] == 127).all()
    assert (got[3] == 255).all()
    palette = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 200, 10, 10])
    for suffix in ("png", "gif"):
        palette.save(tmp_path / f"palette.{suffix}", transparency=0)
        corner = read_image(tmp_path / f"palette.{suffix}")[0]
        assert corner.tolist() == [[255, 255, 255], [200, 10, 10]]
    assert (image_from_array(rgba[..., [0, 3]])[3] == 255).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "gif", "webp", "ppm"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated(tmp_path: Path, rgb: np.ndarray, suffix: str, share: float) -> None:
    path = save(tmp_path / f"cut.{suffix}", np.tile(rgb, (8, 8, 1)))
    verify_image(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    for read in (read_image, verify_image, read_mask):
        with pytest.raises(UserError, match=r"cut\.\w+ is (damaged or truncated|not an image)"):
            read(path)


@pytest.mark.parametrize("suffix", ["bmp", "tif", "webp", "ppm", "jpg", "png", "16.tif"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_blank_ends_of_full_length(tmp_path: Path, suffix: str, share: float) -> None:
    """A copy that broke off may have its full size already; black pixels at a picture's end are none of that."""
    values = np.random.default_rng(0).integers(1, 256, (151, 203, 3), dtype=np.uint8)
    path, options = tmp_path / f"cut.{suffix}", {"progressive": True} if suffix == "jpg" else {}
    picture = Image.fromarray(values) if suffix != "16.tif" else Image.fromarray(values[..., 0].astype(np.uint16) * 200)
    picture.save(path, **options)
    data = path.read_bytes()
    path.write_bytes(data + bytes(4096))  # padding behind the end
    verify_image(path)
    kept = int(len(data) * share)
    path.write_bytes(data[:kept] + bytes(len(data) - kept))
    for read in (decode_file, verify_image):
        with pytest.raises(UserError, match=r"cut\.[\w.]+ is (damaged or truncated|not an image)"):
            read(path)


@pytest.mark.parametrize("suffix", ["bmp", "tif", "webp", "ppm"])
@pytest.mark.parametrize("shape", ["bars", "part", "black"])
def test_black_at_the_end_of_a_picture_is_read(tmp_path: Path, suffix: str, shape: str) -> None:
    values = np.random.default_rng(0).integers(1, 256, (151, 203, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:151, :203]
    dark = {
        "bars": (rows < 40) | (rows > 110),
        "part": np.hypot(rows - 60, columns - 100) > 50,
        "black": np.ones((151, 203), bool),
    }
    values[dark[shape]] = 0
    options = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(values).save(tmp_path / f"dark.{suffix}", **options)
    assert (read_image(tmp_path / f"dark.{suffix}") == values).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's own, beside the error
def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("Dear Sir or Madam")
    (tmp_path / "text.tif").write_bytes(b"II*\0 and no more")
    (tmp_path / "folder.png").mkdir()
    cases = {"empty.png": "is empty", "text.png": "is not an image", "text.tif": "is (not an image|damaged)"}
    cases |= {"folder.png": "is a folder", "absent.png": "does not exist"}
    for name, message in cases.items():
        for read in (read_image, read_mask, verify_image):
            with pytest.raises(UserError, match=f"{name} {message}"):
                read(tmp_path / name)
    with pytest.raises(UserError, match="cannot be read"):
        read_image("nul\0l.png")


def test_content_decides_not_the_suffix(tmp_path: Path, rgb: np.ndarray) -> None:
    save(tmp_path / "image.bmp", rgb).rename(tmp_path / "image.jpg")
    assert np.array_equal(read_image(tmp_path / "image.jpg"), rgb)


def test_above_the_pixel_limit_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "vast.pgm"
    path.write_bytes(b"P5 30000 20000 255\n" + b"\0" * 100)
    for read in (read_image, verify_image):
        with pytest.raises(UserError, match=r"30000 x 20000 pixels \(600 megapixels\)"):
            read(path)


def test_no_warning_and_no_trace_in_pillow_for_large_images(tmp_path: Path) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    path = tmp_path / "large.png"
    Image.new("1", (20000, 10000)).save(path)  # 200 megapixels: Pillow itself refuses them
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verify_image(path) == (10000, 20000)
    assert limit == Image.MAX_IMAGE_PIXELS is not None


def test_non_ascii_names(tmp_path: Path, rgb: np.ndarray) -> None:
    path = save(tmp_path / "Prüfling № 1 检查" / "große Kratzer.png", rgb)
    assert np.array_equal(read_image(path), rgb)
    assert read_mask(path).shape == rgb.shape[:2]
    (path.parent / "Schäden.tif").write_bytes(cv2.imencode(".tif", rgb.astype(np.float32) / 255)[1].tobytes())
    assert np.array_equal(read_image(path.parent / "Schäden.tif"), rgb[..., ::-1])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 48))
def test_resize_keeps_flat_images_and_shape(height: int, width: int, size: int) -> None:
    flat = np.full((height, width, 3), (7, 130, 255), np.uint8)
    resized = resize_image(flat, size)
    assert resized.shape == (size, size, 3)
    assert (resized == (7, 130, 255)).all()


def test_shrinking_averages_so_that_nothing_aliases(tmp_path: Path, rgb: np.ndarray) -> None:
    path = save(tmp_path / "noise.png", rgb)  # 24 x 36, to blocks of 4 x 6
    blocks = rgb.reshape(6, 4, 6, 6, 3).mean(axis=(1, 3))
    assert np.abs(read_image(path, 6) - blocks).max() <= 0.51


@pytest.mark.parametrize("value", [1, 3, 255])
def test_mask_is_whatever_is_not_zero(tmp_path: Path, value: int) -> None:
    mask = picture(np.random.default_rng(0), defect=True)[1]
    assert np.array_equal(read_mask(save_mask(tmp_path / "mask.png", mask, value)), mask)
    for mode in ("1", "P", "RGB", "RGBA", "LA", "I;16"):
        if mode == "P":
            other = Image.fromarray(mask.astype(np.uint8) * np.uint8(value)).convert("P")
        elif mode == "I;16":
            other = Image.fromarray(mask.astype(np.uint16) * np.uint16(value))
        else:
            other = Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).convert(mode)
        other.save(tmp_path / "other.png")
        assert np.array_equal(read_mask(tmp_path / "other.png"), mask), mode


def test_jpeg_mask_without_its_noise(tmp_path: Path) -> None:
    mask = picture(np.random.default_rng(0), defect=True)[1]
    path = save_mask(tmp_path / "mask.jpg", mask)
    assert (np.array(Image.open(path)) > 0).sum() > mask.sum()
    assert np.array_equal(read_mask(path), mask)


def test_arrays(rgb: np.ndarray) -> None:
    assert np.array_equal(image_from_array(rgb), rgb)
    assert np.array_equal(image_from_array(rgb.astype(np.uint16) * 257), rgb)
    assert np.array_equal(image_from_array(rgb / 255), rgb)
    assert np.array_equal(image_from_array((rgb / 255).astype(np.float16)), rgb) or rgb.max() == 255
    assert np.array_equal(image_from_array(rgb.astype(np.float32), (0, 255)), rgb)
    assert np.array_equal(image_from_array(rgb.astype(np.int64)), rgb)
    assert np.array_equal(image_from_array(Image.fromarray(rgb)), rgb)
    assert np.array_equal(image_from_array(rgb[..., 0]), rgb[..., [0, 0, 0]])
    assert np.array_equal(image_from_array(rgb[..., :1]), rgb[..., [0, 0, 0]])
    assert set(np.unique(image_from_array(rgb[..., 0] > 99))) == {0, 255}
    copy = image_from_array(rgb[:, ::-1])
    assert copy.flags.c_contiguous


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 8, 8), np.uint8),
        np.zeros(8),
        np.zeros((0, 8, 3)),
        np.full((8, 8), np.nan),
        np.full((8, 8), np.inf),
        np.full((8, 8), -1),
        np.full((8, 8), 70000),
        np.full((8, 8), 255.0),
        np.full((8, 8), 300),
        np.full((8, 8), 4095, np.uint16),
        np.full((8, 8), "a"),
        None,
    ],
)
def test_arrays_that_are_no_image(array: object) -> None:
    with pytest.raises(UserError):
        image_from_array(array)


def test_list_images(tmp_path: Path, rgb: np.ndarray) -> None:
    names = ["b.png", "a.JPG", "deep/c.bmp", ".hidden.png", ".cache/d.png", "__MACOSX/e.png"]
    for name in names:
        save(tmp_path / name, rgb)
    (tmp_path / "notes.txt").touch()
    expected = [tmp_path / "a.JPG", tmp_path / "b.png", tmp_path / "deep" / "c.bmp"]
    assert list_images([tmp_path]) == expected
    assert list_images([tmp_path / "b.png", tmp_path]) == [expected[1], expected[0], expected[2]]
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        list_images([tmp_path / "none"])
    with pytest.raises(UserError, match="does not exist"):
        list_images([tmp_path / "nowhere"])


def test_planar_tiff_that_decoders_garble_is_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.random.default_rng(0).integers(0, 65536, (3, 20, 30), dtype=np.uint16)
    for array in (values, values.astype(np.float32)):
        tifffile.imwrite(tmp_path / "planes.tif", array, planarconfig="separate", photometric="rgb")
        with pytest.raises(UserError, match="separate planes"):
            read_image(tmp_path / "planes.tif")
