"""Batches of noised images: each depends on the seed and its number, and on nothing else."""

import itertools

import numpy as np
import pytest
import torch

from realnet.diffusion.config import DiffusionConfig
from realnet.diffusion.model_folder import make_denoiser
from realnet.diffusion.noisy_batches import NoisedBatch
from tests.diffusion.tiny import batches, plain, tiny

CPU = torch.device("cpu")


def assert_same(one: NoisedBatch, other: NoisedBatch) -> None:
    for ours, theirs in zip(one, other, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)


def levels(count: int = 6) -> list[np.ndarray]:
    """Images that their brightness tells apart: 0, 10, 20, ..."""
    return [np.full((32, 32, 3), 10 * number, np.uint8) for number in range(count)]


def numbers(batch: NoisedBatch) -> list[int]:
    """Which of `levels` a batch shows."""
    return ((batch.images.mean((1, 2, 3)) + 1) * 127.5 / 10).round().int().tolist()


def test_a_batch_depends_on_the_seed_and_its_number() -> None:
    forward, backward = batches(tiny()), batches(tiny())
    there = [forward.number(n) for n in range(4)]
    back = [backward.number(n) for n in reversed(range(4))]
    for one, other in zip(there, reversed(back), strict=True):
        assert_same(one, other)
    for one, other in (*itertools.combinations(there, 2), (there[0], batches(tiny(seed=1)).number(0))):
        assert not torch.equal(one.epsilon, other.epsilon)


def test_a_restart_goes_on_where_it_stopped() -> None:
    whole = list(itertools.islice(batches(tiny()).starting_at(0, CPU), 6))
    rest = itertools.islice(batches(tiny()).starting_at(4, CPU), 2)
    for number, batch in enumerate(whole):
        assert_same(batch, batches(tiny()).number(number))
    for one, other in zip(whole[4:], rest, strict=True):
        assert_same(one, other)


def test_processes_share_what_one_would_see() -> None:
    """Batch n of two processes is batches 2 n and 2 n + 1 of one: disjoint, and no image is left out."""
    config, images = tiny(), levels(12)
    one = batches(config, images)
    seen = []
    for n in range(3):
        for rank in (0, 1):
            share = batches(config, images, rank, 2).number(n)
            assert_same(share, one.number(2 * n + rank))
            seen += numbers(share)
    assert sorted(seen) == list(range(12))


def test_every_pass_shows_every_image_once() -> None:
    source = batches(tiny(), levels())
    passes = [[n for k in range(3) for n in numbers(source.number(3 * p + k))] for p in range(4)]
    assert all(sorted(one) == list(range(6)) for one in passes)
    assert len({tuple(one) for one in passes}) > 1, "in another order each time"


def test_images_are_between_minus_one_and_one() -> None:
    images = [np.full((32, 32, 3), (0, 255, 51), np.uint8)] * 2
    batch = batches(tiny(), images).number(0)
    assert batch.images.shape == batch.epsilon.shape == (2, 3, 32, 32)
    torch.testing.assert_close(batch.images[:, :, 0, 0], torch.tensor([[-1.0, 1.0, -0.6]] * 2))


def test_the_noise_is_standard_normal() -> None:
    noise = batches(tiny("training.batch_size=64")).number(0).epsilon
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize(("config", "highest"), [(tiny(), 8), (plain(), 20), (tiny("process.start=0.01"), 2)])
def test_timesteps_stay_below_where_sampling_starts(config: DiffusionConfig, highest: int) -> None:
    config = config.model_copy(update={"training": config.training.model_copy(update={"batch_size": 40})})
    seen = {int(place) for n in range(10) for place in batches(config).number(n).places}
    assert seen == set(range(highest))


def test_categories_are_told_to_a_network_that_is_conditioned() -> None:
    assert batches(tiny()).number(0).category is None
    source = batches(tiny("denoiser.categories=2"), levels())
    for n in range(6):
        batch = source.number(n)
        assert batch.category is not None
        assert batch.category.tolist() == [int(number >= 3) for number in numbers(batch)]
    make_denoiser(source.config)(batch.images, batch.places, batch.category)


def test_flip_mirrors_about_half() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, :16] = 255
    for flip in (False, True):
        config = tiny("training.batch_size=200", f"training.flip={flip}")
        batch = batches(config, [image] * 2).number(0)
        left, right = batch.images[:, 0, :, 0], batch.images[:, 0, :, -1]
        assert torch.equal(left, -right), "an image is mirrored as a whole"
        assert float((left[:, 0] < 0).float().mean()) == pytest.approx(0.5 if flip else 0, abs=0.1)
        other = batches(tiny("training.batch_size=200"), [image] * 2).number(0)
        assert torch.equal(batch.epsilon, other.epsilon), "the rest is as without it"
