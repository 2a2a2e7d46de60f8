"""Checkpoints in guided diffusion's layout (Dhariwal & Nichol 2021): the U-Net that the paper starts from.

The layout numbers the blocks of the U-Net through (``input_blocks``, ``middle_block``, ``output_blocks``). What tensors
cannot show is taken as in that work's 256x256 networks: GroupNorm of 32 groups, as many channels a head as configured,
and attention that keeps query, key and value of one head together. Its 64x64 networks keep all queries together, its
128x128 ones have four heads at every level: with their settings they would load, and give garbage.
"""

import re
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from realnet.diffusion.config import DenoiserConfig
from realnet.diffusion.denoiser import Denoiser, parameter_count, unet_arguments, unet_class
from realnet.errors import UserError, listed
from realnet.model.foreign import read_foreign, tensors_in
from realnet.overriding import first_problem

_GROUPS = 32
_LABELS, _TIME_BIAS = "label_emb.weight", "time_embed.2.bias"
_RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ATTENTION = {"norm": "group_norm", "qkv": "qkv", "proj_out": "to_out.0"}


def initialise(denoiser: Denoiser, file: Path) -> str:
    """Load a checkpoint of guided diffusion or of the RealNet authors into ``denoiser``; a sentence on what was loaded.

    Where the checkpoint knows other categories than the denoiser, each of the denoiser's starts at the mean of the
    checkpoint's class embeddings, or at zero where it has none. A denoiser without categories has that mean added to
    its time embedding, which the class embedding would have been added to. Nothing in ``file`` is executed.

    Raises:
        UserError: for a file that is missing, damaged, of another network or not finite, and for a denoiser that
            folds pixels or does not put out noise.
    """
    config = denoiser.config
    try:
        _check_settings(config)
    except UserError as error:
        raise UserError(f"This denoiser cannot start from {file}: {error}") from error
    tensors = read_tensors(file)
    try:
        if different := _different_settings(describe_layout(tensors, config.image_size), config):
            raise UserError(
                f"it has {' and '.join(different)}. Use its settings for the denoiser, or give another file."
            )
        tensors, embedding = match_categories(tensors, config.categories)
        denoiser.load_state_dict(convert(tensors, config))
    except UserError as error:
        raise UserError(f"{file} cannot be loaded into this denoiser: {error}") from error
    return f"Loaded {parameter_count(denoiser):,} parameters from {file}; {embedding}."


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, of averaged weights where it has some; nothing is executed. UserError without."""
    if not file.is_file():
        raise UserError(f"There is no weight file {file}: check the path.")
    loaded = read_foreign(file, "give a .safetensors file, or a torch file that holds nothing but tensors")
    tensors = tensors_in(loaded, file, "give the state_dict of the network", ("ema", "state_dict", "model"))
    return {str(name).removeprefix("module."): tensor for name, tensor in tensors.items()}


def describe_layout(tensors: dict[str, Tensor], image_size: int = 256) -> DenoiserConfig:
    """The configuration of the denoiser that a checkpoint fits, from the names and shapes of its tensors.

    They do not show ``image_size``, in pixels, and ``head_channels``. UserError for another layout, or a variant of it
    that no denoiser has.
    """
    width = _shape(tensors, "time_embed.0.weight", 2)[1]
    inputs, outputs = _shape(tensors, "input_blocks.0.0.weight", 4)[1], _shape(tensors, "out.2.weight", 4)[0]
    if inputs != 3:
        raise UserError(f"its network takes {inputs} channels, not an image's 3.")
    if outputs == 3:
        raise UserError("its network predicts no variance (3 output channels instead of 6).")
    if any(re.fullmatch(r"(input_blocks\.\d+\.\d+\.op|output_blocks\.\d+\.\d+\.conv)\.\w+", name) for name in tensors):
        raise UserError("its network resamples by convolutions, not by residual blocks.")
    numbers = sorted({int(m[1]) for m in (re.match(r"output_blocks\.(\d{1,4})\.", name) for name in tensors) if m})
    channels = [_shape(tensors, f"output_blocks.{number}.0.out_layers.3.weight", 4)[0] for number in numbers]
    # Only where the grid is doubled does a block hold a second residual block: there a level ends.
    ends = [i for i in numbers if any(f"output_blocks.{i}.{j}.in_layers.2.weight" in tensors for j in (1, 2))]
    levels = len(ends) + 1
    size = len(numbers) // levels  # of a level: one block more than on the way down
    regular = numbers == list(range(levels * size)) and ends == [size * (k + 1) - 1 for k in range(levels - 1)]
    firsts = range(0, levels * size, size)[::-1] if size else range(0)  # the first block of each level, finest first
    if size < 2 or not regular or any(len(set(channels[i : i + size])) > 1 for i in firsts):
        raise UserError("its tensors are not those of guided diffusion's U-Net.")
    if _shape(tensors, "output_blocks.0.0.emb_layers.1.weight", 2)[0] != 2 * channels[0]:
        raise UserError("its network adds the time embedding instead of scaling and shifting by it.")
    widths = [channels[first] for first in firsts]
    if not width or widths[0] != width or any(channels % width for channels in widths):
        raise UserError(f"its levels have {widths} channels, not {width} as its time embedding and multiples of it.")
    try:
        return DenoiserConfig(
            image_size=image_size,
            width=width,
            multipliers=tuple(channels // width for channels in widths),
            residual_blocks=size - 1,
            attention_at=tuple(2**k for k, i in enumerate(firsts) if f"output_blocks.{i}.1.qkv.weight" in tensors),
            categories=_shape(tensors, _LABELS, 2)[0] if _LABELS in tensors else 0,
        )
    except ValidationError as error:
        raise UserError(f"{first_problem(error)}.") from error


def match_categories(tensors: dict[str, Tensor], categories: int) -> tuple[dict[str, Tensor], str]:
    """The tensors with class embeddings for ``categories`` (0: none), and what was done, as half a sentence."""
    (size,) = _shape(tensors, _TIME_BIAS, 1)
    if _LABELS not in tensors:
        if not categories:
            return tensors, "it has no class embeddings"
        zeros = {_LABELS: torch.zeros(categories, size)}
        return tensors | zeros, f"it has no class embeddings: those of the {categories} categories start at zero"
    rows, columns = _shape(tensors, _LABELS, 2)
    if columns != size:
        raise UserError(f"its class embeddings have {columns} numbers, its time embedding has {size}.")
    if rows == categories:
        return tensors, f"its {rows} class embeddings are kept"
    mean = tensors[_LABELS].float().mean(0)
    if categories:
        tensors = tensors | {_LABELS: mean.repeat(categories, 1)}
        return tensors, f"each of the {categories} categories starts at the mean of its {rows} class embeddings"
    folded = {name: tensor for name, tensor in tensors.items() if name != _LABELS}
    folded[_TIME_BIAS] = folded[_TIME_BIAS].float() + mean
    return folded, f"the mean of its {rows} class embeddings is part of the time embedding"


def convert(tensors: dict[str, Tensor], config: DenoiserConfig) -> dict[str, Tensor]:
    """The state of a `Denoiser` of ``config``, in float32, from all tensors in guided diffusion's layout.

    UserError naming what is missing, left over, of another shape or not finite.
    """
    arguments = unet_arguments(config)
    with torch.device("meta"):
        unet = unet_class()(**arguments)
    expected = {f"unet.{name}": tensor.shape for name, tensor in unet.state_dict().items()}
    targets = {
        f"{source}.{kind}": [f"{target}.{kind}" for target in goes]
        for source, goes in _modules(config).items()
        for kind in ("weight", "bias")
        if f"{goes[0]}.{kind}" in expected
    }
    _refuse("lacks", set(targets) - set(tensors))
    _refuse("has in excess", set(tensors) - set(targets))
    converted: dict[str, Tensor] = {}
    wrong = set()
    for source, names in targets.items():
        # A 1x1 convolution of the layout may be a linear layer here: the same numbers in fewer dimensions.
        shape = (len(names) * expected[names[0]][0], *expected[names[0]][1:])
        tensor = tensors[source]
        if tensor.shape != shape and tensor.shape != (*shape, 1):
            wrong.add(source)
            continue
        parts = [tensor.float().reshape(shape)]
        if len(names) == 3:
            # Queries, keys and values ``[heads * 3 * head, ...]`` to three of ``[heads * head, ...]``.
            stacked = parts[0].unflatten(0, (-1, 3, arguments["attention_head_dim"]))
            parts = [part.flatten(0, 1) for part in stacked.unbind(1)]
        converted.update(zip(names, parts, strict=True))
    _refuse("has another shape of", wrong)
    _refuse("has numbers that are not finite in", {name for name in targets if not tensors[name].isfinite().all()})
    return converted


def _check_settings(config: DenoiserConfig) -> None:
    arguments = unet_arguments(config)
    if config.patch != 1:
        raise UserError(f"the layout works on pixels, denoiser.patch is {config.patch}. Set denoiser.patch=1.")
    if config.output != "noise":
        raise UserError(f"its networks put out noise, denoiser.output is {config.output}. Set denoiser.output=noise.")
    if arguments["norm_num_groups"] != _GROUPS:
        raise UserError(
            f"the layout has {_GROUPS} groups a GroupNorm, this denoiser {arguments['norm_num_groups']}. Set "
            f"denoiser.groups={_GROUPS} and denoiser.width to a multiple of it."
        )
    if any(width % arguments["attention_head_dim"] for width in arguments["block_out_channels"]):
        raise UserError(
            f"denoiser.head_channels={arguments['attention_head_dim']} does not divide every level's channels "
            f"{arguments['block_out_channels']}. Set it to a number that does."
        )


def _modules(config: DenoiserConfig) -> dict[str, list[str]]:
    """Names of the layout's layers, with the denoiser's that each becomes: three for queries, keys and values."""
    blocks = _blocks(config)
    modules = {
        "time_embed.0": ["unet.time_embedding.linear_1"],
        "time_embed.2": ["unet.time_embedding.linear_2"],
        "label_emb": ["unet.class_embedding"],
        "input_blocks.0.0": ["unet.conv_in"],
        "out.0": ["unet.conv_norm_out"],
        "out.2": ["unet.conv_out"],
    }
    for source, target in blocks.items():
        for old, new in (_ATTENTION if ".attentions." in target else _RESIDUAL).items():
            layers = ["to_q", "to_k", "to_v"] if new == "qkv" else [new]
            modules[f"{source}.{old}"] = [f"unet.{target}.{layer}" for layer in layers]
    return modules


def _blocks(config: DenoiserConfig) -> dict[str, str]:
    """Names of the layout's residual and attention blocks, with the denoiser's for each."""
    levels, each = len(config.multipliers), config.residual_blocks
    blocks = {
        "middle_block.0": "mid_block.resnets.0",
        "middle_block.1": "mid_block.attentions.0",
        "middle_block.2": "mid_block.resnets.1",
    }
    for level in range(levels):
        attends, last = 2**level in config.attention_at, level == levels - 1
        down, up = f"down_blocks.{level}", f"up_blocks.{levels - 1 - level}"
        first = 1 + level * (each + 1)
        for i in range(each):
            blocks[f"input_blocks.{first + i}.0"] = f"{down}.resnets.{i}"
            if attends:
                blocks[f"input_blocks.{first + i}.1"] = f"{down}.attentions.{i}"
        if not last:
            blocks[f"input_blocks.{first + each}.0"] = f"{down}.downsamplers.0"
        first = (levels - 1 - level) * (each + 1)
        for i in range(each + 1):
            blocks[f"output_blocks.{first + i}.0"] = f"{up}.resnets.{i}"
            if attends:
                blocks[f"output_blocks.{first + i}.1"] = f"{up}.attentions.{i}"
        if level > 0:
            blocks[f"output_blocks.{first + each}.{2 if attends else 1}"] = f"{up}.upsamplers.0"
    return blocks


def _different_settings(found: DenoiserConfig, config: DenoiserConfig) -> list[str]:
    """The settings that decide the tensors, where two configurations differ."""

    def settings(of: DenoiserConfig) -> dict[str, Any]:
        at = [2**level for level in range(len(of.multipliers)) if 2**level in of.attention_at]
        return {**of.model_dump(mode="json", include={"width", "multipliers", "residual_blocks"}), "attention_at": at}

    theirs, ours = settings(found), settings(config)
    return [f"denoiser.{name}={theirs[name]} instead of {ours[name]}" for name in theirs if theirs[name] != ours[name]]


def _shape(tensors: dict[str, Tensor], name: str, dimensions: int) -> torch.Size:
    if name not in tensors or tensors[name].dim() != dimensions:
        raise UserError(
            f"its tensors are not those of guided diffusion's U-Net: {name} of {dimensions} dimensions is missing."
        )
    return tensors[name].shape


def _refuse(what: str, names: set[str]) -> None:
    if names:
        raise UserError(f"the checkpoint {what} {listed(sorted(names), 1)}. Give one of the denoiser's very network.")
