"""Algorithm 1 and S1: against closed forms on Gaussian data, against diffusers, and what a strength does."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from realnet.diffusion.classifier import guidance_gradient
from realnet.diffusion.config import DenoiserConfig
from realnet.diffusion.objective import hybrid_loss
from realnet.diffusion.process import diffuse
from realnet.diffusion.sampling import Network, Perturbation, Sampler, image_noise, synthesise
from realnet.diffusion.schedule import Schedule, cosine_betas, linear_betas, respaced

WHOLE = Schedule(linear_betas(1000), torch.arange(1000))
PAPER = respaced(WHOLE, 20)
MEAN, DEVIATION = 0.3, 0.1  # of the pixels of the Gaussian data


def normal(seed: int, count: int, side: int = 4) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(count, 3, side, side, generator=generator)


class Recorder:
    """A network that remembers what it was asked."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.seen: list[tuple[Tensor, Tensor, Tensor | None]] = []

    def __call__(self, x: Tensor, t: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor]:
        self.seen.append((x, t, category))
        return self.network(x, t, category)


def optimal(schedule: Schedule) -> tuple[Network, list[float]]:
    """For pixels ~ N(MEAN, DEVIATION^2): the best epsilon, and v of the reverse process' true variances (a list)."""
    bar, before, beta = schedule.alphas_bar, schedule.alphas_bar_before, schedule.betas
    unknown = DEVIATION**2 * (1 - bar) / (bar * DEVIATION**2 + 1 - bar)  # the variance of x_0 given x_t
    variances = schedule.posterior_variances + (before.sqrt() * beta / (1 - bar)).square() * unknown
    low = schedule.log_posterior_variances
    v = (variances.log() - low) / (beta.log() - low)

    def network(x: Tensor, t: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor]:
        i = int((schedule.timesteps == t[0]).nonzero())
        share = float(bar[i])
        epsilon = (1 - share) ** 0.5 * (x - share**0.5 * MEAN) / (share * DEVIATION**2 + 1 - share)
        return epsilon, torch.full_like(x, float(v[i]))

    return network, variances.tolist()


def known_moments(schedule: Schedule, variances: list[float], strength: float) -> tuple[float, float]:
    """Mean and variance of the samples: every step is linear, x' = a x + b + sqrt((1 + s) Sigma) noise."""
    mean, variance = 0.0, 1.0
    for i in range(len(schedule) - 1, -1, -1):
        bar, before = float(schedule.alphas_bar[i]), float(schedule.alphas_bar_before[i])
        beta = float(schedule.betas[i])
        gain = math.sqrt(bar) * DEVIATION**2 / (bar * DEVIATION**2 + 1 - bar)
        of_image = math.sqrt(before) * beta / (1 - bar)
        a = of_image * gain + math.sqrt(1 - beta) * (1 - before) / (1 - bar)
        mean = a * mean + of_image * (1 - gain * math.sqrt(bar)) * MEAN
        variance = a**2 * variance + (1 + strength) * variances[i] * (i > 0)
    return mean, variance


STRENGTHS = torch.tensor([0.0, 0.2, 1.0])


@pytest.mark.parametrize(
    "schedule",
    [PAPER, respaced(WHOLE, 60), Schedule(cosine_betas(30), torch.arange(30))],
    ids=["paper", "sixty", "cosine"],
)
def test_gaussian_data_are_sampled_exactly_and_strength_is_their_extra_variance(schedule: Schedule) -> None:
    network, variances = optimal(schedule)
    samples = synthesise(network, schedule, normal(0, 3, 120), STRENGTHS)
    for sample, strength in zip(samples, STRENGTHS.tolist(), strict=True):
        mean, variance = known_moments(schedule, variances, strength)
        assert float(sample.mean()) == pytest.approx(mean, abs=0.003)
        assert float(sample.var()) == pytest.approx(variance, rel=0.03)
        assert mean == pytest.approx(MEAN, abs=0.002)
        # All but what is unknown at t = 1, where no noise is added any more.
        assert variance == pytest.approx((1 + strength) * (DEVIATION**2 - variances[0]), rel=0.02)


def test_the_deterministic_sampler_on_gaussian_data() -> None:
    schedule = respaced(WHOLE, 200)
    sample = synthesise(optimal(schedule)[0], schedule, normal(0, 1, 120), torch.zeros(1), sampler="ddim")
    assert float(sample.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(sample.std()) == pytest.approx(DEVIATION, rel=0.1)


def waves(x: Tensor, t: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor]:
    """Some function of image and timestep that is no denoiser; predicted images are well outside -1..1."""
    phase = (t / 300)[:, None, None, None]
    return x + 0.6 * torch.sin(3 * x.flip(3) + phase), torch.sigmoid(2 * x + phase)


def start_and_steps(schedule: Schedule, scheduler: Any, **options: Any) -> Tensor:
    """The samples of one of diffusers' schedulers with `waves` as the network."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 3, 4, 4, generator=generator)
    assert scheduler.timesteps.tolist() == schedule.timesteps.flip(0).tolist()
    for t in scheduler.timesteps:
        epsilon, v = waves(x, t.expand(2), None)
        output = torch.cat([epsilon, 2 * v - 1], 1) if "eta" not in options else epsilon
        x = scheduler.step(output, t, x, generator=generator, **options).prev_sample
    return x


@pytest.mark.parametrize("count", [10, 20, 1000])
def test_without_strength_every_step_is_ddpm_s_with_learned_range(count: int) -> None:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DDPMScheduler(variance_type="learned_range", clip_sample=True, timestep_spacing="linspace")
    scheduler.set_timesteps(count)
    schedule = respaced(WHOLE, count)
    theirs = start_and_steps(schedule, scheduler)
    ours = synthesise(waves, schedule, normal(3, 2), torch.zeros(2))
    torch.testing.assert_close(ours, theirs.clamp(-1, 1), rtol=1e-3, atol=1e-3)
    assert ours.std() > 0.1


@pytest.mark.parametrize("betas", [linear_betas(25), cosine_betas(12)], ids=["linear", "cosine"])
def test_without_strength_algorithm_s1_is_ddim(betas: Tensor) -> None:
    diffusers = pytest.importorskip("diffusers")
    count = len(betas)
    scheduler = diffusers.DDIMScheduler(count, trained_betas=betas.numpy(), clip_sample=True, set_alpha_to_one=True)
    scheduler.set_timesteps(count)
    schedule = Schedule(betas, torch.arange(count))
    theirs = start_and_steps(schedule, scheduler, eta=0.0, use_clipped_model_output=True)
    ours = synthesise(waves, schedule, normal(3, 2), torch.zeros(2), sampler="ddim")
    torch.testing.assert_close(ours, theirs.clamp(-1, 1), rtol=1e-3, atol=1e-3)
    assert ours.std() > 0.1


# Where a step leads almost to the image, beta and beta~ differ most.
LATE = respaced(WHOLE, 2, 9)


def sigma_of_each_kind(schedule: Schedule, x: Tensor) -> dict[str, Tensor]:
    """The variances of the first step of `waves`, from ``x``."""
    v = waves(x, schedule.timesteps[-1].expand(len(x)), None)[1].double()
    beta, posterior = float(schedule.betas[-1]), float(schedule.posterior_variances[-1])
    full = torch.ones_like(v)
    return {"beta": beta * full, "posterior": posterior * full, "learned": beta**v * posterior ** (1 - v)}


@pytest.mark.parametrize("perturbation", ["beta", "posterior", "learned"])
def test_the_three_variances_of_algorithm_s1(perturbation: Perturbation) -> None:
    """The first step's perturbation, x_{T-1} less what it is without strength, is sqrt(s Sigma) times the noise."""
    seen = []
    strength = torch.tensor([0.01, 0.5])
    for s in (torch.zeros(2), strength):
        recorder = Recorder(waves)
        synthesise(recorder, LATE, normal(0, 2), s, sampler="ddim", perturbation=perturbation)
        seen.append(recorder.seen[1][0])
    noise = normal(0, 2)
    sigma = sigma_of_each_kind(LATE, noise())
    expected = (strength[:, None, None, None] * sigma[perturbation]).sqrt().float() * noise()
    torch.testing.assert_close(seen[1] - seen[0], expected, rtol=1e-3, atol=1e-6)
    assert sigma["beta"].min() > 1.5 * sigma["posterior"].max(), "the kinds can be told apart"


SAMPLERS: list[Sampler] = ["iddpm", "ddim"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_noise_is_drawn_for_the_beginning_and_every_step_but_the_last(sampler: Sampler) -> None:
    """x_0 is the last step's mean: no noise that could be handed in changes it."""
    draws = []
    noise = normal(0, 2)

    def counted() -> Tensor:
        draws.append(noise())
        return draws[-1]

    recorder = Recorder(optimal(PAPER)[0])
    x_0 = synthesise(recorder, PAPER, counted, torch.full((2,), 0.3), sampler=sampler)
    assert len(draws) == len(recorder.seen) == 20
    x_1, t, _ = recorder.seen[-1]
    bar = float(PAPER.alphas_bar[0])
    epsilon, _ = optimal(PAPER)[0](x_1, t, None)
    torch.testing.assert_close(x_0, (x_1 - (1 - bar) ** 0.5 * epsilon) / bar**0.5)


def test_the_network_is_told_the_timesteps_of_training_and_the_category() -> None:
    recorder, category = Recorder(waves), torch.tensor([4, 7])
    synthesise(recorder, respaced(WHOLE, 5, 401), normal(0, 2), torch.zeros(2), category=category)
    assert [t.tolist() for _, t, _ in recorder.seen] == [[t, t] for t in (400, 300, 200, 100, 0)]
    assert all(told is category for _, _, told in recorder.seen)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_images_do_not_leave_their_range_nor_mix(sampler: Sampler) -> None:
    strength = torch.tensor([3.0, 0.0])
    both = synthesise(waves, PAPER, image_noise(1, [8, 9], (3, 4, 4), "cpu"), strength, sampler=sampler)
    assert float(both.abs().max()) <= 1
    for k in range(2):
        noise = image_noise(1, [8 + k], (3, 4, 4), "cpu")
        alone = synthesise(waves, PAPER, noise, strength[k : k + 1], sampler=sampler)
        torch.testing.assert_close(both[k : k + 1], alone)


def test_an_image_s_noise_is_its_own() -> None:
    whole, part = image_noise(5, range(6), (3, 4, 4), "cpu"), image_noise(5, [4, 2], (3, 4, 4), "cpu")
    for _ in range(3):
        all_six, two = whole(), part()
        assert torch.equal(two, all_six[[4, 2]])
    drawn = {
        (seed, n): image_noise(seed, [n], (3, 4, 4), "cpu")() for seed, n in [(0, 0), (0, 1), (1, 0), (1, 1), (10, 0)]
    }
    firsts = [float(noise.flatten()[0]) for noise in drawn.values()]
    assert len(set(firsts)) == len(firsts), "neither seed nor number is without effect"


def test_image_noise_is_standard_normal() -> None:
    noise = image_noise(0, range(200), (3, 8, 8), "cpu")
    drawn = torch.stack([noise(), noise()])
    assert float(drawn.mean()) == pytest.approx(0, abs=0.01)
    assert float(drawn.std()) == pytest.approx(1, abs=0.01)
    together = torch.corrcoef(drawn.transpose(0, 1).flatten(1))  # of images: 200 x 200
    assert float((together - torch.eye(200)).abs().max()) < 0.35, "no two images share their noise"


def products(seed: int, count: int) -> Tensor:
    """Dark images with a bright square, its place and brightness vary a little; 32 x 32, -1..1."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.full((count, 3, 32, 32), -0.5)
    for image in images:
        x, y = torch.randint(-2, 3, (2,), generator=generator).tolist()
        image[:, 10 + y : 22 + y, 10 + x : 22 + x] = 0.5 + 0.1 * torch.randn(1, generator=generator)
    return images + 0.03 * torch.randn(images.shape, generator=generator)


class Trained:
    """A tiny denoiser after a few steps on `products`."""

    def __init__(self) -> None:
        from realnet.diffusion.denoiser import Denoiser

        torch.manual_seed(0)
        config = DenoiserConfig(
            image_size=32,
            patch=4,
            width=16,
            multipliers=(1, 2),
            residual_blocks=1,
            attention_at=(),
            groups=8,
            output="image",
            components=4,
        )
        self.denoiser = Denoiser(config, WHOLE.alphas_bar)
        assert self.denoiser.prior is not None
        self.denoiser.prior.fit([products(0, 40)], [products(1, 20)])
        self.before = self.error()
        optimiser = torch.optim.Adam(self.denoiser.parameters(), 2e-3)
        for step in range(40):
            optimiser.zero_grad()
            self.loss(10 + step).backward()
            optimiser.step()
        self.denoiser.eval()

    def error(self) -> float:
        """The loss on ten batches that are not trained on."""
        with torch.no_grad():
            return sum(float(self.loss(1000 + k)) for k in range(10))

    def loss(self, seed: int) -> Tensor:
        """L_hybrid of a batch at random timesteps."""
        generator = torch.Generator().manual_seed(seed)
        x_0 = products(seed, 8)
        index = torch.randint(0, 1000, (8,), generator=generator)
        epsilon = torch.randn(x_0.shape, generator=generator)
        x_t = diffuse(WHOLE, x_0, index, epsilon)
        predicted, v = self.denoiser(x_t, index)
        simple, variational = hybrid_loss(WHOLE, x_0, x_t, index, epsilon, predicted, v, 0.001)
        return (simple + variational).mean()


@pytest.fixture(scope="module")
def trained() -> Trained:
    pytest.importorskip("diffusers")
    return Trained()


def distance(images: Tensor) -> float:
    """Root mean square difference to the nearest of many good images, the mean over ``images``."""
    good = products(99, 200).flatten(1)
    return float(torch.cdist(images.flatten(1), good).min(1).values.mean() / good.shape[1] ** 0.5)


def test_a_few_steps_of_training_help(trained: Trained) -> None:
    """Not by much: these images are nearly Gaussian, for which the linear estimate it starts from is the best."""
    assert trained.error() < 0.95 * trained.before


@pytest.mark.parametrize(("sampler", "scale"), [("iddpm", 1.0), ("ddim", 0.3)])
def test_stronger_is_further_from_good(trained: Trained, sampler: Sampler, scale: float) -> None:
    """The same images' noise at rising strengths: each step away from the good ones is a step further."""
    found = []
    for strength in (0.0, 0.1, 0.2, 0.5):
        noise = image_noise(0, range(8), (3, 32, 32), "cpu")
        strengths = torch.full((8,), scale * strength)
        found.append(distance(synthesise(trained.denoiser, PAPER, noise, strengths, sampler=sampler)))
    assert found == sorted(found) and len(set(found)) == 4
    assert found[-1] > 1.1 * found[0]
    assert found[0] < 0.5 * distance(products(5, 8).flip(0).roll(8, 3)), "without strength, products come out"


def test_from_a_good_image_the_structure_stays(trained: Trained) -> None:
    start = products(7, 6)
    noise = image_noise(0, range(6), (3, 32, 32), "cpu")
    made = synthesise(trained.denoiser, respaced(WHOLE, 6, 150), noise, torch.full((6,), 0.1), start=start)
    from_nothing = synthesise(trained.denoiser, PAPER, noise, torch.full((6,), 0.1))

    def nearest(images: Tensor) -> list[int]:
        return torch.cdist(images.flatten(1), start.flatten(1)).argmin(1).tolist()

    assert nearest(made) == list(range(6))
    assert nearest(from_nothing) != list(range(6))
    assert not torch.allclose(made, start, atol=0.02)


def test_the_start_is_noised_up_to_the_schedule_s_last_step() -> None:
    schedule, start = respaced(WHOLE, 3, 200), torch.linspace(-1, 1, 96).view(2, 3, 4, 4)
    recorder = Recorder(waves)
    synthesise(recorder, schedule, normal(0, 2), torch.zeros(2), start=start)
    x, t, _ = recorder.seen[0]
    assert t.tolist() == [199, 199]
    torch.testing.assert_close(x, diffuse(WHOLE, start, t, normal(0, 2)()))


class Bright(nn.Module):
    """Two categories, the second the more likely the brighter the image."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        logit = (x - MEAN).sum((1, 2, 3))
        return torch.stack([-logit, logit], 1) / 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_guide_leads_to_its_category(sampler: Sampler) -> None:
    """From the same noise, images become brighter that are to be of the bright category, the others darker."""

    def guide(x: Tensor, t: Tensor, category: Tensor | None) -> Tensor:
        assert category is not None
        return guidance_gradient(Bright(), x, t, category)

    schedule, category = respaced(WHOLE, 50), torch.tensor([0, 1] * 8)
    network, zero = optimal(schedule)[0], torch.zeros(16)
    plain = synthesise(network, schedule, normal(0, 16), zero, category, sampler=sampler)
    guided = synthesise(network, schedule, normal(0, 16), zero, category, sampler=sampler, guide=guide)
    moved = (guided - plain).mean((1, 2, 3))
    assert (moved[1::2] > 1e-3).all() and (moved[::2] < -1e-3).all()


def test_the_mean_of_a_guided_step_is_moved_by_sigma_times_the_gradient() -> None:
    gradient = normal(8, 2)()
    seen = []
    for guide in (None, lambda x, t, category: gradient):
        recorder = Recorder(waves)
        synthesise(recorder, LATE, normal(0, 2), torch.tensor([0.0, 1.0]), guide=guide)
        seen.append(recorder.seen[1][0])
    expected = sigma_of_each_kind(LATE, normal(0, 2)())["learned"].float() * gradient
    torch.testing.assert_close(seen[1] - seen[0], expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_network_in_half_precision(sampler: Sampler) -> None:
    """Its output is rounded when it arrives; nothing is rounded after."""

    def half(x: Tensor, t: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor]:
        epsilon, v = waves(x, t, category)
        return epsilon.bfloat16(), v.bfloat16()

    def rounded(x: Tensor, t: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor]:
        epsilon, v = half(x, t, category)
        return epsilon.float(), v.float()

    strength = torch.tensor([0.1, 0.2])
    found = synthesise(half, PAPER, normal(0, 2), strength, sampler=sampler)
    assert found.dtype == torch.float32
    assert torch.equal(found, synthesise(rounded, PAPER, normal(0, 2), strength, sampler=sampler))


def test_nothing_is_kept_for_gradients(trained: Trained) -> None:
    noise = image_noise(0, [0], (3, 32, 32), "cpu")
    assert not synthesise(trained.denoiser, respaced(WHOLE, 2), noise, torch.zeros(1)).requires_grad
