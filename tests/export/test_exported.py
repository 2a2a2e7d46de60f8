"""Inspection without torch, and folders that are not what they should be."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet import load
from realnet.errors import UserError
from realnet.inspection.exported import ExportedInspector, exported_inspector
from realnet.run_folder import Run
from tests.data.layouts import picture

Export = Callable[[str], Path]

WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import realnet
inspector = realnet.load(sys.argv[1])
found = inspector.inspect(sys.argv[2])
print(found.score, found.is_anomalous, found.anomaly_map.shape, "torch" in sys.modules)
"""
TORCH = ("torch", "torchvision", "timm", "lightning", "torchmetrics", "scipy", "skimage", "matplotlib", "safetensors")


@pytest.fixture(params=["openvino", pytest.param("onnx", marks=pytest.mark.slow)])
def export(exported: Export, request: pytest.FixtureRequest) -> Path:
    return exported(request.param)


@pytest.fixture
def defective() -> np.ndarray:
    return picture(np.random.default_rng(8), defect=True)[0]


def test_torch_is_not_needed(export: Path, trained: Path, tmp_path: Path, defective: np.ndarray) -> None:
    Image.fromarray(defective).resize((90, 70)).save(tmp_path / "image.png")
    call = [sys.executable, "-c", WITHOUT_TORCH.format(packages=TORCH), export, tmp_path / "image.png"]
    finished = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    score, verdict, rest = finished.stdout.split(" ", 2)
    expected = load(trained).inspect(tmp_path / "image.png")
    assert float(score) == pytest.approx(expected.score, abs=1e-4)
    assert verdict == str(expected.is_anomalous)
    assert rest.strip() == "(70, 90) False"


def test_the_threshold_can_be_overridden(export: Path, defective: np.ndarray) -> None:
    inspector = load(export)
    assert isinstance(inspector, ExportedInspector)
    score = inspector.inspect(defective).score
    for threshold, anomalous in ((score - 1e-4, True), (score + 1e-4, False)):
        found = inspector.inspect(defective, threshold=threshold)
        assert (found.threshold, found.is_anomalous) == (threshold, anomalous)
    assert inspector.inspect(defective).threshold == inspector.manifest.threshold, "for one request only"
    inspector.threshold = score + 1e-4
    assert not inspector.inspect(defective).is_anomalous
    with pytest.raises(UserError, match=r"A threshold is a score in 0..1, not 2"):
        inspector.inspect(defective, threshold=2)


def test_it_knows_the_sizes_that_the_run_was_trained_on(export: Path, trained: Path) -> None:
    assert load(export).sizes == Run(trained).sizes == ((64, 64),)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_many_give_what_each_gives(export: Path, batch_size: int) -> None:
    inspector = load(export)
    rng = np.random.default_rng(2)
    images = [rng.integers(0, 256, (height, 80, 3), dtype=np.uint8) for height in (64, 40, 90, 1, 64)]
    together = list(inspector.inspect_many(iter(images), batch_size))
    assert [found.anomaly_map.shape for found in together] == [image.shape[:2] for image in images]
    for image, found in zip(images, together, strict=True):
        assert found.score == pytest.approx(inspector.inspect(image).score, abs=1e-5)


def rewrite(folder: Path, **changes: object) -> None:
    file = folder / "inspector.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_damage_is_answered_with_a_sentence(export: Path, tmp_path: Path) -> None:
    whole = json.loads((export / "inspector.json").read_text())
    model = whole["files"][0]["name"]

    def copy(name: str) -> Path:
        return Path(shutil.copytree(export, tmp_path / name))

    def assert_refused(folder: Path, sentence: str, device: str = "cpu") -> None:
        with pytest.raises(UserError, match=sentence) as raised:
            exported_inspector(Run(folder), device)
        assert len(str(raised.value).splitlines()) == 1

    assert_refused(tmp_path / "nowhere", "is no exported inspector")
    (tmp_path / "empty").mkdir()
    assert_refused(tmp_path / "empty", "is no exported inspector")
    assert_refused(export, "no device 'abacus'", "abacus")

    broken = copy("broken")
    content = (broken / model).read_bytes()
    (broken / model).write_bytes(content[:-10])
    assert_refused(broken, rf"{model} is missing, or not the file that inspector.json describes")
    (broken / model).write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert_refused(broken, rf"{model} is missing, or not the file")
    (broken / model).unlink()
    assert_refused(broken, rf"{model} is missing, or not the file")
    (broken / model).symlink_to(export / model)
    assert_refused(broken, "leads out of its folder")

    foreign = copy("foreign")
    for name in ("../model.onnx", "/etc/passwd", "a/b.onnx", "..", ".hidden", "C:x", "a\\b"):
        rewrite(foreign, files=[{**whole["files"][0], "name": name}])
        assert_refused(foreign, r"inspector.json is damaged \(files.0.name")
    rewrite(foreign, files=whole["files"], threshold=7)
    assert_refused(foreign, r"inspector.json is damaged \(threshold")
    rewrite(foreign, threshold=0.5, image_size=96)
    assert_refused(foreign, "does not take and give what its inspector.json says")
    rewrite(foreign, image_size=64, categories=["x" * 2_000_000])
    assert_refused(foreign, r"more than the 1,048,576 that any has")
    for text in ("", "{", "[]", "\x00\xff"):
        (foreign / "inspector.json").write_text(text)
        assert_refused(foreign, "inspector.json is damaged")


def test_a_file_that_is_no_model_is_refused(export: Path, tmp_path: Path) -> None:
    import hashlib

    folder = Path(shutil.copytree(export, tmp_path / "odd"))
    files = json.loads((folder / "inspector.json").read_text())["files"]
    nonsense = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + b"nonsense" * 10
    (folder / files[0]["name"]).write_bytes(nonsense)
    files[0].update(length=len(nonsense), sha256=hashlib.sha256(nonsense).hexdigest())
    rewrite(folder, files=files)
    with pytest.raises(UserError, match=r"is damaged or no (ONNX|OpenVINO) model") as raised:
        load(folder)
    assert len(str(raised.value).splitlines()) == 1
