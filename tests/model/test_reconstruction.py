"""The three architectures of App. C.4, and prototypes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from realnet.config import ReconstructionConfig
from realnet.model.prototypes import Prototypes, k_means
from realnet.model.reconstruction import Reconstruction, layer_groups
from tests.model.brute import bilinear, perturb

DIMENSIONS = (4, 6, 8, 10)
SIZES = [(8, 6), (4, 3), (2, 2), (1, 1)]


def features() -> list[Tensor]:
    return [torch.randn(2, m, *size) for m, size in zip(DIMENSIONS, SIZES, strict=True)]


def reconstruction(architecture: str, network: str = "slim", prototypes: int = 0) -> Reconstruction:
    config = {"architecture": architecture, "network": network, "residual_blocks": 1, "prototypes": prototypes}
    return Reconstruction(DIMENSIONS, ReconstructionConfig.model_validate({**config, "head_channels": 4})).eval()


@pytest.mark.parametrize(
    ("architecture", "layers", "groups"),
    [
        ("A", 4, [(0,), (1,), (2,), (3,)]),
        ("B", 4, [(0, 1, 2, 3)]),
        ("C", 4, [(0, 1), (2, 3)]),
        ("A", 3, [(0,), (1,), (2,)]),
        ("B", 3, [(0, 1, 2)]),
        ("C", 3, [(0, 1), (2,)]),
        ("C", 5, [(0, 1), (2, 3), (4,)]),
    ],
)
def test_which_layers_go_together(architecture: str, layers: int, groups: list[tuple[int, ...]]) -> None:
    assert layer_groups(architecture, layers) == groups


@pytest.mark.parametrize(
    ("architecture", "shapes"),
    [
        ("A", [(2, m, *size) for m, size in zip(DIMENSIONS, SIZES, strict=True)]),
        ("B", [(2, 28, 8, 6)]),
        ("C", [(2, 10, 8, 6), (2, 18, 2, 2)]),
    ],
)
@pytest.mark.parametrize("network", ["unet", "simple", "slim"])
def test_networks_and_shapes(architecture: str, shapes: list[tuple[int, ...]], network: str) -> None:
    model = reconstruction(architecture, network)
    assert len(model.networks) == len(shapes)
    aligned = model.align(features())
    assert [tuple(x.shape) for x in aligned] == shapes
    assert [tuple(x.shape) for x in model(aligned)] == shapes


def test_independent_layers_are_left_alone() -> None:
    given_features = features()
    assert all(
        torch.equal(a, b) for a, b in zip(reconstruction("A").align(given_features), given_features, strict=True)
    )


@pytest.mark.parametrize(("architecture", "groups"), [("B", [(0, 1, 2, 3)]), ("C", [(0, 1), (2, 3)])])
def test_alignment_is_bilinear_with_aligned_corners_to_the_finest_grid(
    architecture: str, groups: list[tuple[int, ...]]
) -> None:
    layers = features()
    for aligned, group in zip(reconstruction(architecture).align(layers), groups, strict=True):
        expected = torch.cat([bilinear(layers[k], SIZES[group[0]]) for k in group], 1)
        torch.testing.assert_close(aligned, expected, atol=1e-5, rtol=1e-5)


def test_each_layer_has_its_own_network() -> None:
    model = reconstruction("A")
    perturb(model)
    before = features()
    after = [before[0] + 1, *before[1:]]
    changed = [not torch.equal(a, b) for a, b in zip(model(before), model(after), strict=True)]
    assert changed == [True, False, False, False]


def test_projections_are_of_the_aligned_features() -> None:
    model = reconstruction("C", prototypes=8)
    layers = features()
    aligned = model.align(layers)
    for projection, feature in zip(model.prototypes, aligned, strict=True):
        assert isinstance(projection, Prototypes)
        projection.fit([feature], torch.Generator().manual_seed(0))
    projected = model.project(aligned)
    assert [p.shape for p in projected] == [a.shape for a in aligned]
    torch.testing.assert_close(projected[1], model.get_submodule("prototypes.1")(aligned[1]))
    assert reconstruction("C").project(aligned) == []


def test_projection_is_a_softmax_over_distances_of_surroundings() -> None:
    prototypes = Prototypes(3, 5)
    g = torch.Generator().manual_seed(1)
    for buffer in (prototypes.keys, prototypes.values):
        buffer.copy_(torch.randn(5, 3, generator=g))
    prototypes.sharpness.fill_(0.7)
    x = torch.randn(2, 3, 4, 5, generator=g)
    out = prototypes(x)
    for b, i, j in [(0, 0, 0), (1, 2, 3), (0, 3, 4), (1, 0, 2)]:
        window = x[b, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean((1, 2))
        weight = torch.stack([(-0.7 * (window - key).square().sum()).exp() for key in prototypes.keys])
        expected = (weight / weight.sum()) @ prototypes.values
        torch.testing.assert_close(out[b, :, i, j], expected, atol=1e-5, rtol=1e-4)


def test_prototypes_know_good_features_and_not_defects() -> None:
    g = torch.Generator().manual_seed(0)
    kinds = 4 * torch.randn(3, 6, generator=g)
    good = [kinds[k].view(1, 6, 1, 1) + 0.05 * torch.randn(1, 6, 8, 8, generator=g) for k in (0, 1, 2, 0, 1, 2)]
    prototypes = Prototypes(6, 3)
    prototypes.fit(good, g)
    assert float((prototypes(good[0]) - good[0]).square().mean()) < 0.02
    defect = good[0].clone()
    defect[:, :, 3:6, 3:6] += 5 * torch.randn(6, generator=g).view(1, 6, 1, 1)
    projected = prototypes(defect)
    assert float((projected - defect)[:, :, 4, 4].square().mean()) > 1, "the defect is not copied"
    distance = torch.cdist(projected[0, :, 4, 4][None], kinds).min()
    assert float(distance) < 0.5, "what stands in its place is something good"


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 30), count=st.integers(1, 8))
def test_k_means_gives_every_vector_its_nearest_centre(seed: int, n: int, count: int) -> None:
    g = torch.Generator().manual_seed(seed)
    vectors = torch.randn(n, 3, generator=g)
    centres, nearest = k_means(vectors, count, g)
    distance = torch.stack([(vectors - centre).square().sum(1) for centre in centres], 1)
    torch.testing.assert_close(distance.gather(1, nearest[:, None])[:, 0], distance.min(1).values)
    assert centres.shape == (count, 3)
    assert centres.isfinite().all()
    again, _ = k_means(vectors, count, torch.Generator().manual_seed(seed))
    assert again.shape == centres.shape


def test_k_means_of_identical_vectors() -> None:
    centres, _ = k_means(torch.ones(7, 2), 3, torch.Generator().manual_seed(0))
    assert torch.equal(centres, torch.ones(3, 2))
