"""Files appear whole or not at all."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from realnet.atomic import atomic_path, write_text
from realnet.errors import UserError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path, "a rename must stay on one disk"
        assert temporary.suffix == ".html", "encoders choose the format by it"
        temporary.write_text("half")
        assert not target.exists()
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert names(tmp_path) == ["report.html"]


def test_folders_are_made_and_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "note.md", "Maß ≥ 0.5\n")
    assert (tmp_path / "a" / "b" / "note.md").read_bytes() == "Maß ≥ 0.5\n".encode()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "metrics.json"
    write_text(target, "old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("new")
        raise error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["metrics.json"]


def test_an_interruption_of_the_first_writing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), atomic_path(tmp_path / "new.json") as temporary:
        temporary.write_text("half")
        raise ValueError("stop")
    assert names(tmp_path) == []


def test_a_full_disk_is_the_user_s_to_solve(tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    write_text(target, "old")
    with pytest.raises(UserError, match=r"Cannot write .*model\.bin: No space left"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["model.bin"]


def test_a_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "state.txt"
    write_text(target, "old")
    program = (
        "import os, sys; from realnet.atomic import atomic_path\n"
        "with atomic_path(sys.argv[1]) as t: t.write_text('new'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(target)], check=False).returncode == 9
    assert target.read_text() == "old"


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Cannot write .*file.out\.txt: .*Choose a folder that can be written"):
        write_text(tmp_path / "file" / "out.txt", "text")


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "out.txt").mkdir()
    with pytest.raises(UserError, match=r"Cannot write .*out\.txt"):
        write_text(tmp_path / "out.txt", "text")
    assert names(tmp_path) == ["out.txt"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permission bits do not bind here")
def test_a_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(UserError, match="Permission denied"):
        write_text(folder / "out.txt", "text")


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="no umask")
@pytest.mark.usefixtures("umask")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    write_text(tmp_path / "out.txt", "text")
    assert stat.S_IMODE((tmp_path / "out.txt").stat().st_mode) == 0o640
    assert os.umask(0o027) == 0o027, "and the umask is left as it was"


def test_the_longest_name_that_the_disk_takes(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".txt")
    path.write_text("this disk takes it")
    write_text(path, "new")
    assert path.read_text() == "new"
