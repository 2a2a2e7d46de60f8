import cv2
import numpy as np
import pytest

from realnet.config import SynthesisConfig
from realnet.data import Category
from realnet.errors import UserError
from realnet.synthesis import foreground_mask, settle_foreground
from realnet.synthesis.foreground import KNOWN, RULES, known_foreground
from tests.synthesis.pictures import body_of, colourful, product, textured


def overlap(found, truth):
    return (found & truth).sum() / (found | truth).sum()


@pytest.mark.parametrize("shape", [(64, 64), (256, 256), (288, 320), (700, 500)])
@pytest.mark.parametrize(
    ("background", "body"),
    [
        (15, (200, 200, 200)),
        (240, (50, 50, 50)),
        (235, (240, 170, 40)),
        (128, (110, 150, 100)),
        (10, (40, 60, 160)),
    ],
    ids=["bright on dark", "dark on bright", "colour on white", "equal brightness", "blue on black"],
)
def test_auto_finds_an_object_whatever_its_polarity(shape, background, body):
    found = foreground_mask(product(shape, background, body))
    truth = body_of(shape)
    assert overlap(found, truth) > 0.8
    # Its hole belongs to it, and so does its edge.
    assert found[truth].mean() > 0.98


def test_auto_finds_several_objects():
    image = np.full((200, 200, 3), 230, dtype=np.uint8)
    truth = np.zeros((200, 200), dtype=np.uint8)
    for centre in ((50, 50), (150, 60), (60, 150), (150, 150)):
        cv2.circle(image, centre, 25, (90, 60, 40), -1)
        cv2.circle(truth, centre, 25, 1, -1)
    assert overlap(foreground_mask(image), truth.astype(bool)) > 0.8


@pytest.mark.parametrize(
    "image",
    [
        textured((256, 256)),
        colourful((256, 256)),
        np.full((64, 80, 3), 77, dtype=np.uint8),
        np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8),
        np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((32, 32)))[..., None].repeat(3, 2).astype(np.uint8) * 200,
        np.repeat(np.tile(np.linspace(0, 255, 256), (256, 1)).astype(np.uint8)[..., None], 3, axis=2),
    ],
    ids=["brushed", "colour fields", "plain", "noise", "checks", "gradient"],
)
def test_auto_takes_all_of_a_texture(image):
    assert foreground_mask(image).all()


def test_auto_takes_all_where_the_object_leaves_the_picture():
    image = np.full((128, 128, 3), 20, dtype=np.uint8)
    image[:, 30:100] = 200
    assert foreground_mask(image).all()


@pytest.mark.parametrize(
    ("name", "background", "body"),
    [
        ("bottle", 240, (40, 40, 40)),
        ("pill", 20, (220, 220, 210)),
        ("hazelnut", 20, (180, 140, 90)),
        ("pcb1", 10, (20, 40, 200)),
        ("candle", 20, (220, 220, 200)),
        ("bracket_black", 230, (40, 40, 40)),
        ("tubes", 20, (200, 200, 220)),
        ("03", 20, (200, 200, 200)),
    ],
)
def test_the_released_choices_by_name(name, background, body):
    shape = (256, 256)
    hole = product(shape, background, body)
    found = foreground_mask(hole, name)
    truth = body_of(shape)
    ring = truth.copy()
    ring[108:149, 108:149] = False
    assert found[ring].mean() > 0.95
    assert found[~truth].mean() < 0.05


@pytest.mark.parametrize("name", ["none", *(name for name, rule in RULES.items() if rule is None)])
def test_none_and_textures_are_the_whole_image(name):
    assert foreground_mask(product((64, 64), 10, (200, 200, 200)), name).all()


def test_a_rule_that_finds_nothing_gives_the_whole_image():
    assert foreground_mask(np.zeros((40, 40, 3), dtype=np.uint8), "pill").all()


def test_an_unknown_name_is_answered_with_the_names():
    with pytest.raises(UserError, match=r"'botle'.*auto, known, none.*bottle.*Did you mean 'bottle'"):
        foreground_mask(np.zeros((8, 8, 3), dtype=np.uint8), "botle")


def category(layout, name):
    return Category(name, layout, (), ())


def test_known_stands_for_the_choice_of_data_set_and_category():
    assert sum(len(rules) for rules in KNOWN.values()) == len(RULES) == 36
    assert known_foreground([category("mvtec", "bottle")]) == "bottle"
    assert known_foreground([category("btad", "01")]) == "01"
    assert known_foreground([category("folder", "bottle")]) == "auto", "some other bottle"
    assert known_foreground([category("mvtec", "candle")]) == "auto", "that is VisA's"
    assert known_foreground([category("mvtec", "bottle"), category("mvtec", "pill")]) == "auto"


@pytest.mark.parametrize(
    ("layout", "name", "foreground", "said"),
    [
        ("mvtec", "bottle", "bottle", "Foreground of bottle: a fixed threshold"),
        ("mvtec", "transistor", "transistor", "Foreground of transistor: the whole image"),
        ("folder", "part", "auto", "no choice of foreground for part: it is found from each image"),
    ],
)
def test_what_known_was_settled_to_is_said(layout, name, foreground, said):
    asked = SynthesisConfig(foreground="known")
    settled, sentence = settle_foreground(asked, [category(layout, name)])
    assert settled.foreground == foreground
    assert said in sentence
    assert settle_foreground(settled, [category(layout, name)]) == (settled, None), "once"


def test_real_products(shared_data):
    from realnet.data import read_image

    for path in sorted((shared_data / "magnetic_tile" / "magnetic_tile" / "train" / "good").iterdir())[:5]:
        assert foreground_mask(read_image(path, 256)).all(), path.name
