"""Several inspectors behind one backbone: each image by its own, in a batch of any mixture."""

import pytest
import torch

from realnet.calibration import level
from realnet.model.familiarity import describe
from realnet.model.joined import JoinedNet, levels
from realnet.model.network import RealNet
from tests.training.tiny import tiny

THRESHOLDS = [(0.2, 0.4), (0.6, 0.3)]


@pytest.fixture(scope="module")
def joined() -> JoinedNet:
    """Of dark and of bright images."""
    config = tiny()
    first = RealNet(config, pretrained=False, seed=0).eval()
    second = RealNet(config, pretrained=False, seed=1, network=first.backbone.network).eval()
    for member, shown in ((first, images(12, 0.2)), (second, images(12, 0.8))):
        with torch.no_grad():
            member.backbone.fit_statistics([member.backbone.extract(shown)])
            described = describe(member.select(shown))
        assert member.familiarity is not None
        member.familiarity.fit(described, torch.arange(12) % 4, member.selected_scales())
    return JoinedNet([first, second], THRESHOLDS).eval()


def images(count: int, light: float) -> torch.Tensor:
    return light + 0.1 * torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(int(10 * light)))


def test_each_image_is_judged_by_the_inspector_of_its_product(joined: JoinedNet) -> None:
    shown = torch.cat([images(3, 0.2), images(2, 0.8)])[torch.tensor([3, 0, 1, 4, 2])]
    with torch.no_grad():
        found = joined.judge(shown)
        assert joined.product(joined.select(shown)).tolist() == [1, 0, 0, 1, 0]
        for row, product in enumerate([1, 0, 0, 1, 0]):
            alone = joined.members[product].judge(shown[row : row + 1])  # type: ignore[operator]
            score, pixel = THRESHOLDS[product]
            assert float(found.score[row]) == pytest.approx(level(float(alone.score), score), abs=1e-4)
            torch.testing.assert_close(
                found.anomaly_map[row], levels(alone.anomaly_map[0], torch.tensor(pixel)), atol=1e-4, rtol=1e-3
            )


def test_what_converters_are_given_says_the_same(joined: JoinedNet) -> None:
    shown = torch.cat([images(2, 0.8), images(2, 0.2), torch.zeros(1, 3, 64, 64)])
    with torch.no_grad():
        for ours, theirs in zip(joined.judge(shown), joined.judge_by_all(shown), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_what_neither_knows_has_the_score_of_the_unknown(joined: JoinedNet) -> None:
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::8] = 1
    with torch.no_grad():
        assert float(joined.judge(stripes).score) == 1.0
        assert float(joined.judge(images(1, 0.2)).score) < 1


def test_levels_are_those_of_a_calibration() -> None:
    values = torch.linspace(0, 1, 21)
    for threshold in (0.0, 0.35, 0.9):
        expected = torch.tensor([level(float(v), threshold) for v in values])
        torch.testing.assert_close(levels(values, torch.tensor(threshold)), expected, atol=1e-6, rtol=1e-5)
