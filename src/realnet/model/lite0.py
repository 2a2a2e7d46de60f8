"""EfficientNet-Lite0 as a feature extractor: the backbone of the presets for two CPU cores.

timm's ``tf_efficientnet_lite0`` to the bit and to the name of every weight, without timm, which brings torchvision and
a compiler along: seconds at every start.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

# A stage: blocks, kernel, stride of the first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
# The stage whose output each feature is: the last of its stride.
_FEATURE_STAGES = (0, 1, 2, 4, 6)
FEATURES = len(_FEATURE_STAGES)
"""How many features there are, of strides 2, 4, 8, 16 and 32."""
NAME = "tf_efficientnet_lite0"
"""What timm calls it."""


class Lite0(nn.Module):
    """Features of an image at several strides.

    Shapes:
        input: ``[B, 3, H, W]``, H and W divisible by 32.
        output: one tensor a tap, ``[B, channels[k], H / strides[k], W / strides[k]]``.

    Args:
        taps: numbers of the features handed on, below :data:`FEATURES`.

    Source:
        M. Tan and Q. Le, EfficientNet (ICML 2019), without squeeze-and-excitation and with ReLU6, as the "lite" models
        of its authors have it.
    """

    def __init__(self, taps: Sequence[int]) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.conv_stem, self.bn1, self.act = _conv(3, _STEM, 3, 2), _norm(_STEM), nn.ReLU6(inplace=True)
        stages, width = [], _STEM
        for count, kernel, stride, expansion, channels in _STAGES:
            blocks: list[nn.Module] = []
            for number in range(count):
                kind = _Inverted if expansion > 1 else _Separable
                blocks.append(kind(width, channels, kernel, stride if number == 0 else 1, expansion))
                width = channels
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.channels = tuple(_STAGES[_FEATURE_STAGES[tap]][-1] for tap in self.taps)
        self.strides = tuple(2 ** (tap + 1) for tap in self.taps)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # until weights are loaded, no layer makes its input larger or smaller
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0.0, (2 / fan_out) ** 0.5)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of ``image``, normalised as the weights want it."""
        x = self.act(self.bn1(self.conv_stem(image)))
        wanted, found = {_FEATURE_STAGES[tap] for tap in self.taps}, {}
        for number, stage in enumerate(self.blocks):
            x = stage(x)
            if number in wanted:
                found[number] = x
        return [found[_FEATURE_STAGES[tap]] for tap in self.taps]


class _Separable(nn.Module):
    """A depthwise and a pointwise convolution."""

    def __init__(self, width: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.conv_dw, self.bn1 = _conv(width, width, kernel, stride, width), _norm(width)
        self.conv_pw, self.bn2 = _conv(width, channels), _norm(channels)
        self.act = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(self.act(self.bn1(self.conv_dw(x)))))


class _Inverted(nn.Module):
    """An inverted residual: wider, a depthwise convolution, narrow again."""

    def __init__(self, width: int, channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = width * expansion
        self.conv_pw, self.bn1 = _conv(width, wide), _norm(wide)
        self.conv_dw, self.bn2 = _conv(wide, wide, kernel, stride, wide), _norm(wide)
        self.conv_pwl, self.bn3 = _conv(wide, channels), _norm(channels)
        self.act, self.skips = nn.ReLU6(inplace=True), stride == 1 and width == channels

    def forward(self, x: Tensor) -> Tensor:
        inner = self.act(self.bn1(self.conv_pw(x)))
        inner = self.act(self.bn2(self.conv_dw(inner)))
        inner = self.bn3(self.conv_pwl(inner))
        return inner + x if self.skips else inner


class PaddedConv(nn.Conv2d):
    """A convolution of stride 2 with TensorFlow's padding, which on even sides is one more below and on the right."""

    padded = True

    def forward(self, x: Tensor) -> Tensor:
        """The input is padded by a copy, unless :meth:`take_padding_in` was called."""
        if self.padded:
            before, after = (self.kernel_size[0] - 2) // 2, (self.kernel_size[0] - 1) // 2
            x = F.pad(x, (before, after, before, after))
        return super().forward(x)

    def take_padding_in(self) -> None:
        """Enlarge the kernel by zeros to one that wants the same padding on all sides; not to be saved."""
        if self.padded:
            after = (self.kernel_size[0] - 1) // 2
            self.weight = nn.Parameter(F.pad(self.weight, (1, 0, 1, 0)), requires_grad=False)
            self.kernel_size = (self.kernel_size[0] + 1, self.kernel_size[1] + 1)
            self.padding, self.padded = (after, after), False


def _conv(width: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride > 1:
        return PaddedConv(width, channels, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(width, channels, kernel, padding=kernel // 2, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
