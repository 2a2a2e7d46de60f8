"""Building a peer's model: its own constructor, on the same feature extractor as RealNet's."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from realnet.benchmark.peers.known_peers import Peer
from realnet.config import BackboneConfig
from realnet.distribution import install_hint
from realnet.errors import UserError
from realnet.model.backbone import Backbone

_Statistics = tuple[tuple[float, ...], tuple[float, ...]]
_IMAGENET: _Statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Not a matter of the method: set here, or of no use without test-time callbacks.
_OURS = {"self", "backbone", "pre_trained", "pre_processor", "post_processor", "evaluator", "visualizer"}


def backbone_of(peer: Peer, wanted: BackboneConfig) -> BackboneConfig | None:
    """The feature extractor that ``peer`` runs on: the wanted one where it can; None where it brings its own."""
    if peer.networks == ():
        return None
    if peer.networks is None or wanted.name in peer.networks:
        return BackboneConfig(name=wanted.name, weights=wanted.weights)
    return BackboneConfig(name=peer.networks[0])


def build(
    peer: Peer, side: int, wanted: BackboneConfig, options: dict[str, Any], textures: Path | None
) -> tuple[Any, Callable[[Tensor], Tensor]]:
    """The anomalib module of ``peer`` for images of ``side`` pixels, and what its input goes through.

    The latter takes RGB in 0..1 ``[B, 3, H, W]`` and gives what the torch model in ``.model`` takes. UserError without
    anomalib, for unknown options, and for textures or weights that cannot be had.
    """
    try:
        from anomalib import models
        from anomalib.pre_processing import PreProcessor
    except ImportError as error:
        raise UserError(f"Peers need anomalib: {install_hint('compare')}.") from error
    from torchvision.transforms.v2 import Compose, Normalize, Resize

    constructor = getattr(models, peer.model)
    settings: dict[str, Any] = {**peer.options, **_textures(peer, textures)}
    statistics = _IMAGENET
    source: Backbone | None = None
    config = backbone_of(peer, wanted)
    if config is not None:
        source = _source(peer, config)
        statistics = _statistics(source)
        settings |= _layers(peer, config.name, side)
        if "backbone" in inspect.signature(constructor).parameters:
            settings["backbone"] = peer.stand_in or config.name
    if peer.size_option:
        settings[peer.size_option] = (side, side)
    _check(peer, constructor, options)
    settings |= options
    steps: list[nn.Module] = [Resize((side, side), antialias=True)]
    if peer.statistics != "none":
        steps.append(Normalize(*statistics))
    transform = Compose(steps)
    with _weights(peer, config, source):
        module = constructor(
            pre_processor=PreProcessor(transform), post_processor=False, evaluator=False, visualizer=False, **settings
        )
    # From here on the images come as the model takes them, also where anomalib's own passes over the data (the
    # centres of CFA and GLASS) leave the pre-processor out.
    module.pre_processor = None
    return module, transform


def _source(peer: Peer, config: BackboneConfig) -> Backbone:
    try:
        return Backbone(config)
    except UserError as error:
        if config.weights is not None or not timm.is_model(config.name):
            raise
        raise UserError(
            f"{peer.title} runs on {config.name}, whose ImageNet weights could not be had: it needs a network, or a "
            f"backbone of the name {config.name} with a file of its weights."
        ) from error


def _statistics(source: Backbone) -> _Statistics:
    return tuple(source.input_mean.flatten().tolist()), tuple(source.input_std.flatten().tolist())


def _layers(peer: Peer, network: str, side: int) -> dict[str, Any]:
    """The layers by the names that they have in this network of timm, and the sizes that follow from them."""
    info: Any = timm.create_model(network, pretrained=False, features_only=True).feature_info
    layers = [info.info[tap] for tap in peer.taps]
    if not layers:
        return {}
    names = [layer["module"] for layer in layers]
    settings: dict[str, Any] = {peer.layers_option: names if peer.layers_option == "layers" else names[0]}
    if peer.model == "Fre":
        # It wants the length of a layer's features, pooled 2 x 2.
        settings["input_dim"] = layers[0]["num_chs"] * (side // layers[0]["reduction"] // 2) ** 2
    if peer.model == "Cflow":
        # A step takes as many positions of the coarsest layer at once, and the last batch may be a single image.
        settings["fiber_batch_size"] = min(64, (side // layers[-1]["reduction"]) ** 2)
    return settings


def _textures(peer: Peer, textures: Path | None) -> dict[str, str]:
    if not peer.textures_option:
        return {}
    if textures is None or not textures.is_dir():
        given = "none was given" if textures is None else f"there is no folder {textures}"
        raise UserError(
            f"{peer.title} needs textures, and {given}: download DTD, and name its folder images with --textures."
        )
    return {peer.textures_option: str(textures)}


def _check(peer: Peer, constructor: type, options: dict[str, Any]) -> None:
    known = set(inspect.signature(constructor).parameters) - _OURS - {peer.textures_option, peer.size_option}
    unknown = sorted(set(options) - known)
    if unknown:
        raise UserError(f"{peer.title} has no option {unknown[0]}; it has {', '.join(sorted(known)) or 'none'}.")


@contextmanager
def _weights(peer: Peer, config: BackboneConfig | None, source: Backbone | None) -> Iterator[None]:
    """While a model is built, the networks it asks timm for get the weights of ``source``.

    anomalib has no parameter for weights from a file, and lets some models (STFPM, SuperSimpleNet) take pretrained
    ones only from timm's hub; a hub that cannot be reached gets a `UserError`.
    """
    original = timm.create_model

    def create(name: str, pretrained: bool = False, **settings: Any) -> nn.Module:
        if config is not None and name == peer.stand_in:
            name = config.name
        if not pretrained:
            return original(name, pretrained=False, **settings)
        if config is not None and source is not None and name == config.name:
            network = original(name, pretrained=False, **settings)
            weights = source.network.state_dict()
            network.load_state_dict({key: weights[key] for key in network.state_dict()})
            return network
        try:
            return original(name, pretrained=True, **settings)
        except Exception as error:  # of whatever library the hub's client is made of
            raise unavailable(peer, error) from error

    changing: Any = timm
    changing.create_model = create
    try:
        yield
    except OSError as error:
        raise unavailable(peer, error) from error
    finally:
        changing.create_model = original


def unavailable(peer: Peer, error: Exception) -> UserError:
    """What to tell where something cannot be downloaded."""
    what = peer.downloads or "the weights of its networks"
    return UserError(f"{peer.title} needs {what}; that could not be had ({type(error).__name__}): it needs a network.")
