"""The discriminator: from selected residuals to an anomaly map at image resolution (App. B)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import DiscriminatorConfig
from realnet.model.unet import ResidualLayer

# How far the convolutions may move a logit that the evidence has set.
BOUND = 1.5


class Discriminator(nn.Module):
    """Residual layers, three convolutions, x2 upsampling, two convolutions, upsampling to the image.

    The last ``evidence`` input channels, each layer's mean compressed residual, also reach the anomalous logit
    directly, in standard deviations, and alone at the start; what the convolutions add is bounded. So a large residual
    counts as a defect before anything was trained, and where a defect is unlike any synthetic one.

    Shapes:
        input: ``[B, r, h', w']``; output: two-class logits ``[B, 2, H, W]``.

    Args:
        r: input channels.
        config: widths and depth.
        evidence: how many of them are evidence; 0, as in the paper, for none.
    """

    def __init__(self, r: int, config: DiscriminatorConfig, evidence: int = 0) -> None:
        super().__init__()
        self.evidence = evidence
        if evidence:
            self.standardise = nn.BatchNorm2d(evidence, affine=False)
            self.weigh = nn.Conv2d(evidence, 1, 1)
            nn.init.constant_(self.weigh.weight, 1.0)
            if self.weigh.bias is not None:
                nn.init.constant_(self.weigh.bias, -4.0)
        a, b, c, d = config.widths
        self.residual = nn.Sequential(*(ResidualLayer(r, r) for _ in range(config.residual_layers)), nn.ReLU())
        self.entry = nn.Sequential(nn.Conv2d(r, a, 3, padding=1), nn.BatchNorm2d(a), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.Conv2d(b, c, 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(nn.Conv2d(c, d, 3, padding=1), nn.ReLU(), nn.Conv2d(d, 2, 3, padding=1))
        if evidence:
            for parameter in self.head[2].parameters():
                nn.init.zeros_(parameter)

    def forward(self, residual: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits of ``residual`` at the image size ``(H, W)``."""
        h = self.body(self.entry(self.residual(residual)))
        h = F.interpolate(h, scale_factor=2.0, mode="bilinear", align_corners=True)
        logits = self.head(h)
        if self.evidence:
            smooth = F.avg_pool2d(residual[:, -self.evidence :], 3, 1, 1, count_include_pad=False)
            weighed = self.weigh(self.standardise(smooth))
            weighed = F.interpolate(weighed, size=logits.shape[-2:], mode="bilinear", align_corners=True)
            learned = BOUND * torch.tanh((logits[:, 1:] - logits[:, :1]) / BOUND)
            logits = F.pad(weighed + learned, (0, 0, 0, 0, 1, 0))
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=True)
