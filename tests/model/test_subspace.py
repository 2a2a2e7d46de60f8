"""Closed-form reconstruction: the principal subspace, against a singular value decomposition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.model.subspace import Gram, Subspace, set_subspace


def maps(n: int, numbers: int, seed: int = 0, rank: int = 4) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    spanned = torch.randn(n, rank, generator=g) @ torch.randn(rank, numbers, generator=g)
    return 3 + spanned + 0.05 * torch.randn(n, numbers, generator=g)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(3, 20), variance=st.floats(0.3, 0.99), seed=st.integers(0, 99))
def test_the_basis_is_that_of_a_singular_value_decomposition(n: int, variance: float, seed: int) -> None:
    x = maps(n, 60, seed)
    mean, basis = Gram(x.clone()).fit(range(n), variance, 100)
    torch.testing.assert_close(mean, x.mean(0), atol=1e-5, rtol=1e-4)
    _, s, v = torch.linalg.svd((x - x.mean(0)).double(), full_matrices=False)
    share = s.square().cumsum(0) / s.square().sum()
    assert len(basis) == int((share < variance).sum()) + 1
    expected = v[: len(basis)].t() @ v[: len(basis)]
    torch.testing.assert_close((basis.t() @ basis).double(), expected, atol=2e-3, rtol=0)


def test_a_subset_is_as_if_the_others_were_not_there() -> None:
    x = maps(12, 50)
    rows = [0, 3, 4, 7, 11]
    for ours, alone in zip(Gram(x.clone()).fit(rows, 0.9, 9), Gram(x[rows]).fit(range(5), 0.9, 9), strict=True):
        torch.testing.assert_close(ours.abs(), alone.abs(), atol=2e-3, rtol=1e-3)


def test_components_are_bounded_and_rounding_spans_nothing() -> None:
    x = maps(12, 50)
    assert len(Gram(x.clone()).fit(range(12), 1.0, 5)[1]) == 5
    assert len(Gram(x.clone()).fit(range(12), 1.0, 100)[1]) == 11, "n images span n - 1 directions"
    assert len(Gram(torch.ones(4, 50)).fit(range(4), 0.95, 100)[1]) == 0, "identical images span none"


def test_the_projection_keeps_what_good_images_span_and_leaves_the_rest() -> None:
    x = maps(30, 2 * 3 * 4).view(30, 2, 3, 4)
    subspace = Subspace(2, (3, 4))
    set_subspace(subspace, *Gram(x.flatten(1).clone()).fit(range(30), 0.99, 30))
    rebuilt = subspace(x)
    assert float((x - rebuilt).square().mean()) < 0.01
    torch.testing.assert_close(subspace(rebuilt), rebuilt, atol=1e-2, rtol=1e-2)
    strange = x + torch.randn(30, 2, 3, 4)
    left = (strange - subspace(strange)).flatten(1)
    torch.testing.assert_close(left @ subspace.basis.t(), torch.zeros(30, len(subspace.basis)), atol=2e-2, rtol=0)
    with pytest.raises(ValueError, match=r"one of maps \[2, 3, 4\], not \[2, 4, 4\]"):
        subspace(torch.rand(1, 2, 4, 4))


def test_the_number_of_components_comes_with_the_weights() -> None:
    first, second = Subspace(2, (3, 4)), Subspace(2, (3, 4))
    set_subspace(first, torch.rand(24), torch.rand(7, 24))
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.basis, first.basis)


def test_what_subspaces_leave_is_what_their_bases_leave() -> None:
    good, others = maps(12, 50), maps(5, 50, seed=1)
    gram, subsets = Gram(good.clone()), ([0, 3, 4, 7, 11], [1, 2, 5, 6, 8, 9])
    by = [gram.rebuilding(rows, 0.9, 9) for rows in subsets]
    which = torch.tensor([0, 1, 1, 0, 1])
    left = gram.left(others - gram.origin, by, which)
    for row, number in enumerate(which.tolist()):
        mean, basis = gram.fit(subsets[number], 0.9, 9)
        centred = others[row] - mean
        # The bases are rounded to half precision, what is left without them is not.
        torch.testing.assert_close(left[row], centred - centred @ basis.t() @ basis, atol=2e-2, rtol=0)
    known = gram.left(good[:5] - gram.origin, by, which, gram.products[:5])
    torch.testing.assert_close(known, gram.left(good[:5] - gram.origin, by, which), atol=1e-4, rtol=0)
