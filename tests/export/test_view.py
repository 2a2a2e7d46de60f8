from pathlib import Path

import numpy as np
import pytest

from realnet import load
from realnet.errors import UserError
from realnet.export.export_folder import export_run
from realnet.export.request import request_export
from realnet.run_folder import Run
from tests.data.layouts import picture
from tests.view.conftest import looking  # noqa: F401 - fixture


def test_an_export_looks_where_the_run_looks(looking: Path, product: Path, tmp_path: Path) -> None:  # noqa: F811
    pytest.importorskip("openvino")
    output = tmp_path / "export"
    export_run(Run(looking), output, request_export(Run(looking), output, "openvino", data=product))
    image = picture(np.random.default_rng(5), defect=True)[0]
    expected, found = load(looking).inspect(image), load(output).inspect(image)
    assert found.score == pytest.approx(expected.score, abs=1e-3)
    assert found.alignment == expected.alignment
    np.testing.assert_array_equal(found.inside, expected.inside)
    manifest = (output / "inspector.json").read_text()
    (output / "inspector.json").write_text(
        manifest.replace('"reference": "reference.png"', '"reference": "/etc/x.png"')
    )
    with pytest.raises(UserError, match="none of its files"):
        load(output)
    (output / "inspector.json").write_text(manifest)
    (output / "reference.png").write_bytes((output / "reference.png").read_bytes() + b"more")
    with pytest.raises(UserError, match=r"reference\.png is missing, or not the file"):
        load(output)
