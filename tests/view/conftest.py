from pathlib import Path

import pytest

from tests.training.tiny import run, tiny

# A pentagon within the miniature product, in shares of the image.
VIEW = "[[[0.2, 0.2], [0.8, 0.2], [0.8, 0.6], [0.5, 0.8], [0.2, 0.6]]]"


@pytest.fixture(scope="session")
def looking(tmp_path_factory: pytest.TempPathFactory, product: Path) -> Path:
    """A run with a view and an alignment; to be read only."""
    output = tmp_path_factory.mktemp("runs") / "looking"
    reference = product / "widget" / "train" / "good" / "000.png"
    run(product, output, tiny(f"model.view.polygons={VIEW}", "model.view.align=shift",
                              f"model.view.reference={reference}", "training.steps=2"))  # fmt: skip
    return output
