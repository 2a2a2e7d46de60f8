"""The layout of checkpoints of the RealNet authors' released code: their settings read off, their names as ours.

What a tensor is called and what shape it has shows the backbone, the layers of each reconstruction network, all widths
and the share of residuals. What they cannot show is as in that code: 64 channels an attention head, GroupNorm of 32
groups, ImageNet's mean and deviation. The settings saved beside the weights, where there are any, name the ranking of
the residuals.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from pydantic import AliasPath, BaseModel, Field, TypeAdapter, ValidationError
from torch import Tensor

from realnet.config import AfsConfig, BackboneConfig, DiscriminatorConfig, ModelConfig, ReconstructionConfig, RrsConfig
from realnet.errors import UserError, listed
from realnet.model.reconstruction import layer_groups
from realnet.overriding import first_problem

MODES = {("max", "mean"): "max&mean", ("max",): "max", ("mean",): "mean"}
_BACKBONE, _INDEX, _GROUPS, _HEAD = "backbone.feature_extractor.", "afs.indexes.", 32, 64

# Ours, then theirs; what is not here has the same name. The block of a network comes before these.
_SIMPLE = ((r"^stack\.(\d+)\.body\.", r"_residual_stack._layers.\1._block."), (r"^up(\d)\.", r"upblock\1."))
_UNET = (
    (r"^stem\.", "input_blocks.0."),
    (r"^down\.(\d+)\.", lambda found: f"input_blocks.{int(found[1]) + 1}."),
    (r"^middle\.", "middle_block."),
    (r"^up\.", "output_blocks."),
    (r"\.conv\.", ".in_layers.2."),
    (r"\.skip\.", ".skip_connection."),
    (r"\.resample_([hx])\.", r".\1_upd.conv."),
)
_WHOLE = (
    (r"^backbone\.network\.", _BACKBONE),
    (r"^rrs\.ranking\.", "rrs.bn_idx."),
    (r"^discriminator\.residual\.(\d+)\.body\.", r"rrs.decoder1.0._layers.\1._block."),
    (r"^discriminator\.entry\.(\d)\.", lambda found: f"rrs.decoder1.{int(found[1]) + 1}."),
    (r"^discriminator\.body\.", "rrs.decoder2."),
    (r"^discriminator\.head\.", "rrs.decoder3."),
)


@dataclass(frozen=True)
class Layout:
    """What a checkpoint shows of its network.

    Attributes:
        model: the configuration it fits.
        blocks: the name of each reconstruction network and the layers it is given, in order.
        assumed: what neither the file nor the released code settles, one sentence each.
    """

    model: ModelConfig
    blocks: tuple[tuple[str, tuple[str, ...]], ...]
    assumed: tuple[str, ...]


class _Block(BaseModel):
    name: str
    stride: float


class _Arguments(BaseModel):
    structure: tuple[_Block, ...] = ()
    modes: tuple[str, ...] = ()
    mode_numbers: tuple[int, ...] = ()


class _Part(BaseModel):
    arguments: _Arguments = Field(_Arguments(), validation_alias=AliasPath("kwargs"))


def describe(
    tensors: Mapping[str, Tensor], settings: Any, image_size: int, mode: str | None, image_score: str
) -> Layout:
    """The configuration that a checkpoint fits, by names and shapes of its tensors, and the ``settings`` saved with it.

    ``image_size`` in pixels no tensor shows; ``mode`` is how residuals are ranked (``max&mean``, ``max``, ``mean``):
    None for what the settings say, else the paper's ``max&mean``; ``image_score`` is ``max`` or ``pooled16``.

    Raises:
        UserError: where the tensors or settings are not of this layout, or of a variant that no configuration has.
    """
    try:
        parts = [part.arguments for part in TypeAdapter(list[_Part]).validate_python(settings or [])]
        blocks = _blocks(tensors)
        name, offset = _backbone(tensors)
        taps = {layer: int(layer[5:]) + offset for _, layers in blocks for layer in layers}
        _check_strides(blocks, taps, parts)
        reconstruction, assumed = _reconstruction(tensors, blocks)
        architecture = _architecture(blocks, taps)
        dimensions = tuple(
            _shape(tensors, f"{_INDEX}{block}_{layer}", 1)[0] for block, layers in blocks for layer in layers
        )
        model = ModelConfig(
            image_size=image_size,
            image_score=cast(Any, image_score),
            backbone=BackboneConfig(name=name, taps=tuple(sorted(taps.values()))),
            afs=AfsConfig(dimensions=dimensions),
            reconstruction=reconstruction.model_copy(update={"architecture": architecture}),
            rrs=_residuals(tensors, parts, mode),
            discriminator=_discriminator(tensors),
        )
    except ValidationError as error:
        raise UserError(f"its settings are not those of a RealNet ({first_problem(error)}).") from error
    return Layout(model, blocks, assumed)


def convert(tensors: Mapping[str, Tensor], layout: Layout, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a checkpoint under our names, every one of them used.

    ``own`` is the state of the network that ``layout.model`` configures; the losses of AFS, which no checkpoint holds,
    are taken from it. UserError naming tensors that are missing, unknown, of another shape or not finite, and channels
    that the backbone does not have.
    """
    names = official_names(own, layout.blocks)
    if missing := set(names.values()) - set(tensors):
        raise UserError(f"it lacks {listed(sorted(missing), 3)}.")
    if unknown := set(tensors) - set(names.values()):
        raise UserError(f"a RealNet of its settings has no place for {listed(sorted(unknown), 3)}.")
    for name, theirs in names.items():
        tensor, shape = tensors[theirs], tuple(own[name].shape)
        if tuple(tensor.shape) != shape:
            raise UserError(f"its {theirs} has the shape {tuple(tensor.shape)} where the rest of it asks for {shape}.")
        if tensor.is_floating_point() != own[name].is_floating_point():
            raise UserError(f"its {theirs} holds numbers of the type {tensor.dtype}, not {own[name].dtype}.")
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"its {theirs} holds numbers that are not finite.")
        if theirs.startswith(_INDEX):
            channels = own[name.replace("index_", "loss_")].shape[0]
            if int(tensor.min()) < 0 or int(tensor.max()) >= channels:
                raise UserError(f"its {theirs} selects channels that the layer does not have ({channels}).")
    return {name: tensors[names[name]] if name in names else tensor for name, tensor in own.items()}


def official_names(own: Iterable[str], blocks: Sequence[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """What each of our tensors is called in a checkpoint; the losses of AFS have no counterpart there."""
    ours = set(own)
    layers = [f"{_INDEX}{block}_{layer}" for block, inner in blocks for layer in inner]
    names = {}
    for name in ours:
        if found := re.fullmatch(r"reconstruction\.networks\.(\d+)\.(.*)", name):
            attention = name.rsplit(".", 2)[0] + ".qkv.weight" in ours
            names[name] = f"recon.{blocks[int(found[1])][0]}_recon.{_network_name(found[2], attention)}"
        elif found := re.fullmatch(r"afs\.index_(\d+)", name):
            names[name] = layers[int(found[1])]
        elif not name.startswith("afs.loss_"):
            names[name] = _replaced(name, _WHOLE)
    return names


def _network_name(name: str, attention: bool) -> str:
    """A tensor's name within its reconstruction network; in a U-Net the same word can belong to either block."""
    if name.startswith(("stack.", "up1.", "up2.", "block")):
        return _replaced(name, _SIMPLE)
    if name.startswith("out."):
        return name
    if attention:
        return _replaced(re.sub(r"\.out\.", ".proj_out.", name), _UNET)
    return _replaced(re.sub(r"\.norm\.", ".in_layers.0.", name), _UNET)


def _replaced(name: str, rules: Iterable[tuple[str, Any]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _blocks(tensors: Mapping[str, Tensor]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The layers of each block, in the order of the file."""
    found: dict[str, list[str]] = {}
    for name in tensors:
        if name.startswith(_INDEX):
            block, _, layer = name.removeprefix(_INDEX).rpartition("_")
            if not block or not re.fullmatch(r"layer[1-5]", layer):
                raise UserError(f"its {name} names no layer; the released code writes {_INDEX}BLOCK_layerN.")
            found.setdefault(block, []).append(layer)
    if not found:
        raise UserError(f"it has no {_INDEX}*, which every checkpoint of the released code has.")
    return tuple((block, tuple(layers)) for block, layers in found.items())


def _backbone(tensors: Mapping[str, Tensor]) -> tuple[str, int]:
    """timm's name of the network, and what to add to the number of a layer to have its tap."""
    if _BACKBONE + "conv_stem.weight" in tensors:
        return "efficientnet_b4", -1
    width = _shape(tensors, _BACKBONE + "layer1.0.conv1.weight", 4)[0]
    if _BACKBONE + "layer1.0.conv3.weight" in tensors:
        return ("wide_resnet50_2" if width == 128 else "resnet50"), 0
    return ("resnet34" if _BACKBONE + "layer1.2.conv1.weight" in tensors else "resnet18"), 0


def _check_strides(
    blocks: Sequence[tuple[str, Sequence[str]]], taps: Mapping[str, int], parts: Sequence[_Arguments]
) -> None:
    """Every network works on the grid of its finest layer."""
    strides = {block.name: block.stride for part in parts for block in part.structure}
    for name, layers in blocks:
        own = 2 ** (min(taps[layer] for layer in layers) + 1)
        if strides.get(name, own) != own:
            raise UserError(
                f"its {name} works at stride {strides[name]:g}, not at {own}, the stride of its finest layer."
            )


def _architecture(blocks: Sequence[tuple[str, Sequence[str]]], taps: Mapping[str, int]) -> str:
    order = [taps[layer] for _, layers in blocks for layer in layers]
    sizes = [len(layers) for _, layers in blocks]
    if order == sorted(set(order)):
        for architecture in "ABC":
            if sizes == [len(group) for group in layer_groups(architecture, len(order))]:
                return architecture
    arranged = "; ".join(f"{name}: {', '.join(layers)}" for name, layers in blocks)
    raise UserError(f"it arranges its layers ({arranged}) in neither of the architectures A, B and C.")


def _reconstruction(
    tensors: Mapping[str, Tensor], blocks: Sequence[tuple[str, Sequence[str]]]
) -> tuple[ReconstructionConfig, tuple[str, ...]]:
    prefix = f"recon.{blocks[0][0]}_recon."
    if prefix + "block1.0.weight" in tensors:
        layers = f"{prefix}_residual_stack._layers.{{}}._block.1.weight"
        return ReconstructionConfig(network="simple", residual_blocks=_count(tensors, layers)), ()
    levels: list[list[tuple[int, bool]]] = [[]]
    for number in range(1, len(tensors)):
        place = f"{prefix}input_blocks.{number}."
        if place + "0.in_layers.2.weight" in tensors:
            width = _shape(tensors, place + "0.in_layers.2.weight", 4)[0]
            levels[-1].append((width, place + "1.qkv.weight" in tensors))
        elif place + "in_layers.2.weight" in tensors:
            levels.append([])
        else:
            break
    if not all(levels):
        raise UserError(f"its {prefix}* is neither a U-Net nor the simple network of the released code.")
    stems = [_shape(tensors, f"recon.{name}_recon.input_blocks.0.weight", 4)[:2] for name, _ in blocks]
    base = stems[0][0]
    config = ReconstructionConfig(
        width=_width(stems),
        multipliers=tuple(max(1, level[0][0] // base) for level in levels),
        residual_blocks=len(levels[0]),
        attention_at=tuple(2**number for number, level in enumerate(levels) if level[0][1]),
        head_channels=_HEAD,
    )
    return config, _assumed(stems, config)


def _width(stems: Sequence[tuple[int, ...]]) -> float:
    """The share of its input that each U-Net's base width is, rounded down: one share for all of them."""
    low = max(width / channels for width, channels in stems)
    if all(int(low * channels) == width for width, channels in stems):
        return low
    return (low + min((width + 1) / channels for width, channels in stems)) / 2


def _assumed(stems: Sequence[tuple[int, ...]], config: ReconstructionConfig) -> tuple[str, ...]:
    widths = [stem[0] for stem in stems]
    if all(width % _GROUPS == 0 for width in widths) and not any(
        width * config.multipliers[at.bit_length() - 1] % _HEAD
        for width in widths
        for at in (*config.attention_at, 2 ** (len(config.multipliers) - 1))
    ):
        return ()
    return (
        f"The released code cannot have made reconstruction networks of the widths {', '.join(map(str, widths))}: "
        "how many GroupNorm groups and attention heads they have is assumed.",
    )


def _residuals(tensors: Mapping[str, Tensor], parts: Sequence[_Arguments], mode: str | None) -> RrsConfig:
    if mode is not None and mode not in MODES.values():
        raise UserError(f"there is no mode {mode!r}: use {', '.join(MODES.values())}.")
    r = _shape(tensors, "rrs.decoder1.1.weight", 4)[1]
    for part in parts:
        if not part.modes:
            continue
        said = MODES.get(part.modes)
        if said is None or (said == "max&mean" and part.mode_numbers != (r // 2, r - r // 2)):
            raise UserError(
                f"it ranks residuals by {', '.join(part.modes)} ({', '.join(map(str, part.mode_numbers))} channels); "
                "only halves by max, mean, or all by one of them, can be had."
            )
        if mode not in (None, said):
            raise UserError(f"its settings say that it ranks residuals by {said}: leave --mode out.")
        mode = said
    share = r / _shape(tensors, "rrs.bn_idx.running_mean", 1)[0]
    return RrsConfig(mode=cast(Any, mode or "max&mean"), retention=share)


def _discriminator(tensors: Mapping[str, Tensor]) -> DiscriminatorConfig:
    a, b, c, d = (
        _shape(tensors, f"rrs.{name}.weight", 4)[0] for name in ("decoder1.1", "decoder2.0", "decoder2.2", "decoder3.0")
    )
    layers = _count(tensors, "rrs.decoder1.0._layers.{}._block.1.weight")
    return DiscriminatorConfig(residual_layers=layers, widths=(a, b, c, d))


def _count(tensors: Mapping[str, Tensor], name: str) -> int:
    """How many tensors there are of a name with a running number."""
    return next(number for number in range(len(tensors) + 1) if name.format(number) not in tensors)


def _shape(tensors: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in tensors:
        raise UserError(f"it lacks {name}, which every checkpoint of the released code has.")
    shape = tuple(tensors[name].shape)
    if len(shape) != dimensions or 0 in shape:
        raise UserError(f"its {name} has the shape {shape}, not one of {dimensions} dimensions.")
    return shape
