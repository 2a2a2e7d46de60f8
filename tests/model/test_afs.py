"""AFS against Eq. 4 written out, and its alternatives."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from realnet.config import AfsConfig
from realnet.errors import UserError
from realnet.model.afs import AFS, afs_loss
from realnet.model.network import RealNet
from tests.model.brute import bilinear, tiny


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def selection(method: str, channels: tuple[int, ...], dimensions: tuple[int, ...], seed: int = 0) -> AFS:
    config = AfsConfig.model_validate({"method": method, "dimensions": dimensions})
    return AFS(channels, config, generator(seed))


def brute_force_afs_of_features(anomalous: Tensor, normal: Tensor, mask: Tensor, epsilon: float) -> list[float]:
    n, channels, h, w = anomalous.shape
    height, width = mask.shape[-2:]
    losses = []
    for c in range(channels):
        difference = [
            [[float(anomalous[b, c, i, j] - normal[b, c, i, j]) ** 2 for j in range(w)] for i in range(h)]
            for b in range(n)
        ]
        values = [v for image in difference for row in image for v in row]
        low, high = min(values), max(values)
        total = 0.0
        for b in range(n):
            for i in range(h):
                for j in range(w):
                    target = float(mask[b, 0, i * height // h, j * width // w])
                    total += ((difference[b][i][j] - low) / (high - low + epsilon) - target) ** 2
        losses.append(total / (n * h * w))
    return losses


def brute_force_afs(anomalous: Tensor, normal: Tensor, mask: Tensor, epsilon: float) -> list[float]:
    """Eq. 4 as it is printed, one pixel of the image after the other."""
    n, channels = anomalous.shape[:2]
    height, width = mask.shape[-2:]
    losses = []
    for c in range(channels):
        difference = (anomalous[:, c : c + 1] - normal[:, c : c + 1]) ** 2
        low, high = float(difference.min()), float(difference.max())
        aligned = bilinear((difference - low) / (high - low + epsilon), (height, width))
        total = 0.0
        for b in range(n):
            for i in range(height):
                for j in range(width):
                    total += (float(aligned[b, 0, i, j]) - float(mask[b, 0, i, j])) ** 2
        losses.append(total / (n * height * width))
    return losses


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 3), h=st.integers(1, 5), w=st.integers(1, 5))
@pytest.mark.parametrize("align", ["mask", "features"])
def test_afs_loss_is_equation_4(align: str, seed: int, n: int, h: int, w: int) -> None:
    g = generator(seed)
    anomalous, normal = torch.randn(n, 3, h, w, generator=g), torch.randn(n, 3, h, w, generator=g)
    mask = (torch.rand(n, 1, 4 * h, 4 * w, generator=g) > 0.6).float()
    literal = brute_force_afs if align == "mask" else brute_force_afs_of_features
    expected = literal(anomalous, normal, mask, 1e-4)
    assert afs_loss(anomalous, normal, mask, align).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_mask_thinner_than_the_stride_vanishes_at_the_features_resolution_only() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[:, :, :, 35] = 1
    normal = torch.zeros(1, 2, 8, 8)
    anomalous = normal.clone()
    anomalous[:, 0, :, 4] = 1  # it outlines the line as well as eight columns can
    by_mask, by_features = (afs_loss(anomalous, normal, mask, align).tolist() for align in ("mask", "features"))
    assert by_mask[1] == pytest.approx(1 / 64), "a dead channel misses the line"
    assert by_features[1] == 0, "a dead channel is perfect where the mask has vanished"
    assert by_features[0] > by_features[1]


def test_the_configuration_chooses_the_alignment() -> None:
    batch = next(planted(5, [1], batches=1))
    for align in ("mask", "features"):
        chosen = AFS((5,), AfsConfig(dimensions=(2,), align=align), generator())
        chosen.fit([batch])
        torch.testing.assert_close(chosen.get_buffer("loss_0"), afs_loss(batch[0][0], batch[1][0], batch[2], align))


def test_a_perfect_outline_has_no_loss_and_a_dead_channel_the_mask_s_area() -> None:
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, 2:6, 4:8] = 1
    normal = torch.randn(2, 2, 8, 8, generator=generator())
    anomalous = normal.clone()
    anomalous[:, 0] += 3 * mask[:, 0]
    for align in ("mask", "features"):  # of one size, they are the same
        perfect, dead = afs_loss(anomalous, normal, mask.bool(), align).tolist()
        assert perfect < 1e-6
        assert dead == pytest.approx(16 / 64)


def planted(
    channels: int, good: list[int], batches: int, seed: int = 0
) -> Iterator[tuple[list[Tensor], list[Tensor], Tensor]]:
    """Batches in which exactly the channels ``good`` outline the defect."""
    g = generator(seed)
    for _ in range(batches):
        mask = torch.zeros(2, 1, 16, 16)
        mask[0, :, 4:8, 4:12] = mask[1, :, 8:12, 0:4] = 1
        normal = torch.randn(2, channels, 4, 4, generator=g)
        noise = torch.rand(2, channels, 4, 4, generator=g)
        noise[:, good] = mask[:, :, ::4, ::4] * 2 + 0.01 * noise[:, good]
        yield [normal + noise], [normal], mask


def test_afs_selects_the_planted_channels_sorted_in_a_single_pass() -> None:
    chosen = selection("afs", (12,), (3,))
    chosen.fit(planted(12, [9, 2, 7], batches=4))  # a generator: a second pass would find nothing
    assert chosen.get_buffer("index_0").tolist() == [2, 7, 9]
    x = torch.randn(1, 12, 4, 4)
    assert torch.equal(chosen([x])[0], x[:, [2, 7, 9]])


def test_the_losses_kept_are_means_over_the_batches() -> None:
    chosen = selection("afs", (5,), (2,))
    batches = list(planted(5, [1], batches=3))
    chosen.fit(batches)
    each = torch.stack([afs_loss(a[0], i[0], mask) for a, i, mask in batches])
    torch.testing.assert_close(chosen.get_buffer("loss_0"), each.mean(0))


def test_afs_without_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        selection("afs", (5,), (2,)).fit(iter(()))


def test_rdr_takes_sorted_channels_by_seed() -> None:
    chosen = [selection("rdr", (40, 60), (10, 20), seed).get_buffer("index_1").tolist() for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert chosen[0] == sorted(set(chosen[0]))
    assert len(chosen[0]) == 20
    assert max(chosen[0]) > 20, "not simply the first ones"
    x = torch.randn(2, 60, 3, 3)
    assert torch.equal(selection("rdr", (40, 60), (10, 20))([torch.zeros(2, 40, 6, 6), x])[1], x[:, chosen[0]])


def test_rlpr_is_a_linear_map_of_the_channels_by_seed() -> None:
    project = selection("rlpr", (7,), (9,))
    x, y = torch.randn(2, 7, 3, 5), torch.randn(2, 7, 3, 5)
    assert torch.equal(project([x])[0], selection("rlpr", (7,), (9,))([x])[0])
    assert not torch.equal(project([x])[0], selection("rlpr", (7,), (9,), seed=1)([x])[0])
    torch.testing.assert_close(project([2 * x - 3 * y])[0], 2 * project([x])[0] - 3 * project([y])[0])
    matrix = project.get_buffer("projection_0")
    torch.testing.assert_close(project([x])[0][1, :, 2, 3], matrix @ x[1, :, 2, 3])
    assert project([x])[0].shape == (2, 9, 3, 5)


def test_rlpr_keeps_the_scale_of_standardised_features() -> None:
    x = torch.randn(8, 400, 4, 4, generator=generator())
    assert float(selection("rlpr", (400,), (200,))([x])[0].std()) == pytest.approx(1, abs=0.05)


def test_none_hands_on_everything() -> None:
    everything = selection("none", (3, 4), (1, 1))
    features = [torch.randn(1, 3, 4, 4), torch.randn(1, 4, 2, 2)]
    assert everything.dimensions == (3, 4)
    assert all(torch.equal(a, b) for a, b in zip(everything(features), features, strict=True))


@pytest.mark.parametrize("method", ["rdr", "rlpr", "none"])
def test_only_afs_learns_from_defects(method: str) -> None:
    chosen = selection(method, (12,), (3,))
    before = {name: buffer.clone() for name, buffer in chosen.named_buffers()}
    chosen.fit(planted(12, [2], batches=1))
    assert all(torch.equal(before[name], buffer) for name, buffer in chosen.named_buffers())


@pytest.mark.parametrize("method", ["afs", "rdr"])
def test_more_channels_than_the_backbone_has_are_refused_by_name(method: str) -> None:
    config = tiny("model.afs.dimensions=[8, 12, 100, 16]", f"model.afs.method={method}")
    with pytest.raises(UserError, match=r"model\.afs\.dimensions\[2\] is 100, .* only 48 channels"):
        RealNet(config, pretrained=False)


def test_a_projection_may_be_wider_than_the_backbone() -> None:
    model = RealNet(tiny("model.afs.dimensions=[8, 12, 100, 16]", "model.afs.method=rlpr"), pretrained=False)
    assert model.select(torch.rand(1, 3, 64, 64))[2].shape[1] == 100


def test_features_of_which_all_are_selected_are_handed_on_as_they_are() -> None:
    afs = selection("afs", (4, 5), (4, 3))
    features = [torch.rand(2, 4, 3, 3), torch.rand(2, 5, 2, 2)]
    afs.fit([([f + torch.rand_like(f) for f in features], features, torch.ones(2, 1, 8, 8))])
    first, second = afs(features)
    assert first is features[0]
    assert torch.equal(second, features[1][:, afs.get_buffer("index_1")])
