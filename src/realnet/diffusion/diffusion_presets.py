"""Complete configurations of a diffusion model by name."""

from collections.abc import Mapping
from types import MappingProxyType

from realnet.diffusion.config import DenoiserConfig, DenoiserTrainingConfig, DiffusionConfig, ProcessConfig


def _small(preset: str, denoiser: DenoiserConfig, start: float, steps: int, report_every: int) -> DiffusionConfig:
    """For CPUs: a small network around the best linear estimate, from partly noised good images, at low resolution."""
    return DiffusionConfig(
        preset=preset,
        output_size=256,
        denoiser=denoiser,
        process=ProcessConfig(start=start, strength=(1.0, 3.0)),
        training=DenoiserTrainingConfig(
            batch_size=4,
            accumulate=1,
            steps=steps,
            learning_rate=1e-3,
            schedule="cosine",
            warm_up=20,
            ema=0.999,
            report_every=report_every,
            report_images=16,
            sampling_steps=10,
        ),
    )


# One GPU of 16 GiB or more, hours: the paper's process, a quarter of its width, images folded by two.
_GPU = DiffusionConfig(
    preset="gpu",
    denoiser=DenoiserConfig(patch=2, width=96, multipliers=(1, 2, 3, 4), attention_at=(4, 8)),
    training=DenoiserTrainingConfig(batch_size=16, accumulate=1, steps=40_000, warm_up=500, report_every=2_000),
)
# Two cores and an hour or two: 128x128 pixels.
_CPU = DenoiserConfig(
    image_size=128, patch=4, width=96, multipliers=(1, 2, 2), residual_blocks=1, attention_at=(4,), head_channels=32,
    output="image",
)  # fmt: skip
# Two cores and ten minutes: 64x64 pixels; see benchmarks/TRIALS.md for what was tried.
_LITE = DenoiserConfig(
    image_size=64, patch=2, width=48, multipliers=(1, 2, 2), residual_blocks=1, attention_at=(), output="image",
)  # fmt: skip

diffusion_presets: Mapping[str, DiffusionConfig] = MappingProxyType(
    {
        "paper": DiffusionConfig(),
        "gpu": _GPU,
        "cpu": _small("cpu", _CPU, 0.4, 10_000, 1_000),
        "lite": _small("lite", _LITE, 0.3, 2_500, 500),
    }
)
