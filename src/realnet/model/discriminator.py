"""The discriminator: from selected residuals to an anomaly map at image resolution (App. B)."""

import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import DiscriminatorConfig
from realnet.model.unet import ResidualLayer


class Discriminator(nn.Module):
    """Residual layers, three convolutions, x2 upsampling, two convolutions, upsampling to the image.

    Shapes:
        input: ``[B, r, h', w']``; output: two-class logits ``[B, 2, H, W]``.
    """

    def __init__(self, r: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        a, b, c, d = config.widths
        self.residual = nn.Sequential(*(ResidualLayer(r, r) for _ in range(config.residual_layers)), nn.ReLU())
        self.entry = nn.Sequential(nn.Conv2d(r, a, 3, padding=1), nn.BatchNorm2d(a), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.Conv2d(b, c, 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(nn.Conv2d(c, d, 3, padding=1), nn.ReLU(), nn.Conv2d(d, 2, 3, padding=1))

    def forward(self, residual: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits of ``residual`` at the image size ``(H, W)``."""
        h = self.body(self.entry(self.residual(residual)))
        h = F.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=True)
        return F.interpolate(self.head(h), size=size, mode="bilinear", align_corners=True)
