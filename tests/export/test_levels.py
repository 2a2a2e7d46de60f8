"""An export reads images of many bits by the levels of its run."""

from pathlib import Path

import pytest

from realnet import load
from realnet.export.export_folder import export_run
from realnet.export.request import request_export
from realnet.run_folder import Run
from tests.training.test_levels import as_grey, as_twelve_bits
from tests.training.tiny import run, tiny


def test_an_export_keeps_the_levels(product: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    twelve = as_twelve_bits(as_grey(product, tmp_path / "set"), tmp_path / "twelve" / "set")
    run(twelve, tmp_path / "run", tiny("training.steps=0"))
    made, output = Run(tmp_path / "run"), tmp_path / "export"
    manifest = export_run(made, output, request_export(made, output, "openvino", data=twelve))
    assert manifest.levels == (0, 4095)
    exported, inspector = load(tmp_path / "export"), load(tmp_path / "run")
    for file in sorted((twelve / "widget" / "test").rglob("*.tif"))[:3]:
        assert exported.inspect(file).score == pytest.approx(inspector.inspect(file).score, abs=1e-4)
