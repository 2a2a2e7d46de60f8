"""A saved model: the same maps again, nothing pickled, and every way a folder can be wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from realnet.config import Config
from realnet.errors import UserError
from realnet.model import saving
from realnet.model.network import RealNet
from realnet.model.saving import load_model, save_weights
from realnet.model.subspace import Subspace, set_subspace
from realnet.overriding import override
from realnet.presets import presets
from realnet.run_folder import CONFIG_FILE, MODEL_FILE, Run, save_config
from tests.model.brute import SOLVED, perturb, tiny


def trained(config: Config) -> RealNet:
    """A model whose every tensor has moved from its start."""
    model = RealNet(config, pretrained=False)
    perturb(model)
    g = torch.Generator().manual_seed(0)
    for name, buffer in model.named_buffers():
        if "afs.index_" in name:
            k = int(name.rsplit("_", 1)[1])
            channels = torch.randperm(model.backbone.channels[k], generator=g)[: len(buffer)]
            buffer.copy_(channels.sort().values)
        elif ".mean_" in name or ".std_" in name:
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=g))
    for network in model.reconstruction.networks:
        if isinstance(network, Subspace):
            rows = torch.randn(3, network.basis.shape[1], generator=g)
            set_subspace(network, torch.randn(network.mean.numel(), generator=g), (0.01 * rows).half().float())
    return model.eval()


def save(folder: Path, config: Config) -> RealNet:
    model = trained(config)
    save_config(folder, config)
    save_weights(folder / MODEL_FILE, model)
    return model


def same_tensors(a: RealNet, b: RealNet) -> bool:
    """Every tensor of both, bit for bit."""
    ours, theirs = a.state_dict(), b.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save(folder, tiny())
    return folder


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "run"))


@pytest.mark.parametrize(
    "assignments",
    [
        (),
        tuple(SOLVED),
        ("model.reconstruction.network=subspace", "model.image_size=64"),
        ("model.afs.method=rlpr", "model.reconstruction.architecture=C"),
        ("model.afs.method=rdr", "model.rrs.mode=off"),
        ("model.backbone.name=resnet18", "model.backbone.taps=[1, 2]", "model.afs.method=none"),
        ("model.reconstruction.network=simple", "seed=3"),
    ],
)
def test_a_loaded_model_gives_identical_maps(tmp_path: Path, assignments: tuple[str, ...]) -> None:
    config = tiny(*assignments)
    model = save(tmp_path, config)
    loaded, loaded_config = load_model(Run(tmp_path)), Run(tmp_path).config
    assert loaded_config == config
    assert not loaded.training
    size = (64, 64) if model.reconstruction.solved else (64, 96)
    image = torch.rand(2, 3, *size)
    assert same_tensors(loaded, model)
    with torch.no_grad():
        expected = model(image)
        # Not bit for bit: the loaded model may lie in memory in another order, which rounds otherwise.
        torch.testing.assert_close(loaded(image), expected, atol=1e-5, rtol=0)
        assert torch.equal(load_model(Run(tmp_path))(image), loaded(image))
    with torch.no_grad():
        ours, theirs = (m.residuals(m.select(image))[0] for m in (model, loaded))
    # Untrained, a map may be 1 throughout; the residuals before it still differ.
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
    assert float(ours[0].std()) > 1e-3, "constant residuals would prove nothing"


def test_the_folder_holds_a_table_of_tensors_and_text(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == [CONFIG_FILE, MODEL_FILE]
    tensors = load_file(saved / MODEL_FILE)
    assert any(name.startswith("backbone.") for name in tensors), "a run stands on its own"
    assert (saved / MODEL_FILE).read_bytes()[8:9] == b"{", "the header of safetensors is JSON"
    assert yaml.safe_load((saved / CONFIG_FILE).read_text(encoding="utf-8"))["preset"] == "paper"


def test_saving_works_in_any_memory_format(tmp_path: Path) -> None:
    model = trained(tiny()).to(memory_format=torch.channels_last)
    save_config(tmp_path, tiny())
    save_weights(tmp_path / MODEL_FILE, model)
    assert same_tensors(load_model(Run(tmp_path)), model)


@pytest.mark.parametrize("name", presets)
def test_every_preset_s_configuration_survives_yaml(tmp_path: Path, name: str) -> None:
    save_config(tmp_path, presets[name])
    assert Run(tmp_path).config == presets[name]


def test_a_switched_off_selection_survives_yaml(tmp_path: Path) -> None:
    config = override(presets["paper"], ["model.rrs.mode=off", "synthesis.opacity=[0.2, 0.9]"])
    save_config(tmp_path, config)
    assert Run(tmp_path).config.model.rrs.mode == "off"
    assert Run(tmp_path).config == config


def read(run: Path) -> dict[str, Tensor]:
    """The tensors, copied: what load_file gives is the file itself, mapped, which is about to be overwritten."""
    return {name: tensor.clone() for name, tensor in load_file(run / MODEL_FILE).items()}


def change(run: Path, edit: Callable[[dict[str, Tensor]], None]) -> None:
    tensors = read(run)
    edit(tensors)
    save_file(tensors, run / MODEL_FILE)


def fill(name: str, value: float) -> Callable[[dict[str, Tensor]], None]:
    def edit(tensors: dict[str, Tensor]) -> None:
        tensors[name].view(-1)[0] = value

    return edit


@pytest.mark.parametrize("keep", [0, 5, 200, 0.5, -1])
def test_truncated_weights(run: Path, keep: float) -> None:
    path = run / MODEL_FILE
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        load_model(Run(run))


def test_a_pickle_in_the_place_of_the_weights(run: Path) -> None:
    torch.save(read(run), run / MODEL_FILE)
    with pytest.raises(UserError, match=r"model\.safetensors is damaged or no safetensors file"):
        load_model(Run(run))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("discriminator.head.2.bias", float("nan")),
        ("reconstruction.networks.0.block1.0.weight", float("inf")),
        ("rrs.ranking.running_mean", float("-inf")),
        ("backbone.mean_0", float("nan")),
    ],
)
def test_weights_that_are_not_finite(run: Path, name: str, value: float) -> None:
    change(run, fill(name, value))
    with pytest.raises(UserError, match=f"not finite in {name}"):
        load_model(Run(run))


@pytest.mark.parametrize("kind", [torch.complex64, torch.float16, torch.int64])
def test_weights_of_another_type(run: Path, kind: torch.dtype) -> None:
    tensors = load_file(run / MODEL_FILE)
    name = next(name for name in tensors if name.startswith("discriminator.") and tensors[name].is_floating_point())
    tensors[name] = tensors[name].to(kind)
    save_file(tensors, run / MODEL_FILE)
    with pytest.raises(UserError, match=f"does not belong to its config.yaml: {name}"):
        load_model(Run(run))


@pytest.mark.parametrize("text", ["seed: 2026-99-99", "a: " + "[" * 5000, "seed: " + "9" * 10_000])
def test_text_that_yaml_chokes_on(run: Path, text: str) -> None:
    (run / CONFIG_FILE).write_text(text)
    with pytest.raises(UserError, match="is no valid configuration"):
        load_model(Run(run))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99])
def test_a_configuration_that_was_copied_in_part(run: Path, share: float) -> None:
    """The first lines of one are a configuration, too: of other values."""
    lines = (run / CONFIG_FILE).read_text().splitlines(keepends=True)
    (run / CONFIG_FILE).write_text("".join(lines[: int(share * len(lines))]))
    with pytest.raises(UserError, match="is no valid configuration"):
        load_model(Run(run))


@pytest.mark.parametrize("value", [-1, 16, 10**9])
def test_channels_that_the_backbone_does_not_have(run: Path, value: int) -> None:
    change(run, fill("afs.index_0", value))
    with pytest.raises(UserError, match="selects channels that its backbone does not have"):
        load_model(Run(run))


def test_weights_of_another_configuration(run: Path) -> None:
    save_config(run, tiny("model.afs.dimensions=[8, 12, 16, 24]"))
    with pytest.raises(UserError, match=r"does not belong to its config\.yaml"):
        load_model(Run(run))
    save_config(run, tiny("model.reconstruction.architecture=B"))
    with pytest.raises(UserError, match=r"does not belong to its config\.yaml"):
        load_model(Run(run))


@pytest.mark.parametrize("more", [True, False])
def test_tensors_too_many_or_too_few(run: Path, more: bool) -> None:
    def edit(tensors: dict[str, Tensor]) -> None:
        if more:
            tensors["stranger"] = torch.zeros(1)
        else:
            del tensors["discriminator.head.2.bias"]

    change(run, edit)
    with pytest.raises(UserError, match=r"(stranger|discriminator\.head\.2\.bias) and 0 more differ"):
        load_model(Run(run))


def test_missing_files(run: Path, tmp_path: Path) -> None:
    (run / MODEL_FILE).unlink()
    with pytest.raises(UserError, match=r"has no model\.safetensors.*--resume"):
        load_model(Run(run))
    (run / CONFIG_FILE).unlink()
    for folder in (run, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="is no trained run"):
            load_model(Run(folder))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "valid dictionary"),
        (b"- 1\n- 2\n", "valid dictionary"),
        (b"model: [", "no valid configuration"),
        (b"\xff\xfe\x00garbage", "no valid configuration"),
        (b"model: {rrs: {retentoin: 0.5}}", r"there is no field model\.rrs\.retentoin"),
        (b"model: {rrs: {retention: lots}}", r"model\.rrs\.retention: Input should be a valid number"),
        (b"model: !!python/object/apply:os.mkdir [evil]", "no valid configuration"),
    ],
)
def test_configurations_that_are_none(run: Path, content: bytes, what: str) -> None:
    (run / CONFIG_FILE).write_bytes(content)
    with pytest.raises(UserError, match=what) as refused:
        load_model(Run(run))
    assert str(run / CONFIG_FILE) in str(refused.value)


def test_a_network_that_finds_no_room(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(config: Config, pretrained: bool, network: nn.Module | None) -> RealNet:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 2268000 MB.\nC++")

    monkeypatch.setattr(saving, "RealNet", built)
    with pytest.raises(UserError, match=r"config\.yaml cannot be built \(.*2268000 MB\.\)\. Restore"):
        load_model(Run(run))


def test_a_full_disk_is_the_user_s_to_solve(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run / MODEL_FILE).read_bytes()

    def full(tensors: object, path: Path, metadata: object = None) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("No space left on device (os error 28)")

    model = trained(tiny())
    monkeypatch.setattr(saving, "save_file", full)
    with pytest.raises(UserError, match=r"Cannot write .*model\.safetensors: No space left"):
        save_weights(run / MODEL_FILE, model)
    assert (run / MODEL_FILE).read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == [CONFIG_FILE, MODEL_FILE]
