"""The denoiser: shapes, conditioning, v's convention, and the network around the best linear estimate."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from realnet.diffusion.config import DenoiserConfig
from realnet.diffusion.denoiser import Denoiser, common_groups, parameter_count
from realnet.diffusion.process import predicted_image, predicted_noise
from realnet.diffusion.schedule import Schedule, linear_betas
from realnet.errors import UserError

pytest.importorskip("diffusers")

SCHEDULE = Schedule(linear_betas(1000), torch.arange(1000))
T = torch.tensor([0, 400, 999])


def config(**changes: Any) -> DenoiserConfig:
    settings = {
        "image_size": 16,
        "width": 16,
        "multipliers": (1, 2),
        "residual_blocks": 1,
        "attention_at": (),
        "groups": 8,
        "components": 3,
    }
    return DenoiserConfig(**{**settings, **changes})


def images(count: int = 3, side: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def make(**changes: Any) -> Denoiser:
    torch.manual_seed(0)
    denoiser = Denoiser(config(**changes), SCHEDULE.alphas_bar).eval()
    if denoiser.prior is not None:
        side = denoiser.config.image_size
        denoiser.prior.fit([0.3 * images(20, side, 1) + 0.1], [0.3 * images(10, side, 2) + 0.1])
    return denoiser


def put_out(denoiser: Denoiser, correction: float, raw: float) -> Denoiser:
    """Make the U-Net put out these numbers everywhere."""
    bias = denoiser.unet.conv_out.bias
    with torch.no_grad():
        denoiser.unet.conv_out.weight.zero_()
        bias[: len(bias) // 2] = correction
        bias[len(bias) // 2 :] = raw
    return denoiser


@pytest.mark.parametrize("output", ["noise", "image"])
@pytest.mark.parametrize(
    "changes",
    [
        {"patch": 1},
        {"patch": 2},
        {"patch": 4, "attention_at": (2,), "head_channels": 8},
        {"patch": 8, "multipliers": (1,)},
        {"patch": 1, "multipliers": (1, 1, 3), "attention_at": (2, 4), "groups": 5, "residual_blocks": 2},
    ],
)
@torch.no_grad()
def test_shapes(changes: dict[str, Any], output: str) -> None:
    denoiser = make(output=output, **changes)
    epsilon, v = denoiser(images(), T)
    assert epsilon.shape == v.shape == (3, 3, 16, 16)
    assert epsilon.isfinite().all() and v.isfinite().all()
    assert epsilon.std() > 0 and v.std() > 0


@pytest.mark.parametrize("output", ["noise", "image"])
@torch.no_grad()
def test_images_do_not_mix_and_the_timestep_counts(output: str) -> None:
    denoiser, x = make(output=output, patch=2), images()
    epsilon, v = denoiser(x, T)
    again = denoiser(x, T)
    assert torch.equal(epsilon, again[0]) and torch.equal(v, again[1])
    for k in range(3):
        alone = denoiser(x[k : k + 1], T[k : k + 1])
        torch.testing.assert_close(epsilon[k], alone[0][0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(v[k], alone[1][0], rtol=1e-4, atol=1e-4)
    later = denoiser(x, T.flip(0))
    assert (later[0] - epsilon)[[0, 2]].abs().amax((1, 2, 3)).min() > 1e-3
    assert (later[1] - v)[[0, 2]].abs().amax((1, 2, 3)).min() > 1e-3


def test_every_parameter_is_trained() -> None:
    denoiser = make(patch=2, output="image", attention_at=(2,), categories=2)
    epsilon, v = denoiser(images(), T, torch.tensor([0, 1, 1]))
    (epsilon + v).square().sum().backward()
    assert [name for name, p in denoiser.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert parameter_count(denoiser) == parameter_count(denoiser.unet), "the linear estimate is not"


@torch.no_grad()
def test_categories_condition_it() -> None:
    denoiser, x = make(categories=3), images(1).expand(3, -1, -1, -1)
    t = torch.full((3,), 500)
    epsilon, _ = denoiser(x, t, torch.tensor([0, 1, 2]))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(epsilon[a], epsilon[b], atol=1e-4)


@pytest.mark.parametrize(("categories", "given"), [(3, False), (0, True)])
def test_a_category_is_given_where_there_are_any(categories: int, given: bool) -> None:
    with pytest.raises(ValueError, match="a category is given where the network is conditioned, and only there"):
        make(categories=categories)(images(), T, torch.zeros(3, dtype=torch.long) if given else None)


@pytest.mark.parametrize("output", ["noise", "image"])
@pytest.mark.parametrize(("raw", "v"), [(-1.0, 0.0), (0.0, 0.5), (1.0, 1.0), (3.0, 2.0)])
@torch.no_grad()
def test_minus_one_to_one_are_v_from_zero_to_one_unclamped(output: str, raw: float, v: float) -> None:
    denoiser = put_out(make(output=output, patch=2), 0.0, raw)
    torch.testing.assert_close(denoiser(images(), T)[1], torch.full((3, 3, 16, 16), v))


@torch.no_grad()
def test_what_the_unet_puts_out_is_the_noise() -> None:
    denoiser = put_out(make(patch=2), 0.7, 0.0)
    torch.testing.assert_close(denoiser(images(), T)[0], torch.full((3, 3, 16, 16), 0.7))


@pytest.mark.parametrize("correction", [0.0, 1.5])
@torch.no_grad()
def test_around_the_linear_estimate(correction: float) -> None:
    """x_0 is E[x_0 | x_t] plus the U-Net's output in units of what that leaves unknown; epsilon is the rest of x_t."""
    denoiser, x = put_out(make(output="image", patch=2), correction, 0.0), images()
    assert denoiser.prior is not None
    bar = SCHEDULE.alphas_bar[T].float()
    level = (1 - bar) / bar
    image = denoiser.prior(x / bar.sqrt()[:, None, None, None], level)
    image = image + correction * denoiser.prior.deviation(level)
    epsilon, _ = denoiser(x, T)
    torch.testing.assert_close(epsilon, predicted_noise(SCHEDULE, x, T, image), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(predicted_image(SCHEDULE, x, T, epsilon)[:2], image[:2], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_untrained_it_is_already_good_on_images_that_are_gaussian() -> None:
    """The linear estimate's epsilon is nearer to the noise than nothing, or x_t itself, at every timestep."""
    denoiser = put_out(make(output="image", patch=2), 0.0, 0.0)
    noise, x_0 = images(seed=5), 0.3 * images(seed=6) + 0.1
    bar = SCHEDULE.alphas_bar[T].float()[:, None, None, None]
    x_t = bar.sqrt() * x_0 + (1 - bar).sqrt() * noise
    error = (denoiser(x_t, T)[0] - noise).square().mean((1, 2, 3))
    assert (error < (x_t - noise).square().mean((1, 2, 3)))[:2].all()
    assert (error < 1.01 * noise.square().mean((1, 2, 3))).all()
    assert error[1] < 0.2 and error[2] < 1e-3


def test_mixed_precision_leaves_the_linear_part_alone() -> None:
    denoiser, x = put_out(make(output="image", patch=2), 0.0, 0.0), images()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        mixed, _ = denoiser(x, T)
    with torch.no_grad():
        torch.testing.assert_close(mixed, denoiser(x, T)[0], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_dropout_is_for_training() -> None:
    denoiser, x = make(dropout=0.5), images()
    assert torch.equal(denoiser(x, T)[0], denoiser(x, T)[0])
    denoiser.train()
    assert not torch.equal(denoiser(x, T)[0], denoiser(x, T)[0])


@torch.no_grad()
def test_the_estimate_is_saved_with_the_weights_the_process_is_not() -> None:
    denoiser = make(output="image", patch=2)
    state = denoiser.state_dict()
    assert "prior.mean" in state and "alphas_bar" not in state
    other = Denoiser(denoiser.config, SCHEDULE.alphas_bar).eval()
    other.load_state_dict(state)
    assert torch.equal(other(images(), T)[0], denoiser(images(), T)[0])
    assert make().prior is None


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (
            {"image_size": 100, "patch": 4, "multipliers": (1, 2, 2, 4)},
            r"denoiser\.image_size=100 must be a multiple of 32 with patch 4 and 4 levels",
        ),
        ({"image_size": 18, "multipliers": (1, 1, 1)}, "must be a multiple of 4 with patch 1 and 3 levels"),
        ({"image_size": 8}, "image_size"),
        ({"patch": 3}, "patch"),
        ({"multipliers": ()}, "multipliers"),
        ({"multipliers": (1, 0)}, "multipliers"),
        ({"dropout": 1.0}, "dropout"),
        ({"output": "velocity"}, "output"),
        ({"depth": 3}, "depth"),
    ],
)
def test_configurations_that_are_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        config(**changes)


@pytest.mark.parametrize(
    ("widths", "most", "groups"), [([96, 192], 32, 32), ([48, 96], 32, 24), ([30, 50], 32, 10), ([7, 9], 32, 1)]
)
def test_groups_divide_every_width(widths: list[int], most: int, groups: int) -> None:
    assert common_groups(widths, most) == groups


def test_without_diffusers_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match=r"need the package diffusers: python -m pip install .*\[sdas\]"):
        make()


def test_diffusers_is_imported_only_when_a_network_is_made() -> None:
    """It takes seconds, and those who make none need not have it."""
    code = "import sys, realnet.diffusion.denoiser; sys.exit('diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
