"""Whether an image shows the product at all."""

import pytest
import torch

from realnet.model.familiarity import Familiarity, describe


def descriptions(count: int, centre: float, spread: float = 1.0, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return centre + spread * torch.randn(count, 12, generator=g)


def fitted(good: torch.Tensor, scale: float = 1.0, bounded: bool = True) -> Familiarity:
    module = Familiarity([2, 4])
    module.fit(good, torch.arange(len(good)) % 4, torch.full((6,), scale), bounded)
    return module


def test_a_description_is_mean_and_deviation_of_each_channel() -> None:
    features = [torch.rand(3, 2, 4, 5), torch.rand(3, 4, 2, 2)]
    found = describe(features)
    means = torch.cat([f.flatten(2).mean(2) for f in features], 1)
    deviations = torch.cat([f.flatten(2).std(2, correction=0) for f in features], 1)
    torch.testing.assert_close(found, torch.cat([means, deviations], 1), atol=1e-5, rtol=1e-4)


def test_good_images_are_known_and_another_product_is_not() -> None:
    module = fitted(descriptions(40, 0))
    assert float(module(descriptions(200, 0, seed=1)).max()) < 1
    assert float(module(descriptions(200, 9, seed=2)).min()) > 1


def test_the_limit_is_half_again_the_strangest_good_image_of_its_fold() -> None:
    good, folds = descriptions(12, 0).square(), torch.arange(12) % 4
    strangest = 0.0
    for number in range(4):
        others = good[folds != number]
        spread = (others.var(0, correction=0) + 0.04).sqrt()
        left = ((good[folds == number] - others.mean(0)) / spread).square().mean(1).sqrt()
        strangest = max(strangest, float(left.max()))
    assert strangest > 4 / 3, "above the least limit"
    assert float(fitted(good).limit) == pytest.approx(1.5 * strangest, rel=1e-4)


def test_good_images_that_are_all_alike_leave_room_for_defects() -> None:
    good = torch.zeros(20, 12)
    module = fitted(good + 1e-3 * descriptions(20, 0))
    assert float(module(torch.full((1, 12), 0.3))) < 1, "of a channel's deviation, in everything"
    assert float(module(torch.full((1, 12), 0.5))) > 1


def test_before_it_is_fitted_and_without_a_bound_all_is_known() -> None:
    strange = torch.full((1, 12), 1e6)
    assert float(Familiarity([2, 4])(strange)) < 1
    assert float(fitted(descriptions(9, 0), bounded=False)(strange)) < 1


def test_of_two_products_the_narrower_is_nearer_at_the_same_distance_and_units_do_not_count() -> None:
    wide, narrow = fitted(descriptions(400, 0, 3.0)), fitted(descriptions(400, 0, 0.5))
    near = descriptions(50, 0, 0.5, seed=3)
    assert (narrow.unlikelihood(near) < wide.unlikelihood(near)).all()
    # The same product seen by features that were divided by ten times as much, far from the least deviation.
    good = descriptions(100, 0, 40.0)
    torch.testing.assert_close(
        fitted(good).unlikelihood(good), fitted(good / 10, 10.0).unlikelihood(good / 10), atol=1e-2, rtol=1e-3
    )
