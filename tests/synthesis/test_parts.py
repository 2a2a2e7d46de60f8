import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from realnet.config import MixtureConfig, SynthesisConfig
from realnet.errors import UserError
from realnet.synthesis import blend
from realnet.synthesis.anomaly import VISIBLE_MEAN
from realnet.synthesis.augment import AUGMENTATIONS, shifted_hue, three_random
from realnet.synthesis.cutpaste import CutPaste, Scar
from realnet.synthesis.dtd import Dtd
from realnet.synthesis.mixture import Mixture
from realnet.synthesis.nsa import Nsa
from realnet.synthesis.sia import Sia
from realnet.synthesis.structure import Structure
from realnet.synthesis.synthesizer import make_part
from realnet.synthesis.texture import Texture
from tests.synthesis.pictures import colourful, grainy, product, textured

KINDS = ("dtd", "sia", "nsa", "cutpaste", "scar", "texture", "structure")
SHAPES = ((64, 64), (256, 256), (288, 320))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("textures")
    (root / "inner").mkdir()
    for number in range(3):
        Image.fromarray(colourful((90, 120), number)).save(root / "inner" / f"{number}.png")
    return root


def make(kind, goods, folder, **options):
    plain = {"cutpaste": CutPaste, "scar": Scar, "texture": Texture}
    if kind in plain:
        return plain[kind](**options)
    if kind in ("nsa", "structure"):
        return {"nsa": Nsa, "structure": Structure}[kind](goods, **options)
    return Dtd(folder, **options) if kind == "dtd" else Sia(folder, **options)


def check(anomaly, image, foreground):
    assert anomaly.image.dtype == anomaly.source.dtype == np.uint8
    assert anomaly.image.shape == anomaly.source.shape == image.shape
    assert anomaly.mask.dtype == bool
    assert anomaly.mask.any()
    assert (anomaly.mask & foreground).any() or anomaly.kind in ("nsa", "structure", "cutpaste", "scar")
    assert 0 < anomaly.opacity <= 1
    # Eq. 3 holds with the parts that are handed out; outside the mask nothing changed, inside it shows.
    assert np.array_equal(anomaly.image, blend(image, anomaly.source, anomaly.mask, anomaly.opacity))
    change = np.abs(anomaly.image.astype(int) - image)[anomaly.mask]
    # Textures and generated images are used as they come, also where they hardly differ.
    assert change.mean(axis=0).max() >= (0 if anomaly.kind in ("dtd", "sia") else VISIBLE_MEAN)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_part_on_every_kind_of_image(kind, shape, folder):
    images = [textured(shape), product(shape, 12, (180, 60, 40)), colourful(shape)]
    part = make(kind, images, folder)
    everywhere = np.ones(shape, dtype=bool)
    seen = set()
    for seed in range(3):
        for image in images:
            kept = image.copy()
            anomaly = part(image, everywhere, np.random.default_rng(seed))
            check(anomaly, image, everywhere)
            assert np.array_equal(image, kept), "the good image was written to"
            seen.add(anomaly.kind)
    assert kind in seen


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(("nsa", "cutpaste", "scar", "texture", "structure")))
@settings(max_examples=25, deadline=None)
def test_parts_are_visible_and_labelled_for_any_seed(seed, kind):
    shape = (64, 80)
    image = product(shape, 200, (90, 80, 70), seed % 7)
    foreground = np.zeros(shape, dtype=bool)
    foreground[16:48, 20:60] = True
    check(
        make(kind, [image, textured(shape)], None)(image, foreground, np.random.default_rng(seed)),
        image,
        foreground,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_plain_image_still_gets_a_defect(kind, level, folder):
    image = np.full((64, 64, 3), level, dtype=np.uint8)
    everywhere = np.ones((64, 64), dtype=bool)
    for seed in range(3):
        check(make(kind, [image], folder)(image, everywhere, np.random.default_rng(seed)), image, everywhere)


@pytest.mark.parametrize("kind", ["dtd", "sia", "texture"])
def test_drawn_defects_stay_inside_the_foreground(kind, folder):
    image = colourful((96, 96))
    foreground = np.zeros((96, 96), dtype=bool)
    foreground[30:60, 20:70] = True
    part = make(kind, [image], folder)
    for seed in range(20):
        mask = part(image, foreground, np.random.default_rng(seed)).mask
        assert not (mask & ~foreground).any()


@pytest.mark.parametrize("kind", KINDS)
def test_opacity_is_drawn_from_the_range_given(kind, folder):
    image = colourful((64, 64))
    part = make(kind, [image, textured((64, 64))], folder, opacity=(0.7, 0.8))
    everywhere = np.ones((64, 64), dtype=bool)
    drawn = [part(image, everywhere, np.random.default_rng(seed)) for seed in range(10)]
    values = [anomaly.opacity for anomaly in drawn if anomaly.kind == kind]
    assert values
    assert all(0.7 <= value <= 0.8 for value in values)
    assert len(set(values)) > 1


def test_default_opacities_are_the_papers(folder):
    assert Dtd(folder).opacity == (0.2, 1.0)
    assert Sia(folder).opacity == (0.5, 1.0)


def test_labels_are_where_something_changed():
    # Half of the image is plain: turned or moved about, it stays as it is and must not be labelled.
    image = np.full((128, 128, 3), 60, dtype=np.uint8)
    image[:, 64:] = colourful((128, 64), 3)
    everywhere = np.ones((128, 128), dtype=bool)
    part = Structure([image])
    for seed in range(30):
        anomaly = part(image, everywhere, np.random.default_rng(seed))
        changed = (np.abs(anomaly.image.astype(int) - image).max(axis=2) > 0)[anomaly.mask]
        assert changed.mean() > 0.6


def test_texture_makes_a_good_share_of_small_defects():
    image = textured((256, 256))
    everywhere = np.ones((256, 256), dtype=bool)
    shares = [Texture()(image, everywhere, np.random.default_rng(seed)).mask.mean() for seed in range(120)]
    assert np.mean(np.array(shares) < 0.01) > 0.3
    assert np.mean(np.array(shares) > 0.03) > 0.15


def test_scar_and_cutpaste_keep_their_sizes():
    image = colourful((256, 256), 5)
    everywhere = np.ones((256, 256), dtype=bool)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert Scar()(image, everywhere, rng).mask.sum() <= 18 * 27
        assert CutPaste()(image, everywhere, rng).mask.mean() <= 0.16


def test_scar_scales_with_the_image():
    everywhere = np.ones((512, 512), dtype=bool)
    image = colourful((512, 512), 5)
    areas = [Scar()(image, everywhere, np.random.default_rng(seed)).mask.sum() for seed in range(30)]
    assert max(areas) > 18 * 27


def test_nsa_names_the_image_its_patch_is_of():
    goods = [grainy((64, 64), 1), grainy((64, 64), 2)]
    part = Nsa(goods, names=["a.png", "b.png"])
    everywhere = np.ones((64, 64), dtype=bool)
    origins = {part(goods[0], everywhere, np.random.default_rng(seed)).origin for seed in range(20)}
    assert origins == {"a.png", "b.png"}


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda function: function.__name__)
def test_augmentations_change_textures_and_keep_their_form(augmentation):
    image = np.clip(colourful((40, 52), 1), 20, 220)
    result = augmentation(image, np.random.default_rng(0))
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    assert not np.array_equal(result, image)


def test_three_augmentations_are_reproducible_and_vary():
    image = colourful((40, 52), 1)
    results = [three_random(image, np.random.default_rng(seed)) for seed in (0, 0, 1, 2)]
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])
    assert not np.array_equal(results[2], results[3])


def test_hue_turns_all_the_way_round():
    image = np.zeros((1, 1, 3), dtype=np.uint8)
    image[0, 0] = (255, 0, 0)
    assert shifted_hue(image, 1 / 3)[0, 0].argmax() == 1
    assert np.array_equal(shifted_hue(image, 1.0), image)
    grey = np.full((2, 2, 3), 90, dtype=np.uint8)
    assert np.array_equal(shifted_hue(grey, 0.3, gain=1.5), grey)


@pytest.mark.parametrize("part", [Dtd, Sia])
def test_a_missing_or_empty_folder_is_said(part, tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        part(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no image"):
        part(tmp_path)


@pytest.mark.parametrize("kind", ["dtd", "sia"])
@pytest.mark.parametrize("difference", [0, 1, 3])
def test_a_source_that_barely_differs_is_used_as_it_is(kind, difference, tmp_path):
    """Tab. 5b: generated images of s = 0 and 0.1 are almost good; no opaque spot may stand in for them."""
    good = np.full((64, 64, 3), 120, dtype=np.uint8)
    Image.fromarray(good + np.uint8(difference)).save(tmp_path / "0.png")
    part = Dtd(tmp_path) if kind == "dtd" else Sia(tmp_path)
    for seed in range(20):
        anomaly = part(good, np.ones((64, 64), dtype=bool), np.random.default_rng(seed))
        assert (anomaly.kind, anomaly.origin) == (kind, "0.png")
        assert anomaly.mask.any()
        assert np.array_equal(anomaly.image, blend(good, anomaly.source, anomaly.mask, anomaly.opacity))
        if kind == "sia":  # textures are augmented
            assert np.array_equal(anomaly.source, good + np.uint8(difference))
            assert np.abs(anomaly.image.astype(int) - good).max() <= difference


def test_the_mixture_draws_faint_blends_again_as_its_field_says(tmp_path):
    good = np.full((64, 64, 3), 120, dtype=np.uint8)
    for level in (122, 200):
        Image.fromarray(np.full((64, 64, 3), level, dtype=np.uint8)).save(tmp_path / f"{level}.png")
    only = {"nsa": 0, "cutpaste": 0, "scar": 0, "texture": 0, "structure": 0}

    def origins(least_change):
        mixture = MixtureConfig(**only, least_change=least_change)
        part = make_part(SynthesisConfig(generated=tmp_path, mixture=mixture), [good])
        return {part(good, np.ones((64, 64), bool), np.random.default_rng(seed)).origin for seed in range(30)}

    assert origins(6) == {"200.png"}
    assert origins(0) == {"122.png", "200.png"}


def test_dtd_draws_from_all_folders_below_and_names_the_file(folder):
    image = colourful((64, 64))
    everywhere = np.ones((64, 64), dtype=bool)
    part = Dtd(folder)
    origins = {part(image, everywhere, np.random.default_rng(seed)).origin for seed in range(30)}
    assert origins == {"inner/0.png", "inner/1.png", "inner/2.png"}


def test_sia_takes_the_folder_of_the_category(tmp_path):
    for category, level in (("pill", 255), ("screw", 0)):
        (tmp_path / "MVTec" / category).mkdir(parents=True)
        Image.fromarray(np.full((32, 32, 3), level, np.uint8)).save(tmp_path / "MVTec" / category / "0.png")
    image = np.full((64, 64, 3), 128, dtype=np.uint8)
    everywhere = np.ones((64, 64), dtype=bool)
    for category, level in (("pill", 255), ("screw", 0)):
        anomaly = Sia(tmp_path, category)(image, everywhere, np.random.default_rng(0))
        assert (anomaly.source == level).all()
    with pytest.raises(UserError, match=r"no folder for category 'bottle'.*pill, screw"):
        Sia(tmp_path, "bottle")


def test_sia_takes_a_flat_folder_for_any_category(tmp_path):
    Image.fromarray(np.full((32, 32, 3), 255, np.uint8)).save(tmp_path / "0.png")
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    assert Sia(tmp_path, "anything")(image, np.ones((64, 64), bool), np.random.default_rng(0)).origin == "0.png"


def test_the_texture_cache_is_bounded(folder):
    from realnet.synthesis.image_folder import ImageFolder

    images = ImageFolder(folder, "textures", cache_bytes=2 * 64 * 64 * 3)
    for seed in range(20):
        images.draw((64, 64), np.random.default_rng(seed))
    assert sum(image.nbytes for image in images._cache.values()) <= 2 * 64 * 64 * 3


def test_a_mixture_follows_its_weights():
    image = colourful((64, 64))
    everywhere = np.ones((64, 64), dtype=bool)
    mixture = Mixture([(CutPaste(), 3.0), (Scar(), 1.0), (Texture(), 0.0)])
    kinds = [mixture(image, everywhere, np.random.default_rng(seed)).kind for seed in range(200)]
    assert "texture" not in kinds
    assert 0.65 < kinds.count("cutpaste") / len(kinds) < 0.85


def test_a_mixture_of_nothing_is_refused():
    with pytest.raises(UserError, match="mixture is empty"):
        Mixture([(CutPaste(), 0.0)])
