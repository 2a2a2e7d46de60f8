"""Evidence and heads: the definitions written out, and what a residual does to the map."""

import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

from realnet.config import DiscriminatorConfig, RrsConfig
from realnet.model.evidence import (
    EvidenceDiscriminator,
    EvidenceHead,
    enlarged_by_cell,
    probability,
    smooth,
)

CHANNELS, SIZE = (3, 5), (64, 64)


def residuals(n: int = 12, seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.rand(n, c, side, side, generator=g) * 2 for c, side in zip(CHANNELS, (16, 8), strict=True)]


def fitted(mode: str = "max&mean", **fields: object) -> EvidenceDiscriminator:
    config = DiscriminatorConfig.model_validate({"kind": "evidence", "width": 4, "layer_weights": (1.0, 0.5), **fields})
    module = EvidenceDiscriminator(CHANNELS, config, RrsConfig.model_validate({"mode": mode})).eval()
    good = residuals()
    for k, residual in enumerate(good):
        module.fit_typical(k, residual.amax((2, 3)))
    module.fit_evidence(module.log_energies(good), SIZE)
    return module


def test_evidence_is_a_weighted_sum_of_standardised_log_energies() -> None:
    module, good, shown = fitted(), residuals(), residuals(2, seed=1)
    total = torch.zeros(2, 16, 16)
    reference = torch.zeros(12, 16, 16)
    for k, weight in enumerate((1.0, 0.5)):
        log = good[k].mean(1).log()
        for target, images in ((total, shown), (reference, good)):
            e = (images[k].mean(1).log() - log.mean()) / log.std(correction=0)
            target += weight * F.interpolate(e[:, None], size=(16, 16), mode="bilinear")[:, 0]
    reference, total = smooth(reference[:, None]), smooth(total[:, None])
    expected = (total - reference.mean()) / reference.std(correction=0)
    with torch.no_grad():
        found = module(shown, SIZE).score
    torch.testing.assert_close(found, F.interpolate(expected, size=SIZE, mode="bilinear"), atol=1e-3, rtol=1e-3)


def test_the_map_is_made_of_what_rrs_hands_on_and_the_score_of_all() -> None:
    shown = residuals(1)
    quiet = [r.clone() for r in shown]
    selected = fitted("max")
    kept = selected.log_energies(shown)
    lowest = int(shown[1][0].amax((1, 2)).div(selected.get_buffer("typical_1")).argmin())
    quiet[1][0, lowest] *= 0.5  # a channel that RRS leaves out
    changed = selected.log_energies(quiet)
    assert torch.equal(kept[1][:, 0], changed[1][:, 0])
    assert not torch.equal(kept[1][:, 1], changed[1][:, 1])
    everything = fitted("off").log_energies(shown)
    assert torch.equal(everything[1][:, 0], everything[1][:, 1])


def test_nothing_learned_is_the_evidence_alone() -> None:
    module, shown = fitted(), residuals(1)
    with torch.no_grad():
        before = module(shown, SIZE)
        for parameter in module.heads.parameters():
            parameter.add_(1.0)
        after = module(shown, SIZE)
    assert torch.equal(before.score, after.score)
    assert torch.equal(before.map, after.map)


def test_what_is_learned_is_standardised_and_weighed() -> None:
    module, shown = fitted(learned=2.0), residuals(2)
    energies = module.log_energies(shown)
    alone = module.conclude(energies, torch.zeros(2, 1, 16, 16), SIZE)
    module.fit_learned(
        torch.randn(12, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 7 + 3, SIZE, trained=True
    )
    assert module.trained
    logits = torch.full((2, 1, 16, 16), float(module.learned_mean + 4 / module.learned_scale))
    together = module.conclude(energies, logits, SIZE)
    torch.testing.assert_close(together.map, (alone.map + 0.5 * 4) / 1.5, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(together.score, (alone.score + 1 * 4) / 2, atol=1e-3, rtol=1e-3)


def test_a_residual_raises_the_map_where_it_is() -> None:
    module = fitted()
    shown = residuals(1)
    with torch.no_grad():
        before = module(shown, SIZE).map
        shown[0][:, :, 2:6, 2:6] *= 50
        change = (module(shown, SIZE).map - before)[0, 0]
    assert int(change.argmax()) // 64 in range(8, 24)
    assert float(change[40:, 40:].abs().mean()) < float(change.max()) / 4


def test_identical_good_images_have_no_deviation_to_divide_by() -> None:
    module = fitted()
    same = [r[:1].expand(5, -1, -1, -1) * 0 + 1 for r in residuals()]
    module.fit_evidence(module.log_energies(same), SIZE)
    with torch.no_grad():
        noisy = [r[:1] * 1.0001 for r in same]
        assert module(noisy, SIZE).score.abs().max() < 0.1


def test_the_entry_commutes_with_enlarging() -> None:
    head = EvidenceHead(CHANNELS, 4).eval()
    logs = [r.log1p() for r in residuals(2)]
    entered = F.interpolate(logs[1], size=(16, 16), mode="bilinear")
    first = F.conv2d(logs[0], head.entry[0].weight) + F.conv2d(entered, head.entry[1].weight)
    with torch.no_grad():
        torch.testing.assert_close(head(logs), head.body(first), atol=1e-5, rtol=1e-4)


def test_smoothing_is_gaussian_with_mirrored_edges() -> None:
    plane = torch.rand(1, 1, 20, 24)
    expected = gaussian_filter(plane[0, 0].numpy(), 1.0, mode="mirror", truncate=4.0)
    torch.testing.assert_close(smooth(plane)[0, 0], torch.from_numpy(expected), atol=1e-5, rtol=1e-4)


def test_cells_are_enlarged_by_bilinear_interpolation() -> None:
    cells = torch.randn(2, 1, 5, 7)
    expected = F.interpolate(cells, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarged_by_cell(cells), expected)


@pytest.mark.parametrize(("z", "p"), [(4.0, 0.5), (0.0, 0.018), (8.0, 0.982)])
def test_half_lies_at_four_deviations(z: float, p: float) -> None:
    assert float(probability(torch.tensor(z))) == pytest.approx(p, abs=1e-3)
