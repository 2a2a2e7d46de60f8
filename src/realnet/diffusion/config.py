"""The configuration of a diffusion model: typed, validated at the start, saved beside the weights."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from realnet.config import Node

Count = Annotated[int, Field(ge=1)]


class UNetConfig(Node):
    """The shape of the U-Net, or of its way down (`ClassifierConfig`).

    ``image_size`` is the side of the images in pixels. ``patch`` folds that many pixels a side into channels before
    the network and unfolds them behind it: at 4 a 256x256 image is worked on as a 64x64 grid, sixteen times cheaper.
    ``attention_at`` are the downsampling factors of the grid at which there is self-attention. ``groups`` is the most
    groups a GroupNorm has.
    """

    part: ClassVar[str]

    image_size: int = Field(256, ge=16, le=1024)
    patch: Literal[1, 2, 4, 8] = 1
    width: Count = 256
    multipliers: tuple[Count, ...] = Field((1, 1, 2, 2, 4, 4), min_length=1)
    residual_blocks: Count = 2
    attention_at: tuple[Count, ...] = (8, 16, 32)
    head_channels: Count = 64
    groups: Count = 32

    @model_validator(mode="after")
    def _divides(self) -> Self:
        smallest = self.patch * 2 ** (len(self.multipliers) - 1)
        if self.image_size % smallest:
            raise ValueError(
                f"{self.part}.image_size={self.image_size} must be a multiple of {smallest} with patch {self.patch} "
                f"and {len(self.multipliers)} levels"
            )
        return self


class DenoiserConfig(UNetConfig):
    """The U-Net that predicts the noise and the variance.

    ``categories`` is how many products it is conditioned on; 0: none. ``output`` is what the U-Net itself puts out: the
    noise, as in the paper, or (``image``) a correction of the best linear estimate of the image, from ``components``
    principal components of the good ones; the noise follows from the image. Learned in minutes rather than days.
    """

    part = "denoiser"

    dropout: float = Field(0.0, ge=0, lt=1)
    output: Literal["noise", "image"] = "noise"
    components: Count = 64
    categories: int = Field(0, ge=0)


class ProcessConfig(Node):
    """The diffusion process (Sec. 3.1).

    ``steps`` is T in training. ``start`` is the share of T that is used: 1 is the paper's process from pure noise;
    below 1, images are made from good ones noised up to that point, and training draws its timesteps below it.
    ``variance_weight`` is gamma of Eq. S2. ``strength`` is the range of s of Algorithm 1 that images are sampled with
    where none is asked for; a process that starts late has little variance to scale, and needs a larger s.
    """

    schedule: Literal["linear", "cosine"] = "linear"
    steps: int = Field(1000, ge=2)
    start: float = Field(1.0, gt=0, le=1)
    variance_weight: float = Field(0.001, ge=0)
    strength: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (0.1, 0.2)

    @field_validator("strength")
    @classmethod
    def _lower_first(cls, strength: tuple[float, float]) -> tuple[float, float]:
        if strength[0] > strength[1]:
            raise ValueError("the lower strength comes first")
        return strength

    @property
    def highest(self) -> int:
        """How many timesteps of training are used: t is 0 .. ``highest`` - 1."""
        return max(2, round(self.start * self.steps))


class DenoiserTrainingConfig(Node):
    """Optimisation. A step is ``accumulate`` batches of ``batch_size`` images, however many devices share them.

    ``ema`` is the decay of the averaged weights, which are those sampled from; early on it is (1 + n) / (10 + n) where
    that is less, so that a short run does not sample its start values. ``flip`` mirrors images at random: only for
    products that look the same mirrored. ``report_every`` steps come a grid and the readiness figure.
    """

    steps: Count = 50_000
    batch_size: Count = 5
    accumulate: Count = 12
    learning_rate: float = Field(1e-4, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up: int = Field(0, ge=0)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.9999, ge=0, lt=1)
    ema_warm_up: bool = True
    flip: bool = False
    held_out_share: float = Field(0.1, gt=0, lt=0.5)
    report_every: Count = 2_500
    report_images: int = Field(32, ge=4)
    sampling_steps: Count = 20


class DiffusionConfig(Node):
    """The whole tree, as saved in ``config.yaml`` of a diffusion model.

    ``output_size`` is the side of the images that are made, where that is a multiple of the network's own: the good
    images they start from lend them their fine detail.
    """

    preset: str = "paper"
    seed: int = Field(0, ge=0)
    output_size: int | None = Field(None, ge=16, le=2048)
    denoiser: DenoiserConfig = DenoiserConfig()
    process: ProcessConfig = ProcessConfig()
    training: DenoiserTrainingConfig = DenoiserTrainingConfig()

    @model_validator(mode="after")
    def _detail_needs_a_start(self) -> "DiffusionConfig":
        size = self.denoiser.image_size
        if self.size % size or (self.size > size and self.process.start >= 1):
            raise ValueError(
                f"output_size={self.output_size} must be a multiple of denoiser.image_size={size}, and above it only "
                "with process.start below 1, where there are good images to take the detail from"
            )
        return self

    @property
    def size(self) -> int:
        """The side of the images that are made, in pixels."""
        return self.output_size or self.denoiser.image_size
