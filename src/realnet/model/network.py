"""RealNet: backbone, feature selection, reconstruction, residuals selection and discriminator in one module."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.calibration import HIGHEST_KNOWN, UNKNOWN_SCORE
from realnet.config import TOP_SHARE, Config, ModelConfig
from realnet.errors import UserError
from realnet.model.afs import AFS
from realnet.model.backbone import Backbone
from realnet.model.discriminator import Discriminator
from realnet.model.evidence import EvidenceDiscriminator, Judged, probability
from realnet.model.familiarity import Familiarity, describe
from realnet.model.reconstruction import Reconstruction
from realnet.model.rrs import RRS, global_residual


class Judgement(NamedTuple):
    """The anomaly map ``[B, 1, H, W]`` and the image score ``[B]``, both in 0..1."""

    anomaly_map: Tensor
    score: Tensor


class RealNet(nn.Module):
    """The whole inspector as an ``nn.Module``: image in, anomaly map out.

    Shapes:
        input: ``[B, 3, H, W]``, RGB in 0..1, H and W divisible by 32.
        output: anomaly map ``[B, 1, H, W]`` in 0..1, the probability of "anomalous" of each pixel.

    Args:
        config: a whole :class:`~realnet.config.Config` (as in ``presets``) or its ``model`` part.
        pretrained: load the backbone's ImageNet weights (see :class:`~realnet.model.backbone.Backbone`).
        seed: draws the random selections (``rdr``, ``rlpr``) and the initial weights; default: the config's.
        network: the frozen network of another model's backbone, of the same kind and weights, to be shared.

    Raises:
        UserError: for a configuration that no network can be built of.

    Example:
        >>> import torch
        >>> from realnet import RealNet, presets
        >>> model = RealNet(presets["lite"], pretrained=False).eval()
        >>> model(torch.rand(1, 3, 256, 256)).shape
        torch.Size([1, 1, 256, 256])
    """

    def __init__(
        self,
        config: Config | ModelConfig,
        pretrained: bool = True,
        seed: int | None = None,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__()
        model = config.model if isinstance(config, Config) else config
        if seed is None:
            seed = config.seed if isinstance(config, Config) else 0
        self.config = model
        self.backbone = Backbone(model.backbone, pretrained, network)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(seed)
            self.afs = AFS(self.backbone.channels, model.afs, generator)
            dimensions = self.afs.dimensions
            grids = [(model.image_size // stride, model.image_size // stride) for stride in self.backbone.strides]
            self.reconstruction = Reconstruction(dimensions, grids, model.reconstruction)
            widths = self.reconstruction.widths
            weights = model.discriminator.layer_weights
            self.rrs: nn.Module = nn.Identity()
            if model.discriminator.kind == "evidence":
                if weights is not None and len(weights) != len(widths):
                    raise UserError(
                        f"model.discriminator.layer_weights has {len(weights)} weights for {len(widths)} "
                        "reconstructions; give one each, or null."
                    )
                self.discriminator: nn.Module = EvidenceDiscriminator(
                    widths, model.discriminator, model.rrs, model.general
                )
                self.familiarity: Familiarity | None = Familiarity(widths)
            else:
                self.rrs = RRS(sum(widths), model.rrs)
                self.discriminator = Discriminator(self.rrs.r, model.discriminator)
                self.familiarity = None

    @property
    def frozen(self) -> tuple[str, ...]:
        """What the names of tensors begin with that no training step changes."""
        solved = ("reconstruction.",) if self.reconstruction.solved else ()
        return ("backbone.", "afs.", "familiarity.", *solved)

    def select(self, image: Tensor) -> list[Tensor]:
        """All that is frozen of ``image``, and that training caches: the selected, aligned features, one a network."""
        return self.select_from(self.backbone.extract(image))

    def select_from(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Likewise of the backbone's raw ``features``."""
        return self.reconstruction.align(self.afs(self.backbone.standardised(features)))

    def selected_scales(self) -> Tensor:
        """What the selected channels were divided by to standardise them, one number each; 1 where they were not."""
        if not self.backbone.standardise:
            return torch.ones(sum(self.afs.dimensions))
        scales = [self.backbone.get_buffer(f"std_{k}")[None, :, None, None] for k in range(len(self.afs.dimensions))]
        return torch.cat([scale.flatten() for scale in self.afs(scales)])

    def residuals(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """E_k = [phi_k(A) - G_k(phi_k(A))]^2 (with a subspace in units of good images), and the G_k(phi_k(A))."""
        reconstructions = self.reconstruction(features)
        residuals = [(f - r).square() for f, r in zip(features, reconstructions, strict=True)]
        return self.reconstruction.in_units(residuals), reconstructions

    def discriminate(self, features: Sequence[Tensor], size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
        """What training needs of selected ``features`` of an image of ``size`` (H, W): :meth:`logits` and
        reconstructions, one a network.
        """
        residuals, reconstructions = self.residuals(features)
        return self.logits(residuals, size), reconstructions

    def logits(self, residuals: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Two-class logits ``[B, 2, H, W]`` of ``residuals``, by the paper's RRS and discriminator."""
        grid = residuals[0].shape[-2:]
        selected = self.rrs(global_residual(residuals, (grid[0], grid[1])))
        return self.discriminator(selected, size)

    @property
    def evidence(self) -> EvidenceDiscriminator | None:
        """The discriminator, where it is that of closed-form reconstruction."""
        return self.discriminator if isinstance(self.discriminator, EvidenceDiscriminator) else None

    def judge(self, image: Tensor) -> Judgement:
        """Anomaly map and score of ``image``.

        ValueError for another shape than ``[B, 3, H, W]`` with sides that 32 divides, or, with a subspace, the model's.
        """
        height, width = image.shape[-2:]
        if image.ndim != 4 or image.shape[1] != 3 or height % 32 or width % 32:
            raise ValueError(f"RealNet takes [B, 3, H, W] with H and W divisible by 32, not {tuple(image.shape)}")
        side = self.config.image_size
        if self.reconstruction.solved and (height, width) != (side, side):
            raise ValueError(f"a subspace is tied to one image size: give {side}x{side} pixels, not {height}x{width}")
        return self.judge_selected(self.select(image), (height, width))[0]

    def judge_selected(self, features: Sequence[Tensor], size: tuple[int, int]) -> tuple[Judgement, list[Tensor]]:
        """Anomaly map and score of images of ``size`` ``(H, W)``, and reconstructions of what :meth:`select` gave."""
        residuals, reconstructions = self.residuals(features)
        found = self.conclude(residuals, size)
        if self.familiarity is not None:
            strange = self.familiarity(describe(features)) > 1
            found = Judgement(found.anomaly_map, torch.where(strange, UNKNOWN_SCORE, found.score))
        return found, reconstructions

    def conclude(self, residuals: Sequence[Tensor], size: tuple[int, int]) -> Judgement:
        """Anomaly map and score of an image of ``size`` ``(H, W)`` by its ``residuals``."""
        kind = self.config.image_score
        if self.evidence is not None:
            return conclusion(self.evidence(residuals, size), kind)
        anomaly_map = self.logits(residuals, size).softmax(1)[:, 1:]
        return Judgement(anomaly_map, image_score(anomaly_map, kind))

    def forward(self, image: Tensor) -> Tensor:
        """Anomaly map of ``image``."""
        return self.judge(image).anomaly_map


def conclusion(judged: Judged, kind: str) -> Judgement:
    """Map and score in 0..1 of what an :class:`~realnet.model.evidence.EvidenceDiscriminator` says."""
    score = probability(image_score(judged.score, kind)).clamp_max(HIGHEST_KNOWN)
    return Judgement(probability(judged.map), score)


def image_score(anomaly_map: Tensor, kind: str) -> Tensor:
    """Image-level score of ``anomaly_map`` ``[B, 1, H, W]``: ``[B]``.

    ``max`` is the paper's (Sec. 3.3), ``pooled16`` the released code's: the maximum after a 16x16 average, stride 1;
    ``top`` is the mean of the largest 0.6 % of the pixels.
    """
    if kind == "top":
        flat = anomaly_map.flatten(1)
        # int: a converter that traces has tensors for sizes.
        return flat.topk(max(1, round(TOP_SHARE * int(flat.shape[1]))), dim=1).values.mean(1)
    if kind == "pooled16":
        # The mean of 16x16 is the mean of 16 means of 16.
        anomaly_map = F.avg_pool2d(F.avg_pool2d(anomaly_map, (16, 1), stride=1), (1, 16), stride=1)
    elif kind != "max":
        raise ValueError(f"unknown image score {kind!r}: use max, pooled16 or top")
    return anomaly_map.flatten(1).amax(1)
