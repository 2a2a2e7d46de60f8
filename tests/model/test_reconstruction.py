"""The three architectures of App. C.4."""

import pytest
import torch
from torch import Tensor

from realnet.config import ReconstructionConfig
from realnet.model.reconstruction import Reconstruction, layer_groups
from tests.model.brute import bilinear, perturb

DIMENSIONS = (4, 6, 8, 10)
SIZES = [(8, 6), (4, 3), (2, 2), (1, 1)]


def features() -> list[Tensor]:
    return [torch.randn(2, m, *size) for m, size in zip(DIMENSIONS, SIZES, strict=True)]


def reconstruction(architecture: str, network: str = "simple") -> Reconstruction:
    config = {"architecture": architecture, "network": network, "residual_blocks": 1, "head_channels": 4}
    return Reconstruction(DIMENSIONS, SIZES, ReconstructionConfig.model_validate(config)).eval()


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
@pytest.mark.parametrize("network", ["unet", "simple", "subspace"])
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
