import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import realnet
from realnet.manifest import read_manifest
from realnet.run_folder import Run
from tests.training.conftest import product, trained  # noqa: F401 - fixtures

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
def exported(
    tmp_path_factory: pytest.TempPathFactory,
    trained: Path,  # noqa: F811 - fixture
    product: Path,  # noqa: F811 - fixture
) -> Callable[[str], Path]:
    """The trained run in a format, made once; to be read only."""
    made: dict[str, Path] = {}

    def export(form: str) -> Path:
        for package in NEEDED[form]:
            pytest.importorskip(package)
        if form not in made:
            made[form] = tmp_path_factory.mktemp("exports") / form
            # Six steps of training find no defect for certain: 8 bits are not held to that here.
            tolerance = 1.0 if form == "openvino-int8" else None
            loaded = realnet.export(trained, made[form], format=form, data=product, tolerance=tolerance, progress=False)
            # A program of torch.export can run any code when it is loaded.
            assert (loaded is None) == (form == "torch")
            assert loaded is None or loaded.manifest == Run(made[form]).manifest
        return made[form]

    return export
