"""An export reads images of many bits by the levels of its run, and looks at them where the run does."""

from pathlib import Path

import numpy as np
import pytest

from realnet import load
from realnet.errors import UserError
from realnet.export.export_folder import export_run
from realnet.export.request import request_export
from realnet.run_folder import Run
from tests.training.test_levels import as_grey, as_twelve_bits
from tests.training.tiny import run, tiny
from tests.view.conftest import VIEW


def test_an_export_reads_and_looks_as_its_run(product: Path, shallow: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    twelve = as_twelve_bits(as_grey(product, tmp_path / "set"), tmp_path / "twelve" / "set")
    reference = next((twelve / "widget" / "train" / "good").glob("000.*"))
    view = (f"model.view.polygons={VIEW}", "model.view.align=shift", f"model.view.reference={reference}")
    run(twelve, tmp_path / "run", tiny("training.steps=0", *shallow, *view))
    made, output = Run(tmp_path / "run"), tmp_path / "export"
    manifest = export_run(made, output, request_export(made, output, "openvino", data=twelve))
    assert manifest.levels == (0, 4095)
    exported, inspector = load(output), load(tmp_path / "run")
    for file in sorted((twelve / "widget" / "test").rglob("*.tif"))[:3]:
        found, expected = exported.inspect(file), inspector.inspect(file)
        assert found.score == pytest.approx(expected.score, abs=1e-4)
        assert found.alignment == expected.alignment
        np.testing.assert_array_equal(found.inside, expected.inside)
    text = (output / "inspector.json").read_text()
    (output / "inspector.json").write_text(text.replace('"reference": "reference.png"', '"reference": "/etc/x.png"'))
    with pytest.raises(UserError, match="none of its files"):
        load(output)
    (output / "inspector.json").write_text(text)
    (output / "reference.png").write_bytes((output / "reference.png").read_bytes() + b"more")
    with pytest.raises(UserError, match=r"reference\.png is missing, or not the file"):
        load(output)
