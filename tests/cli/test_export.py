"""``realnet export``, and what it refuses."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from realnet import load
from realnet.export import export_folder, request
from tests.export.conftest import copies_of, shallow  # noqa: F401 - fixture
from tests.training.tiny import run, tiny

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(in_process: Call) -> Call:
    """Runs ``realnet export`` with arguments."""
    return partial(in_process, "export")


@pytest.fixture(scope="module")
def made(
    product: Path,
    shallow: tuple[str, ...],  # noqa: F811 - fixture
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run of few layers."""
    output = tmp_path_factory.mktemp("runs") / "shallow"
    run(product, output, tiny(*shallow))
    return output


def test_from_a_run_to_a_verdict(
    call: Call, made: Path, product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    output, good = tmp_path / "export", product / "widget" / "test" / "good"
    status, said = call(made, "--format", "openvino", "--images", good, "--output", output)
    assert status == 0, said
    assert "Against PyTorch on 3 images: largest difference " in said
    assert "verdicts changed: 0." in said
    assert f"Exported {made} as {output}: openvino, " in said
    image = next(good.iterdir())
    assert load(output).inspect(image).is_anomalous == load(made).inspect(image).is_anomalous
    status, said = call(made, "--format", "openvino", "--images", good, "--output", output)
    assert status == 2
    assert "is not empty (it holds calibration.json)" in said

    # The same graph again: converting is what takes long.
    monkeypatch.setattr(export_folder, "write_graph", copies_of(output))
    arguments = [made, "--format", "openvino", "--images", good, "--tolerance", "0"]
    status, said = call(*arguments, "--output", tmp_path / "exact")
    assert status == 2
    assert "The openvino export is refused: 3 of 3 images differ from PyTorch by more than 0" in said
    assert list(tmp_path.iterdir()) == [output]


def test_refusals_are_one_sentence(
    call: Call, trained: Path, product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, empty = tmp_path / "export", tmp_path / "empty"
    empty.mkdir()
    images = ("--images", product / "widget" / "train")
    torch = ("--format", "torch", "--output", output)
    for arguments, sentence in (
        ((tmp_path / "nowhere", *torch, *images), "nowhere is no trained run: it does not exist"),
        ((trained, "--format", "tflite", "--output", output, *images), "no export format 'tflite'; choose one of onnx"),
        ((trained, *torch), "verified on real images: give good ones with --images, or the data set with --data."),
        ((trained, *torch, *images, "--data", product), "with --data, not both."),
        ((trained, *torch, "--images", empty), "holds no images"),
        ((trained, *torch, "--images", tmp_path / "none"), "does not exist"),
        ((trained, *torch, "--data", product, "--category", "wodget"), "has no category wodget"),
        ((trained, "--format", "torch", "--output", trained, *images), "is not empty"),
        ((trained, *torch, *images, "--tolerance", "-1"), "--tolerance"),
    ):
        status, said = call(*arguments)
        assert status == 2
        assert len(said.strip().splitlines()) == 1, said
        assert sentence in said
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    shutil.copy(trained / "config.yaml", unfinished)
    status, said = call(unfinished, *torch, *images)
    assert "its training has not finished" in said
    monkeypatch.setattr(request, "find_spec", lambda name: None)
    status, said = call(trained, "--format", "onnx", "--output", output, *images)
    assert "--format onnx needs onnx and onnxscript and onnxruntime: python -m pip install" in said
    assert not output.exists()
