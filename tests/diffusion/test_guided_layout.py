"""Checkpoints in guided diffusion's layout: the same numbers come out, and what is refused."""

import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from realnet.diffusion.config import DenoiserConfig, ProcessConfig
from realnet.diffusion.denoiser import Denoiser, parameter_count
from realnet.diffusion.guided_layout import convert, describe_layout, initialise, match_categories
from realnet.diffusion.schedule import make_schedule
from realnet.errors import UserError

from .guided_reference import GuidedUNet

pytest.importorskip("diffusers")

SMALL = DenoiserConfig(image_size=16, width=32, multipliers=(1, 2), residual_blocks=1, attention_at=(2,))


def make(config: DenoiserConfig) -> Denoiser:
    return Denoiser(config, make_schedule(ProcessConfig()).alphas_bar).eval()


def small(**changes: Any) -> Denoiser:
    return make(DenoiserConfig(**{**SMALL.model_dump(), **changes}))


def reference(categories: int = 0, seed: int = 0) -> GuidedUNet:
    return GuidedUNet(categories=categories, seed=seed).eval()


def saved(folder: Path, content: Any) -> Path:
    torch.save(content, path := folder / "model.pt")
    return path


@torch.no_grad()
def difference(denoiser: Denoiser, network: GuidedUNet, categories: Tensor | None, theirs: Tensor | None) -> float:
    """Largest absolute difference of the raw outputs on random images and timesteps."""
    generator = torch.Generator().manual_seed(1)
    side = denoiser.config.image_size
    x = torch.randn(3, 3, side, side, generator=generator)
    t = torch.tensor([0, 517, 999])
    epsilon, v = denoiser(x, t, categories)
    expected = network(x, t, theirs)
    assert expected.std() > 0.1, "the comparison must not be one of zeros"
    return float((torch.cat([epsilon, 2 * v - 1], 1) - expected).abs().max())


SHAPES: list[dict[str, Any]] = [
    {"multipliers": (1, 2), "attention_at": (2,), "head": 32},
    {"multipliers": (1, 2), "attention_at": (1, 2), "head": 8},
    {"multipliers": (1, 1, 2), "attention_at": (4,), "head": 16, "residual_blocks": 2},
    {"multipliers": (1, 3, 2), "attention_at": (2, 4), "head": 16},
    {"multipliers": (1, 2), "attention_at": (), "head": 16, "residual_blocks": 2},
    {"multipliers": (1,), "attention_at": (1,), "head": 32},
]


@pytest.mark.parametrize("categories", [0, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_numbers_come_out(tmp_path: Path, shape: dict[str, Any], categories: int) -> None:
    network = GuidedUNet(categories=categories, **shape).eval()
    config = describe_layout(network.state_dict(), image_size=16).model_copy(update={"head_channels": shape["head"]})
    denoiser = make(config)
    initialise(denoiser, saved(tmp_path, network.state_dict()))
    y = torch.tensor([2, 0, 1]) if categories else None
    assert difference(denoiser, network, y, y) < 1e-4
    assert parameter_count(denoiser) == sum(p.numel() for p in network.parameters())


def test_the_order_of_queries_keys_and_values_matters(tmp_path: Path) -> None:
    network = GuidedUNet(head=8).eval()
    denoiser = small(head_channels=16)
    initialise(denoiser, saved(tmp_path, network.state_dict()))
    assert difference(denoiser, network, None, None) > 1e-2


@pytest.mark.parametrize("shape", SHAPES)
def test_the_settings_are_read_from_the_shapes(shape: dict[str, Any]) -> None:
    config = describe_layout(GuidedUNet(categories=5, **shape).state_dict(), image_size=32)
    assert config == DenoiserConfig(
        image_size=32,
        width=32,
        multipliers=shape["multipliers"],
        residual_blocks=shape.get("residual_blocks", 1),
        attention_at=shape["attention_at"],
        categories=5,
    )


@pytest.mark.parametrize(("categories", "count"), [(0, 552_814_086), (1000, 553_838_086)])
def test_the_released_networks_have_the_known_size(categories: int, count: int) -> None:
    with torch.device("meta"):
        denoiser = make(DenoiserConfig(categories=categories))
    assert parameter_count(denoiser) == count


@pytest.mark.parametrize(
    "form", ["safetensors", "pt", "state_dict", "model", "ema", "ema_and_model", "parallel", "half"]
)
def test_files(tmp_path: Path, form: str) -> None:
    network = reference()
    tensors = network.state_dict()
    other = reference(seed=1).state_dict()
    contents: dict[str, Any] = {
        "pt": tensors,
        "ema_and_model": {"model": other, "ema": tensors, "step": 3},
        "parallel": {"state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}},
        "half": {name: tensor.half() for name, tensor in tensors.items()},
    }
    if form == "safetensors":
        save_file(tensors, path := tmp_path / "model.safetensors")
    else:
        path = saved(tmp_path, contents.get(form, {form: tensors}))
    said = initialise(denoiser := small(), path)
    assert said == f"Loaded {parameter_count(denoiser):,} parameters from {path}; it has no class embeddings."
    assert {parameter.dtype for parameter in denoiser.parameters()} == {torch.float32}
    assert difference(denoiser, network, None, None) < (0.1 if form == "half" else 1e-4)


def test_settings_beside_the_weights_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class EasyDict(dict[str, Any]):
        def __setstate__(self, state: Any) -> None:
            made.append(state)

    EasyDict.__module__, EasyDict.__qualname__ = "easydict", "EasyDict"
    module = types.ModuleType("easydict")
    module.EasyDict = EasyDict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "easydict", module)
    settings = EasyDict(trainer=EasyDict(epochs=3), sizes=[256, 256])
    settings.__dict__["trainer"] = 3
    network = reference()
    path = saved(tmp_path, {"arch": settings, "state_dict": network.state_dict(), "loss": np.mean([1.0, 2.0])})
    initialise(denoiser := small(), path)
    assert difference(denoiser, network, None, None) < 1e-4
    assert not made
    torch.load(path, weights_only=False)
    assert made, "the file does hold such an object"


def test_equal_categories_are_kept(tmp_path: Path) -> None:
    network = reference(categories=3)
    said = initialise(denoiser := small(categories=3), saved(tmp_path, network.state_dict()))
    assert said.endswith("; its 3 class embeddings are kept.")
    assert torch.equal(denoiser.unet.class_embedding.weight, network.label_emb.weight)


def test_an_unconditional_checkpoint_starts_categories_at_zero(tmp_path: Path) -> None:
    network = reference()
    said = initialise(denoiser := small(categories=4), saved(tmp_path, network.state_dict()))
    assert said.endswith("; it has no class embeddings: those of the 4 categories start at zero.")
    assert difference(denoiser, network, torch.tensor([0, 3, 1]), None) < 1e-4


def averaged(network: GuidedUNet) -> GuidedUNet:
    """The same network with a single category, the mean of all."""
    state = network.state_dict()
    one = reference(categories=1)
    one.load_state_dict({**state, "label_emb.weight": state["label_emb.weight"].mean(0, keepdim=True)})
    return one


@pytest.mark.parametrize("categories", [1, 2, 7])
def test_other_categories_start_at_the_mean(tmp_path: Path, categories: int) -> None:
    network = reference(categories=5)
    said = initialise(denoiser := small(categories=categories), saved(tmp_path, network.state_dict()))
    assert said.endswith(f"; each of the {categories} categories starts at the mean of its 5 class embeddings.")
    one = torch.zeros(3, dtype=torch.long)
    assert difference(denoiser, averaged(network), one + categories - 1, one) < 1e-4
    with torch.no_grad():
        denoiser.unet.class_embedding.weight[0] += 1
    rows = denoiser.unet.class_embedding.weight
    assert categories == 1 or not torch.equal(rows[0], rows[1]), "each category has numbers of its own"


def test_without_categories_the_mean_is_folded_into_the_time_embedding(tmp_path: Path) -> None:
    network = reference(categories=5)
    said = initialise(denoiser := small(), saved(tmp_path, network.state_dict()))
    assert said.endswith("; the mean of its 5 class embeddings is part of the time embedding.")
    assert difference(denoiser, averaged(network), None, torch.zeros(3, dtype=torch.long)) < 1e-4


def test_the_tensors_handed_in_stay_as_they_are() -> None:
    tensors = reference(categories=5).state_dict()
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    convert(match_categories(tensors, 0)[0], SMALL)
    assert tensors.keys() == before.keys()
    assert all(torch.equal(tensors[name], before[name]) for name in before)


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = saved(tmp_path, {"state_dict": reference().state_dict(), "arch": Bomb(mark)})
    with pytest.raises(UserError, match=r"model\.pt cannot be read as weights"):
        initialise(small(), path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the file would have run code"


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "truncated", "list", "words", "not safetensors"])
def test_files_that_are_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("w.safetensors" if kind == "not safetensors" else "w.pt")
    tensors = reference().state_dict()
    what = "cannot be read as weights"
    if kind in ("missing", "folder"):
        what = "There is no weight file"
        if kind == "folder":
            path.mkdir()
    elif kind == "text":
        path.write_text("no weights")
    else:
        torch.save({"list": [1, 2], "words": dict.fromkeys(tensors, "word")}.get(kind, tensors), path)
        if kind == "truncated":
            path.write_bytes(path.read_bytes()[:5000])
        if kind in ("list", "words"):
            what = "holds no table of tensors"
    with pytest.raises(UserError, match=what) as refused:
        initialise(small(), path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"width": 64}, r"denoiser\.width=32 instead of 64\."),
        ({"multipliers": (1, 2, 2)}, r"denoiser\.multipliers=\[1, 2\] instead of \[1, 2, 2\]\."),
        ({"residual_blocks": 2}, r"denoiser\.residual_blocks=1 instead of 2\."),
        (
            {"residual_blocks": 3, "attention_at": (1,)},
            r"denoiser\.residual_blocks=1 instead of 3 and denoiser\.attention_at=\[2\] instead of \[1\]\.",
        ),
        ({"groups": 16}, r"32 groups a GroupNorm, this denoiser 16.*denoiser\.groups=32"),
        ({"width": 48}, r"32 groups a GroupNorm, this denoiser 24.*a multiple of it"),
        ({"head_channels": 24}, r"denoiser\.head_channels=24 does not divide.*\(32, 64\)"),
        ({"patch": 4}, r"denoiser\.patch is 4\. Set denoiser\.patch=1"),
        ({"output": "image"}, r"denoiser\.output is image\. Set denoiser\.output=noise"),
    ],
)
def test_a_denoiser_of_other_settings_is_refused(tmp_path: Path, changes: dict[str, Any], what: str) -> None:
    denoiser = small(**changes)
    path = saved(tmp_path, reference().state_dict())
    before = {name: tensor.clone() for name, tensor in denoiser.state_dict().items()}
    with pytest.raises(UserError, match=what) as refused:
        initialise(denoiser, path)
    assert str(path) in str(refused.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in denoiser.state_dict().items())


def test_attention_where_there_is_no_level_makes_no_difference(tmp_path: Path) -> None:
    initialise(small(attention_at=(2, 8, 16)), saved(tmp_path, reference().state_dict()))


QKV = "output_blocks.1.1.qkv.weight"
FIRST_UP = "output_blocks.0.0.out_layers.3.weight"


@pytest.mark.parametrize(
    ("name", "replacement", "what"),
    [
        ("middle_block.0.in_layers.2.bias", None, r"lacks middle_block\.0\.in_layers\.2\.bias\."),
        ("input_blocks.1.0.emb_layers.1.bias", None, r"lacks input_blocks\.1\.0\.emb_layers\.1\.bias\."),
        ("aux.weight", torch.zeros(3), r"has in excess aux\.weight\."),
        ("middle_block.1.qkv.weight", torch.zeros(96, 64, 1), r"another shape of middle_block\.1\.qkv\.weight\."),
        ("middle_block.1.qkv.weight", torch.zeros(192, 64, 2), r"another shape of middle_block\.1\.qkv\.weight\."),
        ("middle_block.0.in_layers.0.bias", torch.zeros(3), r"another shape of middle_block\.0\.in_layers\.0\.bias\."),
        ("out.0.bias", torch.full((32,), torch.nan), r"not finite in out\.0\.bias\."),
        ("time_embed.0.weight", None, r"time_embed\.0\.weight of 2 dimensions is missing"),
        ("time_embed.2.bias", None, r"time_embed\.2\.bias of 1 dimensions is missing"),
        ("time_embed.0.weight", torch.tensor(1.0), r"time_embed\.0\.weight of 2 dimensions is missing"),
        ("input_blocks.0.0.weight", torch.zeros(32, 6, 3, 3), "takes 6 channels"),
        ("out.2.weight", torch.zeros(3, 32, 3, 3), "predicts no variance"),
        ("out.2.weight", torch.zeros(8, 32, 3, 3), r"another shape of out\.2\.weight"),
        ("input_blocks.2.0.op.weight", torch.zeros(1), "resamples by convolutions"),
        ("output_blocks.1.2.conv.weight", torch.zeros(1), "resamples by convolutions"),
        ("output_blocks.0.0.emb_layers.1.weight", torch.zeros(64, 128), "adds the time embedding"),
        ("label_emb.weight", torch.zeros(4, 64), "class embeddings have 64 numbers, its time embedding has 128"),
        (FIRST_UP, torch.zeros(32, 32, 3, 3), "not those of guided diffusion"),
        ("output_blocks.9.0.out_layers.3.weight", torch.zeros(32, 32, 3, 3), "not those of guided diffusion"),
        ("output_blocks.2.1.in_layers.2.weight", torch.zeros(32, 32, 3, 3), "not those of guided diffusion"),
    ],
)
def test_checkpoints_that_do_not_fit(tmp_path: Path, name: str, replacement: Tensor | None, what: str) -> None:
    tensors = dict(reference().state_dict())
    tensors.pop(name, None)
    if replacement is not None:
        tensors[name] = replacement
    path = saved(tmp_path, tensors)
    with pytest.raises(UserError, match=what) as refused:
        initialise(small(), path)
    assert str(refused.value).startswith(f"{path} cannot be loaded into this denoiser: ")


def test_more_than_one_tensor_is_counted(tmp_path: Path) -> None:
    tensors = {name: tensor for name, tensor in reference().state_dict().items() if "skip_connection" not in name}
    with pytest.raises(UserError, match=r"lacks input_blocks\.3\.0\.skip_connection\.bias and 9 more\."):
        convert(tensors, SMALL)


def test_class_embeddings_need_their_denoiser() -> None:
    with pytest.raises(UserError, match=r"has in excess label_emb\.weight"):
        convert(reference(categories=3).state_dict(), SMALL)
    with pytest.raises(UserError, match=r"another shape of label_emb\.weight"):
        convert(reference(categories=3).state_dict(), SMALL.model_copy(update={"categories": 2}))


def test_a_classifier_s_checkpoint_is_none_of_a_denoiser(tmp_path: Path) -> None:
    kept = ("input_blocks", "middle_block", "time_embed", "out.0")
    tensors = {name: tensor for name, tensor in reference().state_dict().items() if name.startswith(kept)}
    with pytest.raises(UserError, match=r"not those of guided diffusion's U-Net: out\.2\.weight"):
        initialise(small(), saved(tmp_path, tensors))


@pytest.mark.parametrize("multipliers", [(2, 2), (2, 1, 3)])
def test_a_first_level_wider_than_the_time_embedding_is_refused(multipliers: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"its levels have \[64, .*\] channels, not 32 as its time embedding"):
        describe_layout(GuidedUNet(multipliers=multipliers).state_dict())


def test_an_image_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(UserError, match=r"denoiser\.image_size=33 must be a multiple of 2"):
        describe_layout(reference().state_dict(), image_size=33)
