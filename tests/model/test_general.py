"""The head that comes with the package: its file, fewer channels, what it adds to the score, and that training starts
from it."""

import pytest
import torch

from realnet.config import GENERAL_WIDTH, Config, DiscriminatorConfig, RrsConfig
from realnet.errors import UserError
from realnet.model import general
from realnet.model.evidence import EvidenceDiscriminator, EvidenceHead
from realnet.model.general import CHANNELS, general_weights
from realnet.model.network import RealNet
from realnet.overriding import override
from realnet.presets import presets
from realnet.training.folds import load_general

SIDES = (16, 8, 4)


def logs(n: int = 2) -> list[torch.Tensor]:
    return [torch.rand(n, c, side, side) for c, side in zip(CHANNELS, SIDES, strict=True)]


def test_the_file_fits_and_is_small() -> None:
    head = EvidenceHead(CHANNELS, GENERAL_WIDTH).eval()
    head.load_state_dict(general_weights([None, None, None]))
    assert head(logs()).isfinite().all()
    assert sum(t.numel() * 2 for t in head.state_dict().values()) < 2**20


def test_it_finds_more_in_a_residual_that_stands_out() -> None:
    head = EvidenceHead(CHANNELS, GENERAL_WIDTH).eval()
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
    every, few = EvidenceHead(CHANNELS, GENERAL_WIDTH).eval(), EvidenceHead((20, 112, 320), GENERAL_WIDTH).eval()
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


def test_untrained_it_counts_in_the_score_most() -> None:
    config = DiscriminatorConfig(kind="evidence", width=4)
    module = EvidenceDiscriminator(CHANNELS, config, RrsConfig(), general=0.5).eval()
    good = [log.expm1() for log in logs(8)]
    energies = module.log_energies(good)
    module.fit_evidence(energies, (64, 64))
    none = torch.zeros(8, 1, 16, 16)
    alone = module.conclude(energies, none, (64, 64))
    module.fit_learned(torch.randn(8, 1, 16, 16) * 7 + 3, (64, 64), trained=False)
    assert not module.trained
    told = torch.full((8, 1, 16, 16), float(module.learned_mean + 4 / module.learned_scale))
    together = module.conclude(energies, told, (64, 64))
    torch.testing.assert_close(together.map, (alone.map + 0.15 * 0.5 * 4) / (1 + 0.15 * 0.5), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together.score, (alone.score + 0.5 * 4) / 1.5, atol=1e-4, rtol=1e-4)


def test_heads_start_as_it() -> None:
    lite = override(presets["lite"], ["model.afs.method=none"])
    heads = started(lite)
    known = general_weights([None, None, None])
    for head in heads:
        torch.testing.assert_close(dict(head.state_dict()), known)
    first, second = started(override(lite, ["model.discriminator.general=0"]))
    assert not torch.equal(first.entry[0].weight, second.entry[0].weight), "at random"


def started(config: Config) -> torch.nn.ModuleList:
    model = RealNet(config)
    load_general(model)
    return model.discriminator.heads  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("field", "counts"),
    [
        ("seed=1", 0.75),
        ("model.afs.dimensions=[20, 56, 160]", 0.75),
        ("model.discriminator.general=0", 0.0),
        ("model.discriminator.width=48", 0.0),
        ("model.backbone.name=resnet18", 0.0),
        ("model.afs.method=rlpr", 0.0),
        ("model.reconstruction.architecture=C", 0.0),
        ("model.backbone.standardise=false", 0.0),
    ],
)
def test_it_counts_where_it_knows_the_residuals(field: str, counts: float) -> None:
    assert override(presets["lite"], [field]).model.general == counts
