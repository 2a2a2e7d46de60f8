import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

import realnet
from realnet.manifest import read_manifest
from realnet.run_folder import Run

NEEDED = {
    "onnx": ("onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "openvino-fp16": ("openvino",),
    "openvino-int8": ("openvino", "nncf"),
    "torch": (),
}


def copies_of(made: Path) -> Callable[..., list[Path]]:
    """In the place of :func:`realnet.export.formats.write_graph`: the graph that was made of the same run before."""

    def write(folder: Path, *rest: Any) -> list[Path]:
        return [Path(shutil.copy(made / file.name, folder)) for file in read_manifest(made).files]

    return write


@pytest.fixture(scope="session")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Fields for a network of few layers, which converters are soon done with, for what does not depend on layers."""
    weights = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.manual_seed(0)
    torch.save(timm.create_model("resnet18").state_dict(), weights)
    backbone = ("name=resnet18", "taps=[1]", f"weights={weights}")
    return ("model.afs.dimensions=[8]", *(f"model.backbone.{field}" for field in backbone))


def exports_of(run: Path, product: Path, folder: Path) -> Callable[[str], Path]:
    """Exports ``run`` in the format that is asked for, each once, into ``folder``; to be read only."""
    made: dict[str, Path] = {}

    def export(form: str) -> Path:
        for package in NEEDED[form]:
            pytest.importorskip(package)
        if form not in made:
            made[form] = folder / form
            # Six steps of training find no defect for certain: 8 bits are not held to that here.
            tolerance = 1.0 if form == "openvino-int8" else None
            loaded = realnet.export(run, made[form], format=form, data=product, tolerance=tolerance, progress=False)
            # A program of torch.export can run any code when it is loaded.
            assert (loaded is None) == (form == "torch")
            assert loaded is None or loaded.manifest == Run(made[form]).manifest
        return made[form]

    return export


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory,
    trained: Path,
    product: Path,
) -> Callable[[str], Path]:
    """The trained run in a format, made once; to be read only."""
    return exports_of(trained, product, tmp_path_factory.mktemp("exports"))
