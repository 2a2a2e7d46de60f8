"""Samples at the size of the good image they started from."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from realnet.data import read_image
from realnet.diffusion.detail import shrunk, with_detail
from realnet.training.batches import to_tensor
from tests.data.layouts import save


def good_images(size: int = 64, count: int = 2) -> Tensor:
    """Full of detail, values within -1..1."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.mark.parametrize("factor", [2, 4])
def test_what_did_not_change_is_the_good_image(factor: int) -> None:
    good = good_images()
    torch.testing.assert_close(with_detail(shrunk(good, 64 // factor), good), good, rtol=0, atol=1e-5)


def test_at_the_same_size_samples_stay_as_they_are() -> None:
    sample, good = good_images(32), good_images(32).flip(0)
    assert torch.equal(with_detail(sample, good), sample)
    assert torch.equal(shrunk(good, 32), good)


def test_where_the_sample_differs_no_detail_shines_through() -> None:
    good = 0.5 * good_images()
    sample = shrunk(good, 32)
    sample[:, :, 8:24, 8:24] = 0.9
    made = with_detail(sample, good)
    assert made.shape == good.shape
    changed = made[:, :, 24:40, 24:40]
    torch.testing.assert_close(changed, torch.full_like(changed, 0.9), rtol=0, atol=1e-3)
    # Outside, beyond the reach of the average and of the interpolation, it is the good image.
    torch.testing.assert_close(made[:, :, :8], good[:, :, :8], rtol=0, atol=1e-5)
    torch.testing.assert_close(made[..., 56:], good[..., 56:], rtol=0, atol=1e-5)


def test_a_slight_difference_keeps_most_detail() -> None:
    """At a difference of tau, 24 grey levels, detail has a share of 1 / e; at the border as inside."""
    good = 0.2 * good_images()
    for levels, share in ((6.0, 0.939413), (24.0, 0.367879), (72.0, 1.234e-4)):
        sample = shrunk(good, 32) + levels / 127.5
        detail = with_detail(sample, good) - F.interpolate(sample, size=64, mode="bicubic", align_corners=False)
        whole = good - F.interpolate(shrunk(good, 32), size=64, mode="bicubic", align_corners=False)
        torch.testing.assert_close(detail, share * whole, rtol=1e-3, atol=1e-4)


def test_the_result_stays_within_minus_one_and_one() -> None:
    good = torch.where(good_images() > 0, 1.0, -1.0)
    made = with_detail(shrunk(good, 16) * 0.9, good)
    assert float(made.abs().max()) == 1


def test_an_image_is_shrunk_as_it_is_read(tmp_path: Path) -> None:
    """Training sees images that were read at the network's size: sampling must start from the same."""
    pixels = ((good_images(count=1)[0].permute(1, 2, 0) + 1) * 127.5).byte().numpy()
    file = save(tmp_path / "image.png", pixels)
    small = shrunk(to_tensor([read_image(file, 64)]), 16)
    torch.testing.assert_close(small, to_tensor([read_image(file, 16)]), rtol=0, atol=1 / 255)
