"""What makes the general head: products that stay the same, and batches whose masks stay where the defects are."""

from collections.abc import Iterator

import numpy as np
import pretraining.__main__ as script
import pytest
import torch
import torch.nn.functional as F
from pretraining.residuals import EACH, ProductResiduals, products

from realnet.model.general import CHANNELS

GRIDS = (32, 16, 8)


@pytest.fixture
def seen() -> Iterator[list[ProductResiduals]]:
    """Three products of noise, whose defects are loud where their masks are."""
    g = torch.Generator().manual_seed(0)
    made = []
    for _ in range(3):
        masks = torch.zeros(6, 1, 256, 256, dtype=torch.uint8)
        for mask in masks:
            top, left = torch.randint(0, 128, (2,), generator=g).tolist()
            mask[:, top : top + 96, left : left + 64] = 1
        good = [torch.rand(8, c, side, side, generator=g).half() for c, side in zip(CHANNELS, GRIDS, strict=True)]
        defects = [
            (torch.rand(6, c, side, side, generator=g) + 3 * F.adaptive_avg_pool2d(masks.float(), side)).half()
            for c, side in zip(CHANNELS, GRIDS, strict=True)
        ]
        made.append(ProductResiduals(good, defects, masks))
    yield made


def test_products_are_many_and_repeatable() -> None:
    first = {product.name: product for product in products(0)}
    assert len(first) == 21 * EACH, "a name each"
    for product in list(products(0))[3:10]:
        images = [p.draw(np.random.default_rng(5)) for p in (product, first[product.name])]
        assert images[0].shape == (256, 256, 3)
        assert images[0].dtype == np.uint8
        assert np.array_equal(*images)
        assert not np.array_equal(images[0], product.draw(np.random.default_rng(6))), "each image varies"


def test_masks_stay_where_the_defects_are(seen: list[ProductResiduals]) -> None:
    logs, masks = script._batch(seen, np.random.default_rng(0))
    assert [tuple(log.shape[1:]) for log in logs] == [(c, s, s) for c, s in zip(CHANNELS, GRIDS, strict=True)]
    for log in logs:
        marked = F.adaptive_avg_pool2d(masks.float(), log.shape[-1])[:, 0]
        torch.testing.assert_close(log.mean(1), 0.5 + 3 * marked, atol=0.3, rtol=0)


def test_training_learns_what_all_products_share(seen: list[ProductResiduals], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "STEPS", 30)
    monkeypatch.setattr(script, "WARM_UP", 5)
    head = script.train(seen, seed=0)
    logs, masks = script._batch(seen, np.random.default_rng(1))
    with torch.no_grad():
        found = head(logs) > 0
    truth = F.adaptive_avg_pool2d(masks.float(), 32) > 0.5
    assert float((found == truth).float().mean()) > 0.97
