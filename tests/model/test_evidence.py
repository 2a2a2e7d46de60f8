"""The direct path from residuals to the logit in presets that compress residuals, and the bound on what is learned."""

import torch

from realnet.config import DiscriminatorConfig
from realnet.model.discriminator import BOUND, Discriminator

CONFIG = DiscriminatorConfig(residual_layers=1, widths=(8, 8, 8, 8))


def logit(discriminator: Discriminator, residual: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits = discriminator.eval()(residual, (32, 32))
    return logits[:, 1] - logits[:, 0]


def test_untrained_the_evidence_alone_decides() -> None:
    discriminator = Discriminator(10, CONFIG, evidence=2)
    residual = torch.rand(1, 10, 8, 8)
    other = residual.clone()
    other[:, :8] = torch.rand(1, 8, 8, 8)  # everything but the evidence
    torch.testing.assert_close(logit(discriminator, residual), logit(discriminator, other))
    louder = residual.clone()
    louder[:, 8:, 2:6, 2:6] += 5
    change = logit(discriminator, louder) - logit(discriminator, residual)
    assert change.min() >= -1e-5
    assert change.max() > 4
    assert change[0, :4].abs().max() < change.max() / 4  # it stays where the residual is


def test_what_is_learned_moves_a_logit_by_no_more_than_the_bound() -> None:
    discriminator = Discriminator(10, CONFIG, evidence=2)
    residual = torch.rand(2, 10, 8, 8)
    before = logit(discriminator, residual)
    with torch.no_grad():
        for parameter in discriminator.head[2].parameters():
            parameter.normal_(std=1000)
    change = (logit(discriminator, residual) - before).abs()
    assert change.max() <= BOUND + 1e-4
    assert change.max() > BOUND / 2


def test_without_evidence_there_is_no_such_path() -> None:
    discriminator = Discriminator(10, CONFIG)
    assert not any(name.startswith(("weigh", "standardise")) for name in discriminator.state_dict())


def test_evidence_is_weighed_in_standard_deviations() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(4, CONFIG, evidence=1).train()
    small = torch.rand(64, 4, 8, 8)
    for _ in range(150):
        discriminator(small, (32, 32))
    large = Discriminator(4, CONFIG, evidence=1).train()
    large.load_state_dict({k: v for k, v in discriminator.state_dict().items() if "standardise" not in k}, strict=False)
    scaled = small.clone()
    scaled[:, 3:] *= 100
    for _ in range(150):
        large(scaled, (32, 32))
    torch.testing.assert_close(logit(discriminator, small), logit(large, scaled), atol=0.05, rtol=0.05)
