import multiprocessing
import pickle

import numpy as np
import pytest
from PIL import Image

from realnet.config import MixtureConfig, SynthesisConfig
from realnet.errors import UserError
from realnet.synthesis import Synthesizer, foreground_mask
from tests.synthesis.pictures import colourful, grainy, product, textured

SHAPE = (64, 64)
GOODS = [product(SHAPE, 20, (200, 150, 90), 1), textured(SHAPE, 2), colourful(SHAPE, 3)]


def equal(first, second):
    return (
        np.array_equal(first.image, second.image)
        and np.array_equal(first.mask, second.mask)
        and np.array_equal(first.source, second.source)
        and (first.opacity, first.kind, first.origin) == (second.opacity, second.kind, second.origin)
    )


@pytest.fixture
def textures(tmp_path):
    for number in range(3):
        Image.fromarray(colourful((50, 70), 10 + number)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_index_alone_decides_in_any_order(textures):
    config = SynthesisConfig(directory=textures)
    forward = [Synthesizer(GOODS, config, seed=5)(index) for index in range(30)]
    backward = Synthesizer(GOODS, config, seed=5)
    for index in reversed(range(30)):
        assert equal(backward(index), forward[index])
    assert len({anomaly.kind for anomaly in forward}) >= 4


def test_seeds_and_indices_differ():
    first, other = (Synthesizer(GOODS, SynthesisConfig(), seed) for seed in (0, 1))
    assert not equal(first(0), first(1))
    assert not equal(first(0), other(0))


def test_workers_make_the_same_defects(textures):
    synthesizer = Synthesizer(GOODS, SynthesisConfig(directory=textures), seed=1)
    here = [synthesizer(index) for index in range(8)]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.map(synthesizer, range(8))
    assert all(equal(a, b) for a, b in zip(here, there, strict=True))


def test_pickling_leaves_the_caches_behind(textures):
    synthesizer = Synthesizer(GOODS, SynthesisConfig(source="dtd", directory=textures), seed=1)
    fresh = len(pickle.dumps(synthesizer))
    for index in range(20):
        synthesizer(index)
    assert len(pickle.dumps(synthesizer)) == fresh


def test_the_good_image_can_be_chosen():
    synthesizer = Synthesizer(GOODS, SynthesisConfig(source="cutpaste"), seed=0)
    for index in range(6):
        anomaly = synthesizer(index, good=2)
        assert np.array_equal(anomaly.image[~anomaly.mask], GOODS[2][~anomaly.mask])
        drawn = synthesizer.good_of(index)
        assert equal(synthesizer(index), synthesizer(index, good=drawn))
    assert {synthesizer.good_of(index) for index in range(30)} == {0, 1, 2}


def test_images_may_be_any_lazy_sequence():
    class Lazy:
        def __len__(self):
            return len(GOODS)

        def __getitem__(self, index):
            if index >= len(GOODS):
                raise IndexError(index)
            return GOODS[index]

    eager, lazy = (Synthesizer(images, SynthesisConfig(), seed=3) for images in (GOODS, Lazy()))
    assert all(equal(eager(index), lazy(index)) for index in range(8))


def test_images_of_several_sizes_are_fine():
    goods = [colourful((64, 64)), colourful((48, 96))]
    synthesizer = Synthesizer(goods, SynthesisConfig(), seed=0)
    for index in range(30):
        assert synthesizer(index, good=1).image.shape == (48, 96, 3)


def test_each_source_makes_its_kinds(textures):
    expected = {"dtd": {"dtd"}, "sia": {"sia"}, "nsa": {"nsa"}, "cutpaste": {"cutpaste", "scar"}}
    for source, kinds in expected.items():
        synthesizer = Synthesizer(
            [grainy(SHAPE), grainy(SHAPE, 1)],
            SynthesisConfig(source=source, directory=textures),
            seed=0,
        )
        assert {synthesizer(index).kind for index in range(16)} == kinds


def test_mix_needs_no_folder_and_uses_one_that_is_given(textures):
    alone = Synthesizer(GOODS, SynthesisConfig(), seed=0)
    assert "dtd" not in {alone(index).kind for index in range(40)}
    given = Synthesizer(GOODS, SynthesisConfig(directory=textures), seed=0)
    assert "dtd" in {given(index).kind for index in range(40)}


def test_mixture_weights_are_heeded():
    only = MixtureConfig(nsa=0, cutpaste=0, scar=0, structure=0, texture=1)
    synthesizer = Synthesizer(GOODS, SynthesisConfig(mixture=only), seed=0)
    assert {synthesizer(index).kind for index in range(10)} == {"texture"}


def test_opacity_overrides_every_part():
    synthesizer = Synthesizer([colourful(SHAPE)], SynthesisConfig(source="cutpaste", opacity=(0.5, 0.6)), seed=0)
    assert all(0.5 <= synthesizer(index).opacity <= 0.6 for index in range(10))


def test_defects_are_put_on_the_product():
    good = product((128, 128), 20, (200, 150, 90))
    synthesizer = Synthesizer([good], SynthesisConfig(mixture=MixtureConfig(nsa=0, structure=0, cutpaste=0)), seed=0)
    foreground = foreground_mask(good)
    assert 0.05 < foreground.mean() < 0.4
    hits = [(synthesizer(index).mask & foreground).any() for index in range(30)]
    assert np.mean(hits) > 0.95
    texture = MixtureConfig(nsa=0, structure=0, cutpaste=0, scar=0)
    whole = Synthesizer([good], SynthesisConfig(foreground="none", mixture=texture), seed=0)
    assert any(not (whole(index).mask & foreground).any() for index in range(30))


@pytest.mark.parametrize("source", ["dtd", "sia"])
def test_a_folder_that_is_needed_is_asked_for(source, tmp_path):
    with pytest.raises(UserError, match=f"'{source}' needs a folder"):
        Synthesizer(GOODS, SynthesisConfig(source=source), seed=0)
    with pytest.raises(UserError, match="is not a folder"):
        Synthesizer(GOODS, SynthesisConfig(source=source, directory=tmp_path / "absent"), seed=0)


def test_no_images_and_unknown_foregrounds_are_refused_at_once():
    with pytest.raises(UserError, match="no good image"):
        Synthesizer([], SynthesisConfig(), seed=0)
    with pytest.raises(UserError, match="Unknown foreground 'spoon'"):
        Synthesizer(GOODS, SynthesisConfig(foreground="spoon"), seed=0)


def test_a_lazy_image_is_read_once_a_defect():
    reads = []

    class Counting:
        def __len__(self):
            return len(GOODS)

        def __getitem__(self, index):
            reads.append(index)
            return GOODS[index]

    synthesizer = Synthesizer(Counting(), SynthesisConfig(source="cutpaste"), seed=3)
    for index in range(8):
        synthesizer(index)
    assert reads == [synthesizer.good_of(index) for index in range(8)]
