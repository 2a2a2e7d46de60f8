"""RealNet in anomalib: Engine's verbs on its own data modules, checkpoints, exports, and runs of ours."""

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("anomalib")

from anomalib.data import Folder, MVTecAD, PredictDataset
from anomalib.deploy import TorchInferencer
from anomalib.engine import Engine
from anomalib.models import get_model
from anomalib.pre_processing import PreProcessor
from torchvision.transforms.v2 import Compose, Normalize, Resize

from realnet import load
from realnet.data import read_image
from realnet.errors import UserError
from realnet.integrations.anomalib import RealNet
from tests.data.layouts import make_mvtec
from tests.training.tiny import FIELDS, TRAINED, run, tiny

SETTINGS = list(FIELDS)
needs_onnx = pytest.mark.skipif(
    not all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")), reason="anomalib[openvino] is absent"
)


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mvtec(tmp_path_factory.mktemp("anomalib") / "set")


def mvtec(product: Path, **options: Any) -> MVTecAD:
    return MVTecAD(
        product, category="widget", **{"train_batch_size": 1, "eval_batch_size": 4, "num_workers": 0} | options
    )


def folder(product: Path) -> Folder:
    return Folder(
        name="widget",
        root=product / "widget",
        normal_dir="train/good",
        abnormal_dir="test/scratch",
        mask_dir="ground_truth/scratch",
        normal_test_dir="test/good",
        train_batch_size=2,
        eval_batch_size=4,
        num_workers=0,
    )


def engine(root: Path, **options: Any) -> Engine:
    return Engine(
        default_root_dir=root,
        accelerator="cpu",
        devices=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def weights(root: Path) -> Path:
    return next(root.rglob("model.ckpt"))


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory, product: Path) -> tuple[RealNet, Path]:
    """A fitted model (to be read only) and its checkpoint."""
    root = tmp_path_factory.mktemp("fitted")
    model = RealNet(settings=SETTINGS)
    engine(root).fit(model, datamodule=mvtec(product))
    return model.eval(), weights(root)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def maps(model: RealNet, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(images).anomaly_map


def test_fit_takes_the_configured_steps_fits_the_selection_and_ends_with_thresholds(
    fitted: tuple[RealNet, Path],
) -> None:
    model, checkpoint = fitted
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 6
    assert bool(model.model.fitted)
    assert float(model.model.network.afs.get_buffer("loss_0").sum()) > 0
    assert not model.post_processor.image_threshold.isnan()
    assert model._fit is None


def test_the_engines_own_limits_come_first(product: Path, tmp_path: Path) -> None:
    by_steps = engine(tmp_path / "a", max_steps=2)
    by_steps.fit(RealNet(settings=SETTINGS), datamodule=mvtec(product))
    by_epochs = engine(tmp_path / "b", max_epochs=1)
    by_epochs.fit(RealNet(settings=SETTINGS), datamodule=mvtec(product, train_batch_size=2))
    assert (by_steps.trainer.global_step, by_epochs.trainer.global_step) == (2, 3)


def test_the_rate_follows_our_schedule(product: Path, tmp_path: Path) -> None:
    model, rates = RealNet(settings=SETTINGS, steps=4), []
    step = model.training_step

    def watched(*args: Any) -> Any:
        result = step(*args)
        rates.append(model.optimizers().param_groups[0]["lr"])
        return result

    model.training_step = watched
    engine(tmp_path).fit(model, datamodule=folder(product))
    assert rates == pytest.approx([2e-3 * r for r in (0.05, 0.853553, 0.5, 0.146447)], rel=1e-3)


def test_train_trains_and_tests_on_a_folder(product: Path, tmp_path: Path) -> None:
    figures = engine(tmp_path).train(RealNet(settings=SETTINGS), datamodule=folder(product))
    assert set(figures[0]) == {"image_AUROC", "image_F1Score", "pixel_AUROC", "pixel_F1Score"}


def test_a_finished_checkpoint_is_tested_validated_and_trained_no_further(
    fitted: tuple[RealNet, Path], product: Path, tmp_path: Path
) -> None:
    model, checkpoint = fitted
    fresh, data = RealNet(settings=SETTINGS), mvtec(product)
    first = engine(tmp_path).test(model, datamodule=data)
    assert engine(tmp_path).test(fresh, datamodule=data, ckpt_path=checkpoint) == first
    engine(tmp_path).validate(RealNet(settings=SETTINGS), datamodule=data, ckpt_path=checkpoint)
    again = RealNet(settings=SETTINGS)
    further = engine(tmp_path / "further")
    further.fit(again, datamodule=data, ckpt_path=checkpoint)
    assert further.trainer.global_step == 6
    for name, tensor in model.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_a_stopped_fit_continues_as_if_it_had_not_been_stopped(product: Path, tmp_path: Path) -> None:
    # The rate depends on the planned end, which an earlier stop changes: a constant one does not.
    settings = [*SETTINGS, "training.schedule=constant", "training.steps=12"]
    whole, parts = RealNet(settings=settings), RealNet(settings=settings)
    engine(tmp_path / "whole").fit(whole, datamodule=mvtec(product))
    engine(tmp_path / "parts", max_epochs=1).fit(parts, datamodule=mvtec(product))
    resumed = RealNet(settings=settings)
    engine(tmp_path / "more").fit(resumed, datamodule=mvtec(product), ckpt_path=weights(tmp_path / "parts"))
    assert not torch.equal(*(next(m.model.network.discriminator.parameters()) for m in (whole, parts)))
    for name, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(tensor, resumed.model.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)


def test_predict_gives_maps_scores_and_verdicts(fitted: tuple[RealNet, Path], product: Path, tmp_path: Path) -> None:
    model, checkpoint = fitted
    files = PredictDataset(product / "widget" / "test" / "stain", image_size=(64, 64))
    by_memory = engine(tmp_path).predict(model, dataset=files)[0]
    by_file = engine(tmp_path).predict(RealNet(settings=SETTINGS), dataset=files, ckpt_path=checkpoint)[0]
    assert by_memory.anomaly_map.shape[-2:] == (64, 64)
    assert by_memory.pred_label.dtype == torch.bool
    assert torch.equal(by_memory.anomaly_map, by_file.anomaly_map)
    assert torch.equal(by_memory.pred_score, by_file.pred_score)


def test_a_checkpoint_stands_on_its_own(
    fitted: tuple[RealNet, Path], images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, checkpoint = fitted
    monkeypatch.setattr("realnet.model.backbone._pretrained_weights", lambda *args: pytest.fail("asked for weights"))
    loaded = RealNet.load_from_checkpoint(checkpoint)
    assert loaded.config == model.config
    assert torch.equal(maps(loaded, images), maps(model, images))


def test_the_image_score_is_the_configured_one(images: torch.Tensor) -> None:
    torch.manual_seed(0)  # the backbone's weights are random here
    settings = [*SETTINGS, *TRAINED, "model.image_score=pooled16"]
    pooled = RealNet(settings=settings, pre_trained=False, post_processor=False).eval()
    output = pooled(images)
    expected = torch.nn.functional.avg_pool2d(output.anomaly_map, 16, 1).flatten(1).amax(1)
    torch.testing.assert_close(output.pred_score, expected)
    assert not torch.allclose(output.pred_score, output.anomaly_map.flatten(1).amax(1))


def test_a_torch_export_gives_the_same(
    fitted: tuple[RealNet, Path], images: torch.Tensor, product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, checkpoint = fitted
    path = engine(tmp_path).export(RealNet(settings=SETTINGS), "torch", export_root=tmp_path, ckpt_path=checkpoint)
    # The file is this test's own; anomalib asks to be told so.
    monkeypatch.setenv("TRUST_REMOTE_CODE", "1")
    inferencer = TorchInferencer(path, device="cpu")
    torch.testing.assert_close(maps(inferencer.model, images), maps(model, images))
    prediction = inferencer.predict(product / "widget" / "test" / "stain" / "000.png")
    assert prediction.anomaly_map.shape[-2:] == (64, 64)


def test_what_a_fit_trains_with_is_not_exported(product: Path, tmp_path: Path) -> None:
    model = RealNet(settings=SETTINGS)
    engine(tmp_path, max_steps=1).fit(model, datamodule=mvtec(product))
    model._fit = (step for step in ())
    model.to_torch(tmp_path)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("size", [None, (64, 64)])
def test_an_onnx_export_gives_the_same(
    fitted: tuple[RealNet, Path], tmp_path: Path, size: tuple[int, int] | None
) -> None:
    import onnxruntime

    model, _ = fitted
    path = engine(tmp_path).export(model, "onnx", export_root=tmp_path, input_size=size)
    height, width = size or (96, 80)
    images = torch.rand(5, 3, height, width, generator=torch.Generator().manual_seed(1))
    session = onnxruntime.InferenceSession(str(path))
    outputs = dict(
        zip([o.name for o in session.get_outputs()], session.run(None, {"input": images.numpy()}), strict=True)
    )
    with torch.no_grad():
        expected = model.eval()(images)
    for name in ("pred_score", "anomaly_map"):
        torch.testing.assert_close(torch.from_numpy(outputs[name]), getattr(expected, name), rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("openvino") or not find_spec("onnxscript"), reason="anomalib[openvino] is absent")
def test_an_openvino_export_gives_the_same(fitted: tuple[RealNet, Path], images: torch.Tensor, tmp_path: Path) -> None:
    import openvino

    model, _ = fitted
    path = engine(tmp_path).export(model, "openvino", export_root=tmp_path, input_size=(64, 64))
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = torch.from_numpy(compiled(images.numpy())["anomaly_map"])
    torch.testing.assert_close(found, maps(model, images), rtol=0, atol=1e-4)


def test_a_run_of_ours_keeps_configuration_maps_and_thresholds(product: Path, tmp_path: Path) -> None:
    config = tiny("training.learning_rate=1e-5", "synthesis.opacity=[0.3, 0.9]", "seed=3")
    run(product, tmp_path / "run", config)
    inspector = load(tmp_path / "run")
    model = RealNet.from_run(tmp_path / "run")
    assert model.config == config
    file = product / "widget" / "test" / "stain" / "000.png"
    image = torch.from_numpy(read_image(file, 64)).permute(2, 0, 1)[None].float() / 255
    ours, theirs = inspector.inspect(file), model(image)
    shifted = torch.from_numpy(ours.anomaly_map) - ours.pixel_threshold + 0.5
    torch.testing.assert_close(theirs.anomaly_map[0, 0], shifted.clamp(0, 1).float(), rtol=0, atol=1e-5)
    assert theirs.pred_score.item() == pytest.approx(min(1, max(0, ours.score - ours.threshold + 0.5)), abs=1e-5)
    assert bool(theirs.pred_label) == ours.is_anomalous
    assert torch.equal(theirs.pred_mask[0, 0], torch.from_numpy(ours.anomaly_map > ours.pixel_threshold))


def test_a_fitted_selection_is_kept(fitted: tuple[RealNet, Path], product: Path, tmp_path: Path) -> None:
    model = RealNet.load_from_checkpoint(fitted[1])
    before = {name: tensor.clone() for name, tensor in model.model.network.state_dict().items()}
    engine(tmp_path, max_steps=2).fit(model, datamodule=folder(product))
    after = model.model.network.state_dict()
    changed = {name.split(".")[0] for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert "backbone" not in changed
    assert "afs" not in changed
    assert "discriminator" in changed


def test_anomalib_finds_it_by_name() -> None:
    assert isinstance(get_model("real_net", settings=SETTINGS, pre_trained=False), RealNet)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (Compose([Resize((64, 64)), Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]), "leave Normalize out"),
        (Resize((64, 72)), "64x72"),
    ],
)
def test_an_unsuitable_pre_processor_is_refused(
    product: Path, tmp_path: Path, transform: torch.nn.Module, message: str
) -> None:
    model = RealNet(settings=SETTINGS, pre_trained=False, pre_processor=PreProcessor(transform))
    with pytest.raises(UserError, match=message):
        engine(tmp_path).fit(model, datamodule=mvtec(product))


def test_an_unknown_preset_and_field_are_refused() -> None:
    with pytest.raises(UserError, match="There is no preset"):
        RealNet("tiny")
    with pytest.raises(UserError, match="has no field"):
        RealNet(settings=["model.rss.retention=1"])


def test_without_anomalib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anomalib", None)
    monkeypatch.delitem(sys.modules, "realnet.integrations.anomalib")
    with pytest.raises(UserError, match=r"pip install .*\[compare\]"):
        importlib.import_module("realnet.integrations.anomalib")


@pytest.mark.parametrize("kind", ["JPEG", "turned", "mono12 in 16"])
def test_the_engine_sees_the_pixels_that_the_inspector_sees(product: Path, tmp_path: Path, kind: str) -> None:
    """A large JPEG of fine lines, one that the camera turned, and 12 bits: the score is that of `realnet inspect`."""
    import numpy as np
    from benchmarks.reliability.depths import deep_variants
    from PIL import Image

    fields = ("data.levels=0:4095",) if kind == "mono12 in 16" else ()
    run(product, tmp_path / "run", tiny("training.steps=0", *fields))
    y, x = np.mgrid[:900, :1200]
    grey = (((x + y // 3) % 4 < 2) * 120 + np.random.default_rng(0).integers(0, 90, x.shape)).astype(np.uint8)
    photos = tmp_path / "photos"
    photos.mkdir()
    if kind == "mono12 in 16":
        make, suffix = deep_variants()[kind]
        path = photos / f"photo{suffix}"
        path.write_bytes(make(grey))
    else:
        exif = Image.Exif()
        exif[0x0112] = 6 if kind == "turned" else 1
        path = photos / "photo.jpg"
        Image.fromarray(grey).save(path, quality=90, exif=exif)
    inspector = load(tmp_path / "run")
    model = RealNet.from_run(tmp_path / "run")
    (found,) = engine(tmp_path).predict(model, dataset=PredictDataset(path, image_size=None), return_predictions=True)
    expected = inspector.inspect(path)
    assert float(found.pred_score[0]) == pytest.approx(
        min(1, max(0, expected.score - expected.threshold + 0.5)), abs=1e-5
    )
    assert torch.equal(
        found.image[0], torch.from_numpy(read_image(path, 64, model.config.data.pair)).permute(2, 0, 1) / 255
    )
