"""The classifier p(y | x_t, t) of noised images, whose gradient may guide the sampling (Dhariwal & Nichol 2021)."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from realnet.diffusion.config import Count, DenoiserConfig, UNetConfig
from realnet.diffusion.denoiser import common_groups, unet_arguments, unet_class


class ClassifierConfig(UNetConfig):
    """The way down of the denoiser's U-Net, half as wide, for ``categories`` products."""

    part = "classifier"

    width: Count = 128
    categories: int = Field(ge=2)

    def unet(self) -> DenoiserConfig:
        """The U-Net of which the classifier is the way down."""
        return DenoiserConfig(**self.model_dump(exclude={"categories"}))


class NoisyClassifier(nn.Module):
    """Says which product a noised image shows; UserError where the package diffusers is not installed.

    Shapes:
        x: ``[B, 3, S, S]``, values about -1..1, S the configuration's ``image_size``.
        t: ``[B]``, timesteps of training, 0 .. T - 1.
        output: logits ``[B, categories]``, float32.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        unet = unet_class()(**unet_arguments(config.unet()))
        self.frequencies: Any = unet.time_proj
        self.time_embedding: Any = unet.time_embedding
        self.stem: nn.Conv2d = unet.conv_in
        self.down: nn.ModuleList = unet.down_blocks
        self.middle: Any = unet.mid_block
        widths = [config.width * multiplier for multiplier in config.multipliers]
        side = config.image_size // config.patch // 2 ** (len(widths) - 1)
        self.norm = nn.GroupNorm(common_groups(widths, config.groups), widths[-1])
        self.pool = AttentionPool(widths[-1], side, config.head_channels, config.categories)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Logits."""
        embedding = self.time_embedding(self.frequencies(t).to(self.stem.weight.dtype))
        h = self.stem(F.pixel_unshuffle(x, self.config.patch))
        for block in self.down:
            h, _ = block(h, embedding)
        return self.pool(F.silu(self.norm(self.middle(h, embedding)))).float()


class AttentionPool(nn.Module):
    """Pools ``[B, channels, side, side]`` to ``[B, outputs]``: the grid's mean asks, it and every place answer."""

    def __init__(self, channels: int, side: int, head_channels: int, outputs: int) -> None:
        super().__init__()
        wanted = max(1, channels // head_channels)
        self.heads = next(heads for heads in range(wanted, 0, -1) if channels % heads == 0)
        self.places = nn.Parameter(torch.randn(side**2 + 1, channels) / channels**0.5)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """The pooled output."""
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1) + self.places
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(tokens[:, :1]), *self.key_value(tokens).chunk(2, 2))
        )
        return self.out(F.scaled_dot_product_attention(query, key, value).flatten(1))


def classifier_loss(classifier: nn.Module, x_t: Tensor, t: Tensor, category: Tensor) -> Tensor:
    """-log p(category | x_t, t), in nats, ``[B]``; arguments as of `NoisyClassifier`, category integers ``[B]``."""
    return F.cross_entropy(classifier(x_t, t).float(), category, reduction="none")


def guidance_gradient(classifier: nn.Module, x: Tensor, t: Tensor, category: Tensor, scale: float = 1.0) -> Tensor:
    """``scale`` times the gradient of log p(category | x, t) by x (Dhariwal & Nichol 2021, Sec. 4): ``[B, 3, S, S]``.

    Times Sigma it is what the mean of a sampling step is moved by. The parameters' own gradients stay as they are, and
    it works where gradients are switched off.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(classifier_loss(classifier, x, t, category).sum(), x)
    return -scale * gradient
