"""The package as it is built and installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import realnet
from realnet.distribution import NAME, install_hint

ROOT = Path(__file__).resolve().parents[1]


def test_hints_name_our_own_distribution_in_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realnet.distribution._is_clone", lambda: False)
    assert install_hint("serve") == 'python -m pip install "realnet-inspect[serve]"'
    monkeypatch.setattr("realnet.distribution._is_clone", lambda: True)
    assert "-c constraints.txt" in install_hint("serve")


def test_no_hint_names_the_other_project() -> None:
    for file in [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        text = file.read_text(encoding="utf-8")
        assert "pip install realnet" not in text.replace("realnet-inspect", ""), file
        assert "realnet[" not in text, file


@pytest.mark.slow
def test_wheel_and_sdist_install_and_run(tmp_path: Path) -> None:
    """Each in an environment of its own that borrows this one's dependencies, and has no other realnet."""
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=600)
    (wheel,) = (tmp_path / "dist").glob("realnet_inspect-*.whl")
    (sdist,) = (tmp_path / "dist").glob("realnet_inspect-*.tar.gz")
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("*.jinja", "*.yaml", "serving/page/*", "py.typed", "*.safetensors"):
        held = [path for path in (ROOT / "src" / "realnet").rglob(kind) if path.is_file()]
        assert held
        assert {str(path.relative_to(ROOT / "src").as_posix()) for path in held} <= names
    borrowed = next(path for path in sys.path if path.endswith("site-packages"))
    for number, archive in enumerate((wheel, sdist)):
        place = tmp_path / f"env{number}"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--target", str(place), str(archive)], check=True, capture_output=True, timeout=600)
        code = (
            f"import sys; sys.path[:0] = [{str(place)!r}]; sys.path.append({borrowed!r}); import realnet; "
            "from importlib.metadata import version; "
            f"assert realnet.__file__.startswith({str(place)!r}); assert version({NAME!r}) == realnet.__version__; "
            "sys.argv = ['realnet', 'benchmark', 'list']; from realnet.cli import main; main()"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert "table1" in done.stdout
    assert realnet.__version__ in wheel.name
