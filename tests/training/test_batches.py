"""Batches are a pure function of seed and step, whatever makes them."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.config import SynthesisConfig, TrainingConfig
from realnet.model.network import RealNet
from realnet.synthesis import Synthesizer
from realnet.synthesis.anomaly import Anomaly
from realnet.training.batches import Batch, Batches, GoodFeatures, shuffled_index
from tests.data.layouts import picture
from tests.training.tiny import tiny

GOODS = 5
CPU = torch.device("cpu")


class Pixels:
    """In the place of a model: its features are the image itself and the image at half the size."""

    def select(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images * 255, torch.nn.functional.avg_pool2d(images * 255, 2)]


def numbered(index: int, good: int | None = None) -> Anomaly:
    """A defect whose pixels say which one it is and which good image it was made of."""
    image = np.full((4, 4, 3), (index % 256, index // 256, good), np.uint8)
    mask = np.zeros((4, 4), bool)
    mask[index % 4, good] = True
    return Anomaly(image, mask, image, 1.0, "dtd", "generated")


def sizes(batch_size: int, fresh: int, window: int, workers: int = 0) -> TrainingConfig:
    return TrainingConfig(batch_size=batch_size, fresh_anomalies=fresh, anomaly_window=window, workers=workers)


def numbered_batches(half: int, fresh: int, window: int, share: slice = slice(None)) -> Batches:
    goods = [np.full((4, 4, 3), (255, 255, number), np.uint8) for number in range(GOODS - 1)]
    features = GoodFeatures(goods, Pixels().select, CPU, 1.0)
    return Batches(Pixels(), numbered, features, 7, sizes(2 * half, fresh, window), share)  # type: ignore[arg-type]


def real_batches(window: int = 6, fresh: int = 2, seed: int = 3, workers: int = 0) -> Batches:
    rng = np.random.default_rng(0)
    goods = [picture(rng, 32)[0] for _ in range(GOODS)]
    features = GoodFeatures(goods, Pixels().select, CPU, 1.0)
    synthesizer = Synthesizer(goods, SynthesisConfig(), seed)
    return Batches(Pixels(), synthesizer, features, seed, sizes(4, fresh, window, workers))  # type: ignore[arg-type]


def defects_of(batch: Batch) -> list[int]:
    """The numbers of the defects in a batch of :func:`numbered_batches`."""
    anomalous = batch.anomalous[0][len(batch.mask) // 2 :, :2, 0, 0]
    return [int(low + 256 * high) for low, high in anomalous.tolist()]


def assert_same(one: Sequence[Batch], other: Sequence[Batch]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.mask, b.mask)
        for x, y in zip([*a.anomalous, *a.normal], [*b.anomalous, *b.normal], strict=True):
            assert torch.equal(x, y)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 6), st.integers(0, 5))
def test_training_may_start_at_any_step(half: int, fresh: int, more: int, start: int) -> None:
    """Also with a window that is no multiple of the fresh defects, and with more of these than half a batch."""
    window = max(half, fresh) + more
    whole = list(numbered_batches(half, fresh, window).starting_at(0, 6))
    assert len(whole) == 6
    assert_same(list(numbered_batches(half, fresh, window).starting_at(start, 6)), whole[start:])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 6))
def test_each_step_draws_different_defects_out_of_its_window(half: int, fresh: int, more: int) -> None:
    window = max(half, fresh) + more
    for step, batch in enumerate(numbered_batches(half, fresh, window).starting_at(0, 8)):
        drawn = defects_of(batch)
        assert len(set(drawn)) == half
        assert fresh * step <= min(drawn)
        assert max(drawn) < fresh * step + window


def test_every_defect_of_the_window_is_in_use() -> None:
    drawn = {n for batch in numbered_batches(2, 1, 9).starting_at(0, 60) for n in defects_of(batch)}
    assert len(drawn) > 40, "with one fresh defect a step and two drawn, most of the 68 made are seen"


def test_half_of_a_batch_is_normal_and_the_target_is_the_very_good_image() -> None:
    for batch in numbered_batches(3, 2, 7).starting_at(0, 5):
        assert batch.mask.shape == (6, 1, 4, 4)
        assert not batch.mask[:3].any()
        for anomalous, normal in zip(batch.anomalous, batch.normal, strict=True):
            assert torch.equal(anomalous[:3], normal[:3])
            assert (normal[:3, 0] == 255).all(), "the normal half holds good images only"
            assert torch.equal(anomalous[3:, 2], normal[3:, 2]), "the target has the number of the good image"
            assert (normal[3:, 0] == 255).all()
        numbers = defects_of(batch)
        goods = batch.normal[0][3:, 2, 0, 0].long().tolist()
        for number, good, mask in zip(numbers, goods, batch.mask[3:], strict=True):
            assert torch.equal(mask[0].bool(), torch.from_numpy(numbered(number, good).mask)), "the mask is its own"


def test_real_defects_differ_from_their_target_only_inside_the_mask() -> None:
    for batch in real_batches().starting_at(0, 4):
        changed = (batch.anomalous[0] - batch.normal[0]).abs().amax(1, keepdim=True) > 0.5
        assert not changed[:2].any()
        assert changed[2:].flatten(1).any(1).all()
        outside = changed & ~batch.mask.bool()
        assert outside.sum() <= 0.02 * batch.mask.numel(), "a defect's soft rim, no other image"


def test_normal_images_come_in_shuffled_passes() -> None:
    passes = [shuffled_index(7, 1, position) for position in range(21)]
    assert all(sorted(passes[i : i + 7]) == list(range(7)) for i in (0, 7, 14))
    assert passes[:7] != passes[7:14] or passes[7:14] != passes[14:]
    assert passes != [shuffled_index(7, 2, position) for position in range(21)]


def test_training_goes_through_all_good_images() -> None:
    """In the normal half in whole passes, and in the defects it makes."""
    batches = list(numbered_batches(2, 2, 4).starting_at(0, 12))
    normal = [int(number) for batch in batches for number in batch.normal[0][:2, 2, 0, 0]]
    assert all(sorted(normal[i : i + 4]) == list(range(4)) for i in range(0, 24, 4))
    assert {int(number) for batch in batches for number in batch.normal[0][2:, 2, 0, 0]} == set(range(4))


def test_seeds_differ_and_repeat() -> None:
    first = list(real_batches(seed=3).starting_at(0, 2))
    assert_same(list(real_batches(seed=3).starting_at(0, 2)), first)
    assert not torch.equal(next(real_batches(seed=4).starting_at(0, 1)).anomalous[0], first[0].anomalous[0])


def test_workers_change_nothing() -> None:
    assert_same(list(real_batches(workers=2).starting_at(1, 4)), list(real_batches().starting_at(1, 4)))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_every_batch(processes: int) -> None:
    def rows(batch: Batch) -> list[list[float]]:
        return sorted(torch.cat([batch.anomalous[0], batch.normal[0], batch.mask], 1).flatten(1).tolist())

    whole = list(numbered_batches(6, 3, 8).starting_at(0, 3))
    shares = [list(numbered_batches(6, 3, 8, slice(r, None, processes)).starting_at(0, 3)) for r in range(processes)]
    for step, batch in enumerate(whole):
        parts = [share[step] for share in shares]
        assert all(len(part.mask) == 12 // processes for part in parts)
        assert sorted(row for part in parts for row in rows(part)) == rows(batch)


@pytest.fixture(scope="module")
def model() -> RealNet:
    return RealNet(tiny(), pretrained=False).eval()


def test_cached_and_computed_features_agree(model: RealNet) -> None:
    rng = np.random.default_rng(1)
    goods = [picture(rng)[0] for _ in range(GOODS)]
    kept = GoodFeatures(goods, model.backbone.extract, CPU, 1.0)
    made = GoodFeatures(goods, model.backbone.extract, CPU, 0.0)
    assert kept.cache is not None
    assert made.cache is None
    for numbers in ([0], [3, 1, 3], range(GOODS)):
        for a, b in zip(kept[numbers], made[numbers], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    selected = [features.then(model.select_from) for features in (kept, made)]
    assert kept.cache is None, "the raw features are released"
    expected = model.select(torch.from_numpy(np.stack([goods[4], goods[0]])).permute(0, 3, 1, 2) / 255)
    for features in selected:
        for a, b in zip(features[[4, 0]], expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_a_kept_feature_is_exactly_what_was_computed() -> None:
    rng = np.random.default_rng(1)
    goods = [picture(rng, 8)[0] for _ in range(20)]
    kept, made = (GoodFeatures(goods, Pixels().select, CPU, gigabytes) for gigabytes in (1.0, 0.0))
    assert all(torch.equal(a, b) for a, b in zip(kept[[19, 0, 17]], made[[19, 0, 17]], strict=True))
    everything = [torch.cat(parts) for parts in zip(*kept.batches(6), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(everything, made[range(20)], strict=True))
