"""Files on the disk and in other storage."""

from pathlib import Path

import fsspec
import pytest

from realnet.cluster.urls import find_images, is_url, names_in, read_bytes, write_whole
from realnet.data.finding import LeftOut
from realnet.errors import UserError


def test_images_of_a_storage_are_found_read_and_written() -> None:
    system = fsspec.filesystem("memory")
    for name in ("/urls/b.png", "/urls/in/a.JPG", "/urls/notes.txt", "/urls/.hidden/c.png"):
        system.pipe_file(name, name.encode())
    assert find_images(["memory://urls"]) == ["memory:///urls/b.png", "memory:///urls/in/a.JPG"]
    assert find_images(["memory://urls/*.png"]) == ["memory:///urls/b.png"]
    assert read_bytes("memory:///urls/b.png") == b"/urls/b.png"
    write_whole("memory://urls/out/part.parquet", b"rows")
    assert names_in("memory://urls/out") == ["part.parquet"]
    assert names_in("memory://urls/absent") == []


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b.png").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert find_images(["."]) == [str(tmp_path / "a b.png")] == find_images(["a b.png"])
    assert not is_url(str(tmp_path))


def test_what_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist or holds no images"):
        find_images([str(tmp_path / "nowhere")])
    with pytest.raises(UserError, match="storage that fsspec does not know"):
        find_images(["ftq://host/photos"])
    with pytest.raises(UserError, match=r"Cannot read .*gone\.png: there is no such file"):
        read_bytes(str(tmp_path / "gone.png"))


def test_what_lies_beside_the_images_is_counted() -> None:
    system = fsspec.filesystem("memory")
    left = ("@eaDir/a.png", "phone.CR2", "old/results.jsonl", "old/overlays/a.png", "run/config.yaml",
            "run/metrics.json", "run/sheet.png", "__MACOSX/b.png", ".c.png")  # fmt: skip
    for name in ("a.png", "day/b.png", *left):
        system.pipe_file(f"/beside/{name}", b"x")
    expected = ["memory:///beside/a.png", "memory:///beside/day/b.png"]
    for source in ("memory://beside", "memory://beside/**"):
        left_out: list[LeftOut] = []
        assert find_images([source], left_out) == expected
        reasons = {item.place.removeprefix("/beside/"): item.reason for item in left_out}
        assert set(reasons) == {"@eaDir/a.png", "phone.CR2", "old/overlays/a.png", "run/sheet.png"}
        assert "CR2 files, which are not read" in reasons["phone.CR2"]
