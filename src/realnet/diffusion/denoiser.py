"""The network of the diffusion model: epsilon_theta and v of Eq. S1, by diffusers' U-Net."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from realnet.diffusion.config import DenoiserConfig
from realnet.diffusion.prior import GaussianPrior
from realnet.distribution import install_hint
from realnet.errors import UserError


class Denoiser(nn.Module):
    """Predicts the noise in x_t and where its variance lies between beta~ and beta; UserError without diffusers.

    Shapes:
        x: ``[B, 3, S, S]``, values about -1..1, S the configuration's ``image_size``.
        t: ``[B]``, timesteps of training, 0 .. T - 1 (integers, whatever the respacing).
        category: ``[B]`` integers, 0 .. categories - 1; None where the network is not conditioned.
        output: epsilon ``[B, 3, S, S]`` and v ``[B, 3, S, S]``, v in 0..1 by (raw + 1) / 2, not clamped.
    """

    alphas_bar: Tensor

    def __init__(self, config: DenoiserConfig, alphas_bar: Tensor) -> None:
        super().__init__()
        self.config = config
        self.unet: Any = unet_class()(**unet_arguments(config))
        # The process is part of the configuration, not of the weights.
        self.register_buffer("alphas_bar", alphas_bar.float(), persistent=False)
        self.prior: GaussianPrior | None = None
        if config.output == "image":
            self.prior = GaussianPrior((3, config.image_size, config.image_size), config.components)

    def forward(self, x: Tensor, t: Tensor, category: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Epsilon and v."""
        if (category is None) == (self.config.categories > 0):
            raise ValueError("a category is given where the network is conditioned, and only there")
        if self.prior is None:
            epsilon, raw = self._unet(x, t, category)
        else:
            epsilon, raw = self._around(self.prior, x, t, category)
        return epsilon, (raw + 1) / 2

    def _unet(self, x: Tensor, t: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor]:
        output = self.unet(F.pixel_unshuffle(x, self.config.patch), t, class_labels=category).sample
        first, second = output.chunk(2, dim=1)
        return F.pixel_shuffle(first, self.config.patch), F.pixel_shuffle(second, self.config.patch)

    def _around(self, prior: GaussianPrior, x: Tensor, t: Tensor, category: Tensor | None) -> tuple[Tensor, Tensor]:
        """The U-Net sees the linear estimate of x_0 and, in units of the noise, what it leaves of x_t, and corrects it.

        The correction is in units of the estimate's own deviation, as in Karras et al. 2022 (Sec. 5).
        """
        signal = self.alphas_bar[t].to(x)
        level = ((1 - signal) / signal)[:, None, None, None]
        y = x / signal.sqrt()[:, None, None, None]
        estimate = prior(y, level.flatten())
        left = (y - estimate) / level.sqrt()
        correction, raw = self._unet(torch.cat([estimate, left], 1), t, category)
        error = prior.deviation(level.flatten())
        # epsilon = (y - x_0) / sqrt(level), term by term: where little noise is left, digits count.
        return left - correction * (error / level.sqrt()), raw


def unet_arguments(config: DenoiserConfig) -> dict[str, Any]:
    """The arguments of diffusers' UNet2DModel that give guided diffusion's U-Net."""
    channels = 3 * config.patch**2
    widths = [config.width * multiplier for multiplier in config.multipliers]
    groups = common_groups([*widths], config.groups)
    attends = [2**level in config.attention_at for level in range(len(widths))]
    return {
        "sample_size": config.image_size // config.patch,
        "in_channels": channels if config.output == "noise" else 2 * channels,
        "out_channels": 2 * channels,
        "block_out_channels": tuple(widths),
        "layers_per_block": config.residual_blocks,
        "down_block_types": tuple("AttnDownBlock2D" if a else "ResnetDownsampleBlock2D" for a in attends),
        "up_block_types": tuple("AttnUpBlock2D" if a else "ResnetUpsampleBlock2D" for a in reversed(attends)),
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "resnet_time_scale_shift": "scale_shift",
        "attention_head_dim": min(config.head_channels, *widths),
        "norm_num_groups": groups,
        "attn_norm_num_groups": groups,
        "dropout": config.dropout,
        "num_class_embeds": config.categories or None,
    }


def common_groups(widths: list[int], most: int) -> int:
    """The largest number of groups up to ``most`` that divides every width."""
    return next(groups for groups in range(most, 0, -1) if all(width % groups == 0 for width in widths))


def unet_class() -> Any:
    """Diffusers' U-Net, imported when it is needed; raises `UserError` where the package is missing."""
    try:
        from diffusers import UNet2DModel
    except ImportError as error:
        raise UserError(f"Diffusion models need the package diffusers: {install_hint('sdas')}.") from error
    return UNet2DModel


def parameter_count(module: nn.Module) -> int:
    """How many trainable numbers a module has."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
