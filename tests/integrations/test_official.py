"""Checkpoints of the authors' released code: the same maps, every tensor accounted for, nothing executed."""

import os
import sys
import types
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from realnet import load
from realnet.errors import UserError
from realnet.integrations.official import import_official, read_checkpoint
from realnet.integrations.official_layout import describe, official_names
from realnet.model.network import RealNet
from realnet.model.saving import load_model
from realnet.presets import presets
from realnet.run_folder import Run
from tests.model.official_reference import Blocks, OfficialRealNet, randomise, settings

SIZE = 128
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
INDEPENDENT = [("block1", 8, {2: 64}), ("block2", 16, {3: 128}), ("block3", 32, {4: 64})]
SMALL = [("block1", 4, {1: 8}), ("block2", 8, {2: 12}), ("block3", 16, {3: 8}), ("block4", 32, {4: 4})]
NEIGHBOURS = [("block1", 4, {1: 32, 2: 32}), ("block2", 16, {3: 64, 4: 64})]
NETWORKS: dict[str, tuple[str, Blocks, dict[str, Any]]] = {
    "A": ("resnet18", INDEPENDENT, {}),
    "A, other widths": ("resnet18", [("b", 8, {2: 128})], {"unet": (0.25, (1, 4), 1, (2,)), "depth": 1}),
    "B": ("resnet18", [("all", 4, {1: 24, 2: 24, 3: 8, 4: 8})], {}),
    "C": ("resnet34", NEIGHBOURS, {}),
    "C of three layers": ("resnet18", [("a_b", 8, {2: 48, 3: 16}), ("c", 32, {4: 64})], {}),
    "maximum alone": ("resnet18", SMALL, {"unet": None, "modes": ("max",), "numbers": (11,)}),
    "mean alone": ("resnet18", SMALL, {"unet": None, "modes": ("mean",), "numbers": (32,), "depth": 3}),
    "odd": ("resnet18", SMALL, {"unet": None, "numbers": (5, 6)}),
    "simple": ("resnet50", SMALL, {"unet": None}),
    "simple, C": ("efficientnet_b4", [("x", 2, {1: 6, 2: 6}), ("y", 8, {3: 8, 4: 8})], {"unet": None}),
}


def pictures(count: int, seed: int) -> Tensor:
    """Smooth noise in 0..1."""
    noise = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (SIZE, SIZE), mode="bicubic").clamp(0, 1)


def normalised(image: Tensor) -> Tensor:
    return (image - MEAN[:, None, None]) / STD[:, None, None]


def official(name: str = "odd") -> OfficialRealNet:
    backbone, blocks, arguments = NETWORKS[name]
    torch.manual_seed(0)
    return randomise(OfficialRealNet(backbone, blocks, **arguments), normalised(pictures(2, seed=1)))


@pytest.fixture(scope="module")
def small() -> OfficialRealNet:
    return official()


def saved(folder: Path, content: Any) -> Path:
    path = folder / "ckpt_best.pth.tar"
    torch.save(content, path)
    return path


def assert_same_maps(run: Path, network: OfficialRealNet) -> None:
    """In double precision: what remains of a difference is none of rounding."""
    image = pictures(1, seed=2).double()
    theirs, ours = deepcopy(network).double(), load_model(Run(run)).double()
    with torch.no_grad():
        expected, found = theirs(normalised(image)), ours(image)
    assert float(expected.std()) > 0.05, "a map that says something"
    assert float((expected - found).abs().max()) < 1e-6


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in ("C", "simple") else []) for name in NETWORKS]
)
def test_the_same_maps(tmp_path: Path, name: str) -> None:
    network = official(name)
    path = saved(tmp_path, {"epoch": 5, "arch": settings(network), "state_dict": network.state_dict()})
    model, imported = import_official(path, tmp_path / "run", image_size=SIZE)
    assert imported.epoch == 5
    assert not imported.assumed
    assert model.config.backbone.name == NETWORKS[name][0]
    architecture = "B" if name == "B" else "C" if "C" in name else "A"
    assert model.config.reconstruction.architecture == architecture
    assert_same_maps(tmp_path / "run", network)


def test_bare_tensors_of_several_devices(small: OfficialRealNet, tmp_path: Path) -> None:
    path = saved(tmp_path, {f"module.{name}": tensor for name, tensor in small.state_dict().items()})
    assert import_official(path, tmp_path / "run", image_size=SIZE)[1].epoch is None
    assert_same_maps(tmp_path / "run", small)


def test_the_mode_where_no_settings_are_saved(tmp_path: Path) -> None:
    network = official("maximum alone")
    path = saved(tmp_path, {"state_dict": network.state_dict()})
    import_official(path, tmp_path / "run", image_size=SIZE, mode="max")
    assert_same_maps(tmp_path / "run", network)
    assert import_official(path, tmp_path / "other", image_size=SIZE)[0].config.rrs.mode == "max&mean"


def test_settings_as_they_are_saved(small: OfficialRealNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In tables of the package easydict, with a NumPy number beside; neither is made."""
    made = []

    class EasyDict(dict[str, Any]):
        def __init__(self, content: dict[str, Any]) -> None:
            super().__init__({name: easy(value) for name, value in content.items()})
            self.__dict__.update(self)

        def __setstate__(self, state: Any) -> None:
            made.append(state)

    def easy(value: Any) -> Any:
        if isinstance(value, list):
            return [easy(item) for item in value]
        return EasyDict(value) if isinstance(value, dict) else value

    EasyDict.__module__, EasyDict.__qualname__ = "easydict", "EasyDict"
    module = types.ModuleType("easydict")
    module.EasyDict = EasyDict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "easydict", module)
    content = {"arch": easy(settings(small)), "state_dict": small.state_dict(), "best_metric": np.mean([0.5, 1.0])}
    path = saved(tmp_path, content)
    import_official(path, tmp_path / "run", image_size=SIZE)
    assert_same_maps(tmp_path / "run", small)
    with pytest.raises(UserError, match="it ranks residuals by max&mean: leave --mode out"):
        import_official(path, tmp_path / "other", image_size=SIZE, mode="mean")
    assert not made
    torch.load(path, weights_only=False)
    assert made, "the file does hold such an object"


def test_a_run_that_says_what_it_is(small: OfficialRealNet, tmp_path: Path) -> None:
    import_official(saved(tmp_path, small.state_dict()), tmp_path / "run", image_size=SIZE, image_score="pooled16")
    run = Run(tmp_path / "run")
    assert run.thresholds == (0.5, 0.5)
    assert run.config.training.select == run.record.provenance["selection"] == "oracle"
    assert run.record.provenance["image_score"] == "pooled16"
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "imported; not calibrated" in card
    assert "resnet18" in card
    inspector = load(tmp_path / "run")
    assert inspector.config.preset == "imported"
    assert inspector.threshold == 0.5
    judged = inspector.inspect(np.full((90, 70, 3), 128, np.uint8))
    assert judged.anomaly_map.shape == (90, 70)


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_code_in_a_checkpoint_is_not_run(small: OfficialRealNet, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = saved(tmp_path, {"state_dict": small.state_dict(), "arch": Bomb(mark)})
    with pytest.raises(UserError, match="cannot be read as weights"):
        import_official(path, tmp_path / "run")
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the file would have run code"


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "truncated", "list", "words", "empty"])
def test_files_that_are_none(small: OfficialRealNet, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "c.pth.tar"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("not a checkpoint")
    elif kind != "missing":
        contents = {"list": [1, 2], "words": {"a": "b"}, "empty": {"state_dict": {}}}
        torch.save(contents.get(kind, small.state_dict()), path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"There is no checkpoint|cannot be read as weights|holds no table of tensors"):
        read_checkpoint(path)


Tensors = dict[str, Tensor]
INDEX, RESIDUAL = "afs.indexes.block2_layer2", "rrs.decoder1.0._layers.0._block.1.weight"


def changed(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, name: change(tensors[name])}


def without(part: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


WRONG: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "another network": (lambda tensors: {"fc.weight": torch.zeros(3, 3)}, r"it has no afs\.indexes\.\*"),
    "no backbone": (without("backbone"), r"lacks backbone\.feature_extractor\.layer1\.0\.conv1\.weight"),
    "no discriminator": (without("rrs.decoder"), r"it lacks rrs\.decoder1\.1\.weight"),
    "no reconstruction": (without("recon.block1"), r"recon\.block1_recon\.\* is neither a U-Net nor the simple"),
    "one of the others": (
        without("recon.block3"),
        r"it lacks recon\.block3_recon\._residual_stack.* and 13 more\.",
    ),
    "a bias": (without("rrs.decoder2.2.bias"), r"it lacks rrs\.decoder2\.2\.bias\."),
    "unknown": (lambda t: {**t, "head.weight": torch.zeros(2)}, r"has no place for head\.weight\."),
    "a shape": (
        changed(RESIDUAL, lambda w: w[:, :, :1]),
        r"_block\.1\.weight has the shape \(11, 11, 1, 3\) where the rest of it asks for \(11, 11, 3, 3\)",
    ),
    "dimensions": (changed("rrs.decoder1.1.weight", lambda w: w[0]), r"not one of 4 dimensions"),
    "share": (
        changed("rrs.bn_idx.running_mean", lambda m: m[:5]),
        "are not those of a RealNet .*retention",
    ),
    "not finite": (changed(RESIDUAL, lambda w: w / 0), r"_block\.1\.weight holds numbers that are not finite"),
    "index too large": (
        changed(INDEX, lambda i: i + 128),
        r"layer2 selects channels .* not have \(128\)",
    ),
    "index negative": (changed(INDEX, lambda i: i - 200), r"layer2 selects channels"),
    "index no index": (
        changed(INDEX, Tensor.float),
        r"holds numbers of the type torch\.float32, not",
    ),
    "layer": (lambda t: {**t, "afs.indexes.block1_stem": torch.zeros(2)}, "block1_stem names no layer"),
    "arrangement": (
        lambda t: {**t, "afs.indexes.block4_layer5": torch.zeros(2)},
        r"\(block1: layer1; block2: layer2; block3: layer3; block4: layer4, layer5\) in neither",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_tensors(small: OfficialRealNet, tmp_path: Path, case: str) -> None:
    change, sentence = WRONG[case]
    path = saved(tmp_path, {"state_dict": change(dict(small.state_dict()))})
    with pytest.raises(UserError, match=rf"ckpt_best\.pth\.tar cannot be imported: .*{sentence}"):
        import_official(path, tmp_path / "run", image_size=SIZE)
    assert not (tmp_path / "run").exists()


def test_other_settings(small: OfficialRealNet, tmp_path: Path) -> None:
    def refused(sentence: str, arch: Any = None, **arguments: Any) -> None:
        path = saved(tmp_path, {"state_dict": small.state_dict(), "arch": arch})
        with pytest.raises(UserError, match=sentence):
            import_official(path, tmp_path / "run", **arguments)
        assert not (tmp_path / "run").exists()

    refused("it ranks residuals by mean, max", [{"kwargs": {"modes": ["mean", "max"], "mode_numbers": [5, 6]}}])
    refused(r"by max, mean \(6, 5 channels\)", [{"kwargs": {"modes": ["max", "mean"], "mode_numbers": [6, 5]}}])
    refused("its block3 works at stride 8, not at 16", [{"kwargs": {"structure": [{"name": "block3", "stride": 8}]}}])
    refused("its settings are not those", [{"kwargs": {"modes": 3}}])
    refused("its settings are not those", "wide_resnet50_2")
    refused("image_size: Input should be a multiple of 32", image_size=100)
    refused("there is no mode 'off': use max&mean, max, mean", mode="off")
    refused("image_score", image_score="median")


def test_an_output_in_use_is_left_alone(small: OfficialRealNet, tmp_path: Path) -> None:
    path = saved(tmp_path, small.state_dict())
    with pytest.raises(UserError, match="is in use; give --output a new folder"):
        import_official(path, tmp_path, image_size=SIZE)
    with pytest.raises(UserError, match="is in use"):
        import_official(path, path, image_size=SIZE)
    assert list(tmp_path.iterdir()) == [path]


def test_what_no_tensor_shows_is_said() -> None:
    """U-Nets that GroupNorm of 32 groups and 64 channels a head do not fit."""
    with torch.device("meta"):
        tensors = OfficialRealNet("resnet18", [("a", 4, {1: 64})]).state_dict()
    assert describe(tensors, None, SIZE, None, "max").assumed == ()
    thinner = {name: torch.empty([48 if s == 32 else s for s in t.shape], device="meta") for name, t in tensors.items()}
    (assumed,) = describe(thinner, None, SIZE, None, "max").assumed
    assert "widths 48: how many GroupNorm groups and attention heads they have is assumed" in assumed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "unet", "millions"), [("paper", True, 590.94), ("paper-half", True, 198.12), ("multiclass", False, None)]
)
def test_the_paper_s_networks(preset: str, unet: bool, millions: float | None) -> None:
    """Real widths, by names and shapes alone: the files of the released code describe these presets."""
    config = presets[preset].model
    planes = config.afs.dimensions
    blocks = [(f"block{k}", 2 ** (k + 1), {k: planes[k - 1]}) for k in (1, 2, 3, 4)]
    half = sum(planes) // 6
    arguments: dict[str, Any] = {} if unet else {"unet": None}
    with torch.device("meta"):
        theirs = OfficialRealNet(config.backbone.name, blocks, numbers=(half, half), **arguments)
        tensors = theirs.state_dict()
        layout = describe(tensors, settings(theirs), 256, None, "max")
        ours = RealNet(layout.model, pretrained=False)
    assert layout.model == config
    assert not layout.assumed
    own = ours.state_dict()
    names = official_names(own, layout.blocks)
    assert {theirs: own[name].shape for name, theirs in names.items()} == {n: t.shape for n, t in tensors.items()}
    if millions is not None:
        assert round(sum(parameter.numel() for parameter in ours.parameters()) / 1e6, 2) == millions
