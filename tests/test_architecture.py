"""The map from the paper to the code names what exists; rooms import only from below."""

import ast
import re
from pathlib import Path

import realnet

SOURCE = Path(realnet.__file__).parent
PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")


def names_in(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_every_row_names_files_and_functions_that_exist() -> None:
    section = PAGE.split("## The floors")[0]
    rows = [line.split("|")[2:4] for line in section.splitlines() if line.startswith("|") and "`" in line]
    assert len(rows) > 15
    for files, names in rows:
        paths = [SOURCE / name for name in re.findall(r"`([^`]+)`", files)]
        assert all(path.is_file() for path in paths), files
        known = set().union(*(names_in(path) for path in paths))
        for name in re.findall(r"`([^`]+)`", names):
            assert name in known, f"{name} is not in {files}"


def test_every_path_on_the_page_exists() -> None:
    for name in re.findall(r"`([a-z_/]+\.py)`", PAGE):
        assert (SOURCE / name).is_file(), name


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("realnet."):
            found.add(node.module.split(".")[1])
    return found


def test_no_circle_among_folders() -> None:
    graph = {
        folder.name: set().union(*(imports_of(path) for path in folder.rglob("*.py"))) - {folder.name}
        for folder in SOURCE.iterdir()
        if folder.is_dir() and (folder / "__init__.py").is_file()
    }
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]
    assert not graph, f"these import each other: {graph}"


def test_a_file_name_occurs_once() -> None:
    names = [path.name for path in SOURCE.rglob("*.py") if path.name not in ("__init__.py", "config.py")]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"these names have two meanings: {twice}"
