"""The head that comes with the package: its file, fewer channels, and what it adds to the score."""

import pytest
import torch

from realnet.config import DiscriminatorConfig, RrsConfig
from realnet.errors import UserError
from realnet.model import general
from realnet.model.evidence import EvidenceDiscriminator, EvidenceHead
from realnet.model.general import CHANNELS, WIDTH, general_weights
from realnet.overriding import override
from realnet.presets import presets

SIDES = (16, 8, 4)


def logs(n: int = 2) -> list[torch.Tensor]:
    return [torch.rand(n, c, side, side) for c, side in zip(CHANNELS, SIDES, strict=True)]


def test_the_file_fits_and_is_small() -> None:
    head = EvidenceHead(CHANNELS, WIDTH).eval()
    head.load_state_dict(general_weights([None, None, None]))
    assert head(logs()).isfinite().all()
    assert sum(t.numel() * 2 for t in head.state_dict().values()) < 2**20


def test_it_finds_more_in_a_residual_that_stands_out() -> None:
    head = EvidenceHead(CHANNELS, WIDTH).eval()
    head.load_state_dict(general_weights([None, None, None]))
    quiet = [torch.full((1, c, side, side), 0.5) for c, side in zip(CHANNELS, SIDES, strict=True)]
    loud = [log.clone() for log in quiet]
    for log, side in zip(loud, SIDES, strict=True):
        log[..., : side // 2, : side // 2] = 2.5
    with torch.no_grad():
        change = (head(loud) - head(quiet))[0, 0]
    assert float(change[:6, :6].mean()) > 1
    assert float(change[12:, 12:].abs().mean()) < float(change[:6, :6].mean())


def test_fewer_channels_are_fewer_columns() -> None:
    every, few = EvidenceHead(CHANNELS, WIDTH).eval(), EvidenceHead((20, 112, 320), WIDTH).eval()
    chosen = torch.randperm(40)[:20].sort().values
    every.load_state_dict(general_weights([None, None, None]))
    few.load_state_dict(general_weights([chosen, None, None]))
    shown = logs()
    hidden = torch.zeros_like(shown[0])
    hidden[:, chosen] = 2 * shown[0][:, chosen]
    with torch.no_grad():
        torch.testing.assert_close(few([shown[0][:, chosen], *shown[1:]]), every([hidden, *shown[1:]]))


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(general, "_SHA256", "0" * 64)
    with pytest.raises(UserError, match="install the package again"):
        general_weights([None, None, None])


def test_it_counts_in_the_score_alone() -> None:
    config = DiscriminatorConfig(kind="evidence", width=4)
    module = EvidenceDiscriminator(CHANNELS, config, RrsConfig(), general=0.5).eval()
    good = [log.expm1() for log in logs(8)]
    energies = module.log_energies(good)
    module.fit_evidence(energies, (64, 64))
    none = torch.zeros(8, 1, 16, 16)
    alone = module.conclude(energies, none, None, (64, 64))
    module.fit_general(torch.randn(8, 1, 16, 16) * 7 + 3, (64, 64))
    told = torch.full((8, 1, 16, 16), float(module.general_mean + 4 / module.general_scale))
    together = module.conclude(energies, none, told, (64, 64))
    torch.testing.assert_close(together.map, alone.map)
    torch.testing.assert_close(together.score, (alone.score + 0.5 * 4) / 1.5, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("field", "counts"),
    [
        ("seed=1", 0.5),
        ("model.afs.dimensions=[20, 56, 160]", 0.5),
        ("model.discriminator.general=0", 0.0),
        ("model.backbone.name=resnet18", 0.0),
        ("model.afs.method=rlpr", 0.0),
        ("model.reconstruction.architecture=C", 0.0),
        ("model.backbone.standardise=false", 0.0),
    ],
)
def test_it_counts_where_it_knows_the_residuals(field: str, counts: float) -> None:
    assert override(presets["lite"], [field]).model.general == counts
