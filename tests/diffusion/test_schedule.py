"""The variances against closed forms and diffusers, and what respacing keeps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.diffusion.config import ProcessConfig
from realnet.diffusion.schedule import Schedule, cosine_betas, linear_betas, make_schedule, respaced


def schedule(kind: str = "linear", steps: int = 1000) -> Schedule:
    return make_schedule(ProcessConfig.model_validate({"schedule": kind, "steps": steps}))


def test_the_linear_betas_of_the_paper() -> None:
    betas = linear_betas(1000)
    assert betas.dtype == torch.float64
    for i in (0, 1, 500, 999):
        assert float(betas[i]) == pytest.approx(1e-4 + (0.02 - 1e-4) * i / 999, rel=1e-12)


@pytest.mark.parametrize("steps", [100, 250, 4000])
def test_linear_betas_are_scaled_so_that_as_much_noise_is_added_in_all(steps: int) -> None:
    assert float(linear_betas(steps).sum()) == pytest.approx(float(linear_betas(1000).sum()))
    log_bar = float(schedule("linear", steps).alphas_bar[-1].log())
    assert log_bar == pytest.approx(float(schedule().alphas_bar[-1].log()), rel=0.1)


@pytest.mark.parametrize("steps", [2, 10, 1000])
def test_the_cosine_s_share_of_the_image(steps: int) -> None:
    shares = [math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(steps + 1)]
    bar = schedule("cosine", steps).alphas_bar
    for t in range(1, steps):  # the last beta is cut off at 0.999
        assert float(bar[t - 1]) == pytest.approx(shares[t] / shares[0], rel=1e-9)
    assert float(cosine_betas(steps)[-1]) == 0.999


@pytest.mark.parametrize(("kind", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_betas_and_posterior_variances_as_in_diffusers(kind: str, theirs: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDPMScheduler(beta_schedule=theirs)
    ours = schedule(kind)
    torch.testing.assert_close(ours.betas.float(), scheduler.betas, rtol=1e-5, atol=1e-7)
    for t in (1, 10, 500, 999):
        assert float(ours.posterior_variances[t]) == pytest.approx(float(scheduler._get_variance(t)), rel=2e-3)


def test_what_follows_from_the_betas_by_a_loop() -> None:
    betas = [0.1, 0.3, 0.05, 0.6]
    made = Schedule(torch.tensor(betas, dtype=torch.float64), torch.arange(4))
    before = 1.0
    for i, beta in enumerate(betas):
        bar = before * (1 - beta)
        assert float(made.alphas[i]) == pytest.approx(1 - beta)
        assert float(made.alphas_bar[i]) == pytest.approx(bar)
        assert float(made.alphas_bar_before[i]) == pytest.approx(before)
        variance = (1 - before) / (1 - bar) * beta
        assert float(made.posterior_variances[i]) == pytest.approx(variance)
        if i:
            assert float(made.log_posterior_variances[i]) == pytest.approx(math.log(variance))
        before = bar
    assert made.posterior_variances[0] == 0
    assert made.log_posterior_variances[0] == made.log_posterior_variances[1], "log 0 is replaced by the next one's"


def test_the_process_of_training_tells_the_network_every_timestep() -> None:
    made = schedule("cosine", 7)
    assert len(made) == 7
    assert made.timesteps.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert torch.equal(made.betas, cosine_betas(7))
    assert torch.equal(schedule("linear", 7).betas, linear_betas(7))


KINDS = st.sampled_from(["linear", "cosine"])


@given(KINDS, st.integers(2, 1200))
@settings(max_examples=40, deadline=None)
def test_every_schedule_is_one(kind: str, steps: int) -> None:
    made = schedule(kind, steps)
    assert ((made.betas > 0) & (made.betas < 1)).all()
    assert (made.alphas_bar.diff() < 0).all() and float(made.alphas_bar[-1]) > 0
    assert (made.betas.diff() >= 0).all(), "later steps add more noise"
    assert (made.posterior_variances <= made.betas).all()
    assert made.log_posterior_variances.isfinite().all()


@given(KINDS, st.integers(2, 400), st.data())
@settings(max_examples=60, deadline=None)
def test_respacing_keeps_what_is_left_of_the_image(kind: str, steps: int, data: st.DataObject) -> None:
    whole = schedule(kind, steps)
    highest = data.draw(st.integers(1, steps))
    count = data.draw(st.integers(1, steps + 5))
    fewer = respaced(whole, count, highest)
    kept = fewer.timesteps
    assert len(fewer) == len(kept) == min(count, highest)
    torch.testing.assert_close(fewer.alphas_bar, whole.alphas_bar[kept], rtol=1e-9, atol=0)
    assert ((fewer.betas > 0) & (fewer.betas < 1)).all()
    assert int(kept[-1]) == highest - 1, "it ends at the highest"
    if len(kept) > 1:
        assert int(kept[0]) == 0, "and begins with the first"
        gaps = kept.diff()
        assert int(gaps.min()) >= 1 and int(gaps.max() - gaps.min()) <= 1, "evenly"


def test_the_paper_s_twenty_of_a_thousand() -> None:
    whole = schedule()
    fewer = respaced(whole, 20)
    assert fewer.timesteps.tolist() == [round(i * 999 / 19) for i in range(20)]
    before = 1.0
    for i, t in enumerate(fewer.timesteps.tolist()):
        bar = math.prod((1 - whole.betas[: t + 1]).tolist())
        assert float(fewer.betas[i]) == pytest.approx(1 - bar / before)
        before = bar


def test_all_of_them_are_the_schedule_itself() -> None:
    whole = schedule("cosine", 50)
    for same in (respaced(whole, 50), respaced(whole, 99), respaced(whole, 50, 50)):
        assert torch.equal(same.timesteps, whole.timesteps)
        torch.testing.assert_close(same.betas, whole.betas, rtol=1e-9, atol=0)


def test_a_start_part_of_the_way() -> None:
    assert respaced(schedule(), 4, 301).timesteps.tolist() == [0, 100, 200, 300]
    assert respaced(schedule(), 10, 3).timesteps.tolist() == [0, 1, 2], "no more than there are"


def test_a_single_step_keeps_the_last() -> None:
    whole = schedule()
    single = respaced(whole, 1, 300)
    assert single.timesteps.tolist() == [299]
    assert float(single.betas[0]) == pytest.approx(1 - float(whole.alphas_bar[299]))
    assert float(single.log_posterior_variances[0]) == pytest.approx(math.log(single.betas[0]))


def test_respaced_again() -> None:
    whole = schedule()
    twice = respaced(respaced(whole, 21, 201), 5)
    assert twice.timesteps.tolist() == [0, 50, 100, 150, 200], "timesteps of training, not of the first respacing"
    torch.testing.assert_close(twice.alphas_bar, whole.alphas_bar[twice.timesteps])


@pytest.mark.parametrize(("count", "highest"), [(0, None), (-1, 5), (3, 0), (3, 11), (3, -2)])
def test_what_cannot_be_taken(count: int, highest: int | None) -> None:
    with pytest.raises(ValueError, match=f"cannot take {count} of the first"):
        respaced(schedule("linear", 10), count, highest)


@pytest.mark.parametrize(("start", "steps", "highest"), [(1.0, 1000, 1000), (0.3, 1000, 300), (0.001, 100, 2)])
def test_the_share_of_the_timesteps_that_is_used(start: float, steps: int, highest: int) -> None:
    assert ProcessConfig(start=start, steps=steps).highest == highest
