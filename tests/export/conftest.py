from collections.abc import Callable
from pathlib import Path

import pytest

import realnet
from realnet.run_folder import Run
from tests.training.conftest import product, trained  # noqa: F401 - fixtures

NEEDED = {
    "onnx": ("onnxscript", "onnxruntime"),
    "openvino": ("openvino",),
    "openvino-fp16": ("openvino",),
    "openvino-int8": ("openvino", "nncf"),
    "torch": (),
}


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
