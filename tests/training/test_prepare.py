"""What is fitted before the first step, and the split into training and validation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.data import Sample, open_dataset
from realnet.errors import UserError
from realnet.model.afs import afs_loss
from realnet.model.network import RealNet
from realnet.training import prepare
from realnet.training.batches import GoodFeatures, shuffled_index, to_tensor
from realnet.training.prepare import fit_selection, good_images, make_synthesizer, make_validation, split_good
from tests.data.layouts import make_mvtec
from tests.training.tiny import tiny

CPU = torch.device("cpu")


def samples_of(counts: dict[str, int]) -> list[Sample]:
    return [
        Sample(Path(f"{name}/{number}.png"), name, "train") for name, count in counts.items() for number in range(count)
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(2, 40), min_size=1),
    st.floats(0.01, 0.49),
    st.integers(0, 5),
)
def test_each_category_is_split_without_overlap(counts: dict[str, int], share: float, seed: int) -> None:
    samples = samples_of(counts)
    split = split_good(samples, share, seed)
    assert sorted(s.image for s in (*split.train, *split.held_out)) == sorted(s.image for s in samples)
    for name, count in counts.items():
        held_out = sum(s.category == name for s in split.held_out)
        assert 1 <= held_out < count
        assert abs(held_out - share * count) <= 1
    assert split_good(samples, share, seed) == split


def test_a_share_of_nothing_trains_on_all() -> None:
    samples = samples_of({"a": 5})
    split = split_good(samples, 0, 0)
    assert (split.train, split.held_out, split.judged) == (tuple(samples), (), tuple(samples))
    assert split_good(samples, 0.4, 0).judged == split_good(samples, 0.4, 0).held_out


def test_generated_images_of_several_products_are_refused() -> None:
    samples = samples_of({"a": 1, "b": 1})
    config = tiny("synthesis.source=sia", "synthesis.directory=anywhere")
    with pytest.raises(UserError, match="belong to one product, and these are 2: use --synthesis dtd"):
        make_synthesizer(samples, good_images(samples, config), config, 0)


def test_the_seed_decides_what_is_held_out() -> None:
    samples = samples_of({"a": 50})
    assert len({split_good(samples, 0.2, seed).held_out for seed in range(4)}) == 4


def test_one_good_image_is_too_few() -> None:
    with pytest.raises(UserError, match="lonely has 1 good image"):
        split_good(samples_of({"many": 9, "lonely": 1}), 0.1, 0)


def test_test_images_are_never_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (category,) = open_dataset(make_mvtec(tmp_path))
    split = split_good(category.train, 0.3, 0)
    assert {s.split for s in (*split.train, *split.held_out)} == {"train"}
    config = tiny()
    shown: list[np.ndarray] = []

    def remember(images: list[np.ndarray]) -> torch.Tensor:
        shown.extend(images)
        return to_tensor(images)

    monkeypatch.setattr("realnet.training.validation.to_tensor", remember)
    validation = make_validation(RealNet(config, pretrained=False), split.held_out, config, CPU)
    held_out = list(good_images(split.held_out, config))
    assert len(shown) == 3 * len(held_out), "each held-out image and two defects made of it"
    for number, image in enumerate(held_out):
        assert np.array_equal(shown[number], image)
    # Nor is a defect the one that training draws under the same number.
    training = make_synthesizer(split.held_out, good_images(split.held_out, config), config, config.seed)
    for index, defect in enumerate(shown[len(held_out) :]):
        assert not np.array_equal(defect, training(index, index % len(held_out)).image)
    labels = validation.labels.tolist()
    assert labels == [False] * len(held_out) + [True] * (2 * len(held_out))
    assert validation.masks is not None
    assert validation.masks.any((1, 2)).tolist() == labels


def test_selection_takes_the_channels_that_eq_4_ranks_best(tmp_path: Path) -> None:
    (category,) = open_dataset(make_mvtec(tmp_path))
    config = tiny("model.backbone.standardise=false")
    images = good_images(category.train, config)
    synthesizer = make_synthesizer(category.train, images, config, config.seed)
    model = RealNet(config)
    fit_selection(model, GoodFeatures(images, model.backbone.extract, CPU, 1.0), synthesizer, config)

    size = config.model.afs.batch_size
    goods = [shuffled_index(len(images), config.seed, p) for p in range(size)]
    defects = [synthesizer(prepare._AFS_FIRST + p, g) for p, g in enumerate(goods)]
    normal = model.backbone(to_tensor([images[g] for g in goods]))
    anomalous = model.backbone(to_tensor([d.image for d in defects]))
    mask = torch.from_numpy(np.stack([d.mask for d in defects]))[:, None]
    for k, (a, i) in enumerate(zip(anomalous, normal, strict=True)):
        loss = afs_loss(a, i, mask)
        torch.testing.assert_close(model.afs.get_buffer(f"loss_{k}"), loss, rtol=1e-3, atol=1e-4)
        chosen = model.afs.get_buffer(f"index_{k}")
        others = [c for c in range(len(loss)) if c not in chosen.tolist()]
        assert loss[chosen].max() <= loss[others].min() + 1e-4


def test_standardised_features_have_no_mean_and_unit_deviation(tmp_path: Path) -> None:
    (category,) = open_dataset(make_mvtec(tmp_path))
    config = tiny()
    images = good_images(category.train, config)
    model = RealNet(config)
    raw = GoodFeatures(images, model.backbone.extract, CPU, 1.0)
    fit_selection(model, raw, make_synthesizer(category.train, images, config, 0), config)
    finest = torch.cat([model.backbone.standardised(batch)[0] for batch in raw.batches()])
    assert finest.mean((0, 2, 3)).abs().max() < 1e-3
    deviation = finest.std((0, 2, 3))
    assert deviation.median() == pytest.approx(1, abs=0.01)
    assert deviation.max() < 1.01
