"""More than 8 bits: one pair of levels a data set, and the same picture whatever it is stored as."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from benchmarks.reliability.depths import deep_pnm, deep_tiff, deep_variants, packed
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realnet.config import DataConfig
from realnet.data import image_from_array, read_image, survey
from realnet.data.levels import to_8_bits, written
from realnet.errors import UserError
from realnet.overriding import override
from realnet.presets import presets
from tests.data.layouts import picture

VARIANTS = deep_variants()
# What each kind's levels are, written down by hand: whole bits, or the scale that the file declares.
LEVELS = {
    "packed 10": (0, 1023), "packed 12": (0, 4095), "packed 12, big end first": (0, 4095), "packed 14": (0, 16383),
    "mono10 in 16": (0, 1023), "mono12 in 16": (0, 4095), "mono12 in 16, PNG": (0, 4095), "16 bits": (0, 65535),
    "16 bits, PNG": (0, 65535), "16 bits, white is zero": (0, 65535), "32 bits": (0, 2**20 - 1),
    "floats to 1": (0, 1), "floats to 255": (0, 255), "long floats": (0, 1), "PGM of 12 bits": (0, 4095),
    "PGM of 16 bits": (0, 65535),
}  # fmt: skip
SIGNED = {"signed 16 bits": (-1000, 1000), "signed 32 bits": (-1_000_000, 1_000_000)}


def greys(count: int = 3) -> list[np.ndarray]:
    """Pictures that go from near black to white."""
    found = [np.ascontiguousarray(picture(np.random.default_rng(number))[0][..., 0]) for number in range(count)]
    for grey in found:
        grey[:4, :30], grey[-4:, :30] = 250, 3
    return found


def written_out(kind: str, folder: Path, pictures: list[np.ndarray]) -> list[Path]:
    make, suffix = VARIANTS[kind]
    files = [folder / f"{number}{suffix}" for number in range(len(pictures))]
    for file, grey in zip(files, pictures, strict=True):
        file.write_bytes(make(grey))
    return files


@pytest.mark.parametrize("kind", LEVELS)
def test_every_depth_is_its_8_bit_twin(kind: str, tmp_path: Path) -> None:
    pictures = greys()
    files = written_out(kind, tmp_path, pictures)
    found = survey(files)
    assert found.levels == LEVELS[kind]
    assert written(LEVELS[kind]) in found.sentences[0]
    for file, grey in zip(files, pictures, strict=True):
        assert np.array_equal(read_image(file, levels=found.levels), np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", SIGNED)
def test_values_with_a_sign(kind: str, tmp_path: Path) -> None:
    pictures = greys()
    files = written_out(kind, tmp_path, pictures)
    low, high = survey(files).levels or (0, 0)
    assert low < SIGNED[kind][0] < SIGNED[kind][1] < high
    for file, grey in zip(files, pictures, strict=True):
        assert np.abs(read_image(file, levels=SIGNED[kind])[..., 0] - grey.astype(int)).max() <= 1
        found = read_image(file, levels=(low, high))[..., 0].astype(int)
        straight = np.polyfit(grey.ravel(), found.ravel(), 1)
        assert np.abs(np.polyval(straight, grey) - found).max() < 1  # darker and of less contrast, nothing else
        assert straight[0] > 0.5


@pytest.mark.parametrize("kind", [*LEVELS, *SIGNED])
def test_a_hot_pixel_changes_nothing_but_itself(kind: str, tmp_path: Path) -> None:
    """Neither at training, in one image or in all, nor later."""
    pictures = greys()
    clean = survey(written_out(kind, tmp_path, pictures)).levels
    _, suffix = VARIANTS[kind]
    if kind.startswith(("packed", "PGM of 12")):
        return  # nothing above the scale can be stored
    files = []
    for number in range(len(pictures)):
        values = (
            tifffile.imread(tmp_path / f"{number}.tif")
            if suffix == ".tif"
            else np.asarray(Image.open(tmp_path / f"{number}{suffix}")).astype(np.uint16)
        )
        hot = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1e6
        values = values.copy()
        values[10, 10] = 0 if "white is zero" in kind else hot
        file = tmp_path / f"hot{number}.tif"
        file.write_bytes(deep_tiff(values, white_is_zero="white is zero" in kind))
        files.append(file)
    assert survey(files).levels == clean
    for number, file in enumerate(files):
        with_hot = read_image(file, levels=clean)
        expected = read_image(tmp_path / f"{number}{suffix}", levels=clean)
        expected[10, 10] = 255
        assert np.array_equal(with_hot, expected)


@pytest.mark.parametrize("kind", [*LEVELS, *SIGNED])
def test_arrays_tensors_and_pillow_agree_with_the_file(kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    (file,) = written_out(kind, tmp_path, greys(1))
    levels = (LEVELS | SIGNED)[kind]
    expected = read_image(file, levels=levels)
    with Image.open(file) if kind not in UNKNOWN_TO_PILLOW else file.open("rb") as opened:
        if isinstance(opened, Image.Image):
            assert np.array_equal(image_from_array(opened, levels), expected)
            opened.load()
            if not kind.startswith("PGM of 12"):  # which Pillow has scaled by then
                assert np.array_equal(image_from_array(opened, levels), expected)
    if file.suffix != ".tif" or "white is zero" in kind:
        return
    values = tifffile.imread(file)
    assert np.array_equal(image_from_array(values, levels), expected)
    assert np.array_equal(image_from_array(np.repeat(values[..., None], 3, axis=2), levels), expected)
    if values.dtype.name in ("uint16", "int16", "int32", "float32", "float64"):
        tensor = torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))
        assert np.array_equal(image_from_array(tensor, levels), expected)
        assert np.array_equal(image_from_array(tensor[None].expand(3, -1, -1), levels), expected)


UNKNOWN_TO_PILLOW = ("packed 10", "packed 12, big end first", "packed 14", "long floats")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("bits", "dtype"), [(10, "u2"), (12, "u2"), (14, "u2"), (0, "u2")])
def test_colours_of_many_bits(tmp_path: Path, order: str, bits: int, dtype: str) -> None:
    white = 2 ** (bits or 16) - 1
    colours = np.random.default_rng(0).integers(0, white + 1, (20, 31, 3)).astype(dtype)
    path = tmp_path / "colours.tif"
    path.write_bytes(deep_tiff(colours, bits, order=order))
    expected = np.rint(colours * (255 / white)).astype(np.uint8)
    assert np.array_equal(read_image(path), expected)
    if not bits:
        twelve = colours >> 4
        expected = np.rint(twelve * (255 / 4095)).astype(np.uint8)
        assert cv2.imwrite(str(tmp_path / "twelve.png"), twelve[..., ::-1])
        (tmp_path / "twelve.ppm").write_bytes(deep_pnm(twelve, 65535))
        for name in ("twelve.png", "twelve.ppm"):
            assert survey([tmp_path / name]).levels == (0, 4095)
            assert np.array_equal(read_image(tmp_path / name, levels=(0, 4095)), expected)
            assert np.array_equal(image_from_array(Image.open(tmp_path / name), (0, 4095)), expected)
        (tmp_path / "declared.ppm").write_bytes(deep_pnm(twelve, 4095))
        assert np.array_equal(read_image(tmp_path / "declared.ppm"), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_tiff_is_turned_once(tmp_path: Path, orientation: int, deep: bool) -> None:
    upright = np.random.default_rng(0).integers(0, 256, (20, 31)).astype(np.uint8)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    values = stored.astype(np.uint16) * np.uint16(257) if deep else stored
    path = tmp_path / "turned.tif"
    path.write_bytes(deep_tiff(np.ascontiguousarray(values), orientation=orientation))
    assert np.array_equal(read_image(path)[..., 0], upright)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(9, 16).flatmap(lambda bits: st.tuples(st.just(bits), st.integers(2 ** (bits - 2), 2**bits - 1))),
    st.integers(0, 2**32 - 1),
)
def test_levels_are_those_of_the_whole_data_set(depth: tuple[int, int], seed: int) -> None:
    """Whatever single images reach, as long as one reaches the depth."""
    from realnet.data.levels import levels_of, span_of

    bits, top = depth
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, max(2, top // 2 ** int(rng.integers(4)) + 1), (40, 40)).astype(np.uint16) for _ in "123"]
    images.append(np.full((40, 40), top, np.uint16))
    white = next(2**even - 1 for even in (8, 10, 12, 14, 16) if top < 2**even)
    levels = levels_of([span_of(image, None) for image in images])
    assert levels == (0, white)
    for image in images:
        assert np.array_equal(to_8_bits(image, levels), np.floor(image * (255 / white) + 0.5).astype(np.uint8))
    del bits


REFUSED: dict[str, tuple[Callable[[], np.ndarray], tuple[float, float] | None, str]] = {
    "16 bits in a run of 12": (lambda: np.full((9, 9), 40000, np.uint16), (0, 4095), "outside data.levels=0:4095"),
    "12 bits in a run of 8": (lambda: np.full((9, 9), 4000, np.uint16), None, "nearly black"),
    "signed in a run of 12": (lambda: np.full((9, 9), -40, np.int16), (0, 4095), "outside data.levels=0:4095"),
    "floats to 1 in a run of 12": (lambda: np.linspace(0, 1, 99).reshape(9, 11), (0, 4095), "leave nothing"),
    "floats to 255 unasked": (lambda: np.linspace(0, 255, 99).reshape(9, 11), None, "outside 0:1"),
    "32 bits unasked": (lambda: np.full((9, 9), 70_000, np.uint32), None, "outside 0:255"),
    "NaN": (lambda: np.full((9, 9), np.nan), (0, 4095), "not finite"),
    "infinity in one pixel": (lambda: np.r_[np.zeros(80), np.inf].reshape(9, 9), (0, 1), "not finite"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str, tmp_path: Path) -> None:
    make, levels, message = REFUSED[case]
    with pytest.raises(UserError, match=message) as refused:
        image_from_array(make(), levels)
    assert "\n" not in str(refused.value)
    path = tmp_path / "photo.tif"
    path.write_bytes(deep_tiff(make()))
    with pytest.raises(UserError, match=f"photo.tif cannot be used: .*{message}"):
        read_image(path, levels=levels)


def test_a_declared_scale_that_the_levels_would_blacken(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    path.write_bytes(deep_tiff(np.full((9, 9), 4000, np.uint16), 12))
    assert read_image(path, levels=(0, 1000 * 4)).max() == 255  # asked for
    with pytest.raises(UserError, match="its scale is 0:4095"):
        read_image(path, levels=(0, 65535))


def test_the_survey_names_every_image_that_does_not_fit(tmp_path: Path) -> None:
    files = written_out("mono12 in 16", tmp_path, greys())
    (tmp_path / "1.tif").write_bytes(deep_tiff(np.full((20, 20), 40000, np.uint16)))
    (tmp_path / "2.tif").write_bytes(deep_tiff(np.full((20, 20), np.nan, np.float32)))
    with pytest.raises(UserError) as refused:
        survey(files, (0, 4095))
    lines = str(refused.value).splitlines()
    assert [line.split()[0] for line in lines] == [str(files[1]), str(files[2])]
    files = [*written_out("floats to 1", tmp_path, greys(1)), *written_out("16 bits, PNG", tmp_path, greys(2))]
    with pytest.raises(UserError, match="in part of floats"):
        survey(files)
    assert survey(files[1:], (0, 65535)).levels == (0, 65535)


def test_8_bits_need_no_levels(tmp_path: Path) -> None:
    for number, grey in enumerate(greys()):
        Image.fromarray(grey).save(tmp_path / f"{number}.{('png', 'tif', 'bmp')[number]}")
    files = sorted(tmp_path.iterdir())
    assert survey(files) == (None, ())
    plain = [read_image(file) for file in files]
    assert all(
        np.array_equal(read_image(file, levels=(0, 4095)), same) for file, same in zip(files, plain, strict=True)
    )


def test_a_tiff_that_lacks_pixels_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "cut.tif"
    for values, bits in ((greys(1)[0].astype(np.uint16), 12), (greys(1)[0].astype(np.float32), 0)):
        data = deep_tiff(values, bits)
        for cut in (1, 100, len(data) // 2):
            path.write_bytes(data[:-cut])
            with pytest.raises(UserError, match=r"cut\.tif is (damaged or truncated|not an image)"):
                read_image(path)


@pytest.mark.parametrize("text", ["0:4095", "-20.5:38", "0:1", "1:30"])
def test_levels_in_the_configuration(text: str) -> None:
    config = override(presets["lite"], [f"data.levels={text}"])
    assert config.data.levels == text
    assert config.data.pair == tuple(float(part) for part in text.split(":"))
    assert DataConfig().pair is None


@pytest.mark.parametrize("text", ["4095", "4095:0", "a:b", "0:inf", "1:2:3", "0:"])
def test_levels_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match=r"data\.levels: .* is not LOW:HIGH"):
        override(presets["lite"], [f"data.levels='{text}'"])


def test_packing_by_hand() -> None:
    """The generator itself: two values of 12 bits are three bytes."""
    assert packed(np.array([[0xABC, 0xDEF]]), 12) == b"\xab\xcd\xef"
    assert packed(np.array([[0xABC]]), 12) == b"\xab\xc0"
