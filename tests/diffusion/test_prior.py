"""The Gaussian of the good images against dense matrices."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from realnet.diffusion.prior import GaussianPrior

SHAPE, PIXELS = (3, 2, 2), 12


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def known(rest: float = 0.05, variances: tuple[float, ...] = (2.0, 0.7, 0.0)) -> GaussianPrior:
    """Orthonormal directions and a mean, at random."""
    prior = GaussianPrior(SHAPE, len(variances))
    prior.mean.copy_(torch.randn(SHAPE, generator=generator(0)))
    prior.basis.copy_(torch.linalg.qr(torch.randn(PIXELS, len(variances), generator=generator(1))).Q.T)
    prior.variances.copy_(torch.tensor(variances))
    prior.rest.fill_(rest)
    return prior


def covariance(prior: GaussianPrior) -> Tensor:
    """U diag(lambda) U^T + rho^2 (I - U U^T), ``[12, 12]``."""
    u, rest = prior.basis.double(), prior.rest.double().flatten()[0]
    return u.T @ torch.diag(prior.variances.double()) @ u + rest * (torch.eye(PIXELS).double() - u.T @ u)


@given(st.floats(1e-4, 1e3), st.floats(1e-4, 2), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_the_expected_image_by_dense_matrices(variance: float, rest: float, seed: int) -> None:
    """E[x_0 | y] = mean + C (C + v I)^-1 (y - mean), each image at a variance of its own, if the rest is uniform."""
    prior, y = known(rest), torch.randn(2, *SHAPE, generator=generator(seed))
    levels = torch.tensor([variance, 0.3])
    expected = []
    for image, level in zip(y, levels.double(), strict=True):
        c, away = covariance(prior), (image - prior.mean).flatten().double()
        gain = c @ torch.linalg.inv(c + level * torch.eye(PIXELS).double())
        expected.append(prior.mean + (gain @ away).float().view(SHAPE))
    # Directions in float32 are orthonormal to about 1e-7, which the dense inverse magnifies by rest / variance.
    torch.testing.assert_close(prior(y, levels), torch.stack(expected), rtol=1e-3, atol=1e-4 + 1e-6 * rest / variance)


def test_the_rest_is_shrunk_by_the_variance_of_its_place() -> None:
    prior, y = known(), torch.randn(1, *SHAPE, generator=generator(3))
    prior.rest.copy_(torch.tensor([[[0.01, 0.1], [1.0, 10.0]]]))
    away = (y - prior.mean)[0]
    expected = prior.mean.clone()
    left = away.clone()
    for direction, variance in zip(prior.basis.view(3, *SHAPE), (2.0, 0.7, 0.0), strict=True):
        weight = float((direction * away).sum())
        expected += weight * variance / (variance + 0.3) * direction
        left -= weight * direction
    for i, j, rest in ((0, 0, 0.01), (0, 1, 0.1), (1, 0, 1.0), (1, 1, 10.0)):
        expected[:, i, j] += rest / (rest + 0.3) * left[:, i, j]
    torch.testing.assert_close(prior(y, torch.tensor([0.3]))[0], expected)
    deviation = prior.deviation(torch.tensor([0.3, 2.0]))
    assert deviation.shape == (2, 1, 2, 2)
    assert float(deviation[1, 0, 1, 0]) == pytest.approx((1.0 * 2.0 / 3.0) ** 0.5)
    assert float(deviation[0, 0, 0, 1]) == pytest.approx((0.1 * 0.3 / 0.4) ** 0.5)


@pytest.mark.parametrize("variance", [1e-3, 0.1, 20.0])
def test_the_deviation_is_what_is_unknown_outside_the_directions(variance: float) -> None:
    prior = known()
    c = covariance(prior)
    left = c - c @ torch.linalg.inv(c + variance * torch.eye(PIXELS).double()) @ c
    outside = torch.randn(PIXELS, generator=generator(5)).double()
    outside -= prior.basis.double().T @ (prior.basis.double() @ outside)
    outside /= outside.norm()
    expected = float(outside @ left @ outside) ** 0.5
    assert prior.deviation(torch.tensor([variance])).flatten().tolist() == pytest.approx([expected] * 4, rel=1e-4)


def test_without_noise_the_image_with_nothing_but_noise_the_mean() -> None:
    prior, y = known(variances=(2.0, 0.7, 0.1)), torch.randn(2, *SHAPE, generator=generator(3))
    torch.testing.assert_close(prior(y, torch.full((2,), 1e-9)), y)
    torch.testing.assert_close(prior(y, torch.full((2,), 1e9)), prior.mean.expand_as(y), rtol=0, atol=1e-6)
    deviation = prior.deviation(torch.tensor([1e-9, 1e9]))
    assert deviation[0].max() < 1e-4
    torch.testing.assert_close(deviation[1], torch.full((1, 2, 2), 0.05**0.5))


SIDE = 16


def gaussian(seed: int, count: int, grain: float = 0.1) -> Tensor:
    """Mean 0.2, two directions of variances 30 and 8, and grain: ``[count, 3, 16, 16]``."""
    u = torch.linalg.qr(torch.randn(3 * SIDE**2, 2, generator=generator(100))).Q
    weights = torch.randn(count, 2, generator=generator(seed)) * torch.tensor([30.0, 8.0]).sqrt()
    images = 0.2 + weights @ u.T + grain * torch.randn(count, 3 * SIDE**2, generator=generator(seed + 1))
    return images.view(count, 3, SIDE, SIDE)


def fitted(images: Tensor, held_out: Tensor, components: int = 2) -> GaussianPrior:
    prior = GaussianPrior((3, SIDE, SIDE), components)
    prior.fit([images], [held_out])
    return prior


def test_what_gaussian_images_were_made_of_is_found() -> None:
    prior = fitted(gaussian(0, 400), gaussian(2, 400))
    u = torch.linalg.qr(torch.randn(3 * SIDE**2, 2, generator=generator(100))).Q
    assert (prior.basis @ u).abs().diagonal().min() > 0.99, "the directions, largest first"
    assert prior.variances.tolist() == pytest.approx([30, 8], rel=0.2)
    torch.testing.assert_close(prior.rest, torch.full((1, SIDE, SIDE), 0.01), rtol=0.1, atol=0)
    assert float((prior.mean - 0.2).square().mean().sqrt()) < 0.02


def test_the_estimate_is_better_than_any_uniform_shrinkage() -> None:
    prior, images = fitted(gaussian(0, 100), gaussian(2, 100)), gaussian(4, 50)
    variance = 0.05
    y = images + variance**0.5 * torch.randn(images.shape, generator=generator(9))
    error = float((prior(y, torch.full((50,), variance)) - images).square().mean())
    uniform = [float((prior.mean + k / 20 * (y - prior.mean) - images).square().mean()) for k in range(21)]
    assert error < 0.8 * min(uniform)
    expected = float(prior.deviation(torch.tensor([variance])).square().mean())
    assert error == pytest.approx(expected, rel=0.1), "as far off as it says"


def test_variances_are_measured_on_images_that_were_not_used() -> None:
    images, held_out = gaussian(0, 9), 3 * gaussian(2, 30)
    prior = fitted(images, held_out, components=5)
    away = (held_out - images.mean(0)).flatten(1)
    for direction, variance in zip(prior.basis, prior.variances, strict=True):
        assert float(variance) == pytest.approx(float((away @ direction).square().mean()), rel=1e-4)
    torch.testing.assert_close(prior.mean, images.mean(0))
    left = (away - away @ prior.basis.T @ prior.basis).view(30, 3, SIDE, SIDE).square().mean((0, 1))
    for i, j in ((0, 0), (3, 15), (8, 7)):  # the mean of 9 x 9 pixels, those that there are
        around = left[max(0, i - 4) : i + 5, max(0, j - 4) : j + 5]
        assert float(prior.rest[0, i, j]) == pytest.approx(float(around.mean()), rel=1e-4)


def test_a_place_that_varies_more_has_a_larger_rest() -> None:
    def uneven(seed: int) -> Tensor:
        images = torch.randn(30, 3, SIDE, SIDE, generator=generator(seed)) * 0.1
        images[..., SIDE // 2 :] *= 3
        return images

    rest = fitted(uneven(0), uneven(1), components=1).rest
    assert float(rest[0, 8, 0]) == pytest.approx(0.01, rel=0.15)
    assert float(rest[0, 8, 15]) == pytest.approx(0.09, rel=0.15)


def test_batches_are_one_set() -> None:
    images, held_out = gaussian(0, 20), gaussian(2, 10)
    prior = GaussianPrior((3, SIDE, SIDE), 2)
    prior.fit(iter(images.split(6)), iter(held_out.split(3)))
    whole = fitted(images, held_out)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(prior.state_dict()[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", ["duplicates", "low rank", "one image", "many"])
def test_directions_are_orthonormal_whatever_the_images(case: str) -> None:
    """Fewer independent images than directions: what rounding leaves must not count a direction twice."""
    images = {
        "duplicates": gaussian(0, 4).repeat(3, 1, 1, 1),
        "low rank": gaussian(0, 12, grain=0.0),
        "one image": gaussian(0, 1).repeat(10, 1, 1, 1),
        "many": gaussian(0, 60),
    }[case]
    prior = fitted(images, gaussian(2, 20), components=6)
    torch.testing.assert_close(prior.basis @ prior.basis.T, torch.eye(6), rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_few_images_have_no_directions(count: int) -> None:
    images, held_out = gaussian(0, count), gaussian(2, 5)
    prior = fitted(images, held_out)
    assert not prior.basis.any()
    assert float(prior.rest.mean()) == pytest.approx(float((held_out - images.mean(0)).square().mean()), rel=0.1)
    y = gaussian(6, 2)
    shrunk = images.mean(0) + prior.rest / (prior.rest + 0.3) * (y - images.mean(0))
    torch.testing.assert_close(prior(y, torch.tensor([0.3, 0.3])), shrunk)
    assert fitted(gaussian(0, 8), held_out).basis.any(1).all(), "eight images do"


def test_no_more_directions_than_images_allow() -> None:
    prior = fitted(gaussian(0, 9), gaussian(2, 20), components=20)
    assert prior.basis.any(1).tolist() == [True] * 8 + [False] * 12, "nine images less their mean"
    assert prior(gaussian(4, 1), torch.tensor([0.1])).isfinite().all()


def test_fitted_again_nothing_is_left_of_the_first_time() -> None:
    prior = fitted(gaussian(0, 60), gaussian(2, 20), components=6)
    for count in (10, 5, 3):
        prior.fit([gaussian(20, count)], [gaussian(22, 20)])
        fresh = fitted(gaussian(20, count), gaussian(22, 20), components=6)
        assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in prior.state_dict().items())


def test_identical_images_leave_some_grain() -> None:
    same = torch.full((10, 3, SIDE, SIDE), 0.5)
    prior = fitted(same, same)
    torch.testing.assert_close(prior.rest, torch.full((1, SIDE, SIDE), 1e-4))
    assert prior(same + 0.1, torch.full((10,), 0.1)).isfinite().all()


def test_saved_and_loaded(tmp_path: Path) -> None:
    prior = fitted(gaussian(0, 30), gaussian(2, 10))
    torch.save(prior.state_dict(), tmp_path / "prior.pt")
    other = GaussianPrior((3, SIDE, SIDE), 2)
    y, variance = gaussian(4, 2), torch.tensor([0.1, 3.0])
    assert not torch.equal(other(y, variance), prior(y, variance))
    other.load_state_dict(torch.load(tmp_path / "prior.pt"))
    assert torch.equal(other(y, variance), prior(y, variance))
    assert list(prior.parameters()) == [], "there is nothing to be trained"


def test_mixed_precision_does_not_reach_the_estimate() -> None:
    """(y - estimate) / sqrt(variance) is the noise: at little noise a thousandth of the image is a tenth of it."""
    prior, y, variance = fitted(gaussian(0, 30), gaussian(2, 10)), gaussian(4, 2), torch.full((2,), 1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = prior(y, variance)
    assert torch.equal(mixed, prior(y, variance))
