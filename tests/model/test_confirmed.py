"""The head of confirmed defects: linear in the logarithms, and nothing where there is none."""

import torch
import torch.nn.functional as F

from realnet.model.confirmed import FOLDS, ConfirmedHead
from realnet.model.evidence import smooth
from tests.model.test_evidence import CHANNELS, SIZE, fitted, residuals


def filled() -> tuple[ConfirmedHead, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(5)
    head = ConfirmedHead(CHANNELS)
    weights, offsets = torch.randn(FOLDS, sum(CHANNELS), generator=g), torch.randn(FOLDS, generator=g)
    head.set_heads(weights, offsets)
    return head, weights, offsets


def test_it_is_linear_in_the_enlarged_logarithms() -> None:
    head, weights, offsets = filled()
    logs = [residual.log1p() for residual in residuals(2)]
    large = torch.cat([F.interpolate(log, size=(16, 16), mode="bilinear") for log in logs], 1)
    expected = torch.einsum("fc,bchw->bfhw", weights, large) + offsets[:, None, None]
    torch.testing.assert_close(head(logs), expected, atol=1e-5, rtol=1e-5)


def test_it_joins_the_score_with_half_a_part_and_leaves_the_map() -> None:
    module, shown = fitted(), residuals(2, seed=1)
    with torch.no_grad():
        before = module(shown, SIZE)
        module.add_confirmed()
        silent = module(shown, SIZE)
        torch.testing.assert_close(silent.score, before.score / 1.5)
        assert module.confirmed is not None
        head, weights, offsets = filled()
        module.confirmed.set_heads(weights, offsets)
        logits = head([residual.log1p() for residual in residuals()]).mean(1, keepdim=True)
        module.fit_confirmed(logits, SIZE)
        after = module(shown, SIZE)
    assert torch.equal(after.map, before.map) and torch.equal(silent.map, before.map)
    own = module.confirmed.standardised(head([r.log1p() for r in shown]).mean(1, keepdim=True))
    total = (before.score + 0.5 * F.interpolate(smooth(own), size=SIZE, mode="bilinear")) / 1.5
    torch.testing.assert_close(after.score, total, atol=1e-4, rtol=1e-4)


def test_good_images_are_its_unit() -> None:
    module = fitted()
    module.add_confirmed()
    logits = torch.randn(12, 1, 16, 16, generator=torch.Generator().manual_seed(2)) * 7 + 3
    module.fit_confirmed(logits, SIZE)
    assert module.confirmed is not None
    of_good = smooth(module.confirmed.standardised(logits))
    assert abs(float(of_good.mean())) < 1e-4 and abs(float(of_good.std(correction=0)) - 1) < 1e-4
