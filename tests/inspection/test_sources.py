"""Where images come from."""

import itertools
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from realnet.data import Notes, finding, list_images
from realnet.data.finding import LeftOut
from realnet.data.images import IMAGE_SUFFIXES
from realnet.errors import UserError
from realnet.inspection import cameras, watching
from realnet.inspection.items import file_item
from realnet.inspection.sources import lines, open_sources
from realnet.synthesis import write_figure


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "photos", "b.png", "a/1.png", "a.png", "a/b/2.JPG", "a/n.txt", ".h/3.png", "a/.4.png", "z/5.bmp")
    return Path("photos")


def names(*arguments: str | Path, **given: Any) -> list[str]:
    sources = open_sources([str(argument) for argument in arguments], Path("out"), **given)
    return [item.image for item in sources.items(lambda image, version: False, threading.Event()) if item is not None]


def test_a_folder_is_gone_through_as_it_is_listed(photos: Path) -> None:
    assert names(photos) == [str(path) for path in list_images([photos])]
    assert names("photos/z", "photos/b.png", photos / "a/n.txt") == ["photos/z/5.bmp", "photos/b.png", "photos/a/n.txt"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/*.png", ["a.png", "b.png"]),
        ("photos/**/*.png", ["a.png", "b.png", "a/1.png"]),
        ("photos/**", ["a.png", "b.png", "a/1.png", "a/b/2.JPG", "z/5.bmp"]),
        ("./photos/[az]/*", ["a/1.png", "z/5.bmp"]),
        ("photos/?/*.[tb]*", ["a/b", "z/5.bmp"]),
        ("photos/*/b/2.JPG", ["a/b/2.JPG"]),
        ("photos/.h/*", [".h/3.png"]),
        ("photos/a/*.txt", ["a/n.txt"]),
    ],
)
def test_patterns(photos: Path, pattern: str, expected: list[str]) -> None:
    assert names(pattern) == [f"photos/{name}" for name in expected if name != "a/b"]
    assert names(photos.resolve() / pattern.removeprefix("./").removeprefix("photos/")) == [
        str(photos.resolve() / name) for name in expected if name != "a/b"
    ]


def test_a_name_with_a_wildcard_is_a_name_where_there_is_one(photos: Path) -> None:
    touch(photos, "a[1].png", "a1.png", "w[x]/q.png")
    assert names("photos/a[1].png") == ["photos/a[1].png"]
    assert names("photos/w[x]") == ["photos/w[x]/q.png"]
    (photos / "a[1].png").unlink()
    assert names("photos/a[1].png") == ["photos/a1.png"]


def test_overlays_are_no_images(photos: Path) -> None:
    touch(photos, "out/overlays/a.png", "out/masks/a.png", "out/kept.png", "overlays/mine.png")
    for argument in ("photos", "photos/**/*.png", "photos/*/*/*"):
        sources = open_sources([argument], photos / "out")
        found = {
            item.image for item in sources.items(lambda image, version: False, threading.Event()) if item is not None
        }
        assert not any("out/overlays" in name or "out/masks" in name for name in found)
        assert "photos/out/kept.png" not in found
    inside = open_sources(["photos/out"], photos / "out").items(lambda image, version: False, threading.Event())
    assert [item.image for item in inside if item is not None] == ["photos/out/kept.png"]


def test_a_link_in_a_circle_is_not_followed(photos: Path) -> None:
    (photos / "a" / "circle").symlink_to(photos.resolve(), target_is_directory=True)
    assert names(photos) == [str(path) for path in list_images([photos])]
    assert len(names("photos/**/*.png")) == 3


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["photos/*.gif"], {}, r"No file matches photos/\*.gif"),
        (["photos/nowhere.png"], {}, "does not exist; check the spelling"),
        (["empty"], {}, "holds no images"),
        (["camera:photos/film.avi"], {}, "no camera or video 'photos/film.avi'"),
        (["camera:photos/a.png"], {}, "no video that OpenCV can read"),
        (["photos/a.png"], {"under_watch": True}, "--watch needs a folder"),
        (["photos"], {"every": 2.0}, "--every is the time between pictures of a camera"),
        (["camera:0", "camera:1"], {}, "Only one of camera:0, camera:1 can be waited for"),
        (["-", "photos"], {"under_watch": True}, "Only one of -, --watch can"),
    ],
)
def test_what_is_no_source(photos: Path, arguments: list[str], given: dict[str, Any], message: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(UserError, match=message):
        open_sources(arguments, Path("out"), **given)


def test_lines_come_as_they_are_written() -> None:
    read, write = os.pipe()
    got = lines(read)
    os.write(write, b"a.png\n\n  \xff b.png\r\nhal")
    assert [next(got), next(got)] == ["a.png", os.fsdecode(b"  \xff b.png")]
    os.write(write, b"f.png\nlast.png")
    assert next(got) == "half.png"
    os.close(write)
    assert list(got) == ["last.png"]
    os.close(read)


def film(path: Path, frames: int = 25, rate: float = 10) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), (0, 0, number * 10), np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("every", "expected"), [(None, [0, 10, 20]), (0.25, [0, 3, 5, 8, 10, 13, 15, 18, 20, 23])])
def test_frames_of_a_film(tmp_path: Path, every: float | None, expected: list[int]) -> None:
    path = film(tmp_path / "line.avi")
    sources = open_sources([f"camera:{path}"], tmp_path / "out", every=every)
    items = [item for item in sources.items(lambda image, version: False, threading.Event()) if item is not None]
    assert [item.image for item in items] == [f"{path}@{number / 10:.3f}s" for number in expected]
    assert [item.stem for item in items] == [f"line-{number * 100:09d}ms" for number in expected]
    assert not sources.endless and not any(item.live for item in items)
    for item, number in zip(items, expected, strict=True):
        assert np.abs(item.read(None, Notes()).astype(int) - (number * 10, 0, 0)).max() < 12, "RGB"
    everything = open_sources([f"camera:{path}"], tmp_path / "out", every=0)
    assert len(list(everything.items(lambda image, version: False, threading.Event()))) == 25


class Plug:
    """A camera that is there on some of the attempts, each time for three frames."""

    def __init__(self, there: list[bool]) -> None:
        self.there, self.opened = iter(there), 0

    def __call__(self, address: Any) -> "Plug":
        assert address == 3
        self.opened += 1
        self.frames = 3 if next(self.there) else 0
        return self

    def set(self, *_: Any) -> None: ...

    def release(self) -> None: ...

    def grab(self) -> bool:
        self.frames -= 1
        return self.frames >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.full((4, 4, 3), (1, 2, 3), np.uint8)


def test_a_camera_that_goes_away_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plug, said = Plug([False, False, True, False, False, True]), list[str]()
    monkeypatch.setattr(cv2, "VideoCapture", plug)
    monkeypatch.setattr(cameras, "_RETRY_SECONDS", 0.01)
    sources = open_sources(["camera:3"], tmp_path / "out", every=0, say=said.append)
    assert plug.opened == 0 and sources.endless
    stop = threading.Event()
    endless = sources.items(lambda image, version: False, stop)
    assert next(endless) is None, "what was had before is not to wait for the camera"
    items = [item for item in itertools.islice(endless, 6) if item is not None]
    assert plug.opened == 6
    away, back = "camera-3 gives no picture; it is tried again every second.", "camera-3 is back."
    assert said == [away, back, away, back]
    assert len({item.image for item in items}) == 6 and all(item.live for item in items)
    assert all(item.image.startswith("camera-3-20") and item.image.endswith("Z") for item in items)
    assert items[0].read(None, Notes())[0, 0].tolist() == [3, 2, 1]


def test_a_camera_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Plug([True] * 9))
    stop = threading.Event()
    items = open_sources(["camera:3"], tmp_path / "out", every=0).items(lambda image, version: False, stop)
    assert [next(items) is None, next(items) is None] == [True, False]
    stop.set()
    assert list(items) == []


def test_a_password_is_in_no_name() -> None:
    assert cameras.camera_name("rtsp://me:secret@10.0.0.7:554/live") == "camera-10.0.0.7"


class Watched:
    """A folder under watch, looked at when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, tuple[int, int]] = {}
        self.said: list[str] = []
        self.stop = threading.Event()

    def _is_known(self, image: str, version: tuple[int, int]) -> bool:
        return self.known.get(image) == version

    def look(self, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> list[str]:
        """What these many looks find."""
        left = [times]

        def wait(seconds: float | None = None) -> bool:
            left[0] -= 1
            return left[0] < 0

        got = []
        with monkeypatch.context() as patch:
            patch.setattr(self.stop, "wait", wait)
            moving = watching.watch((self.folder,), self._is_known, (), self.said.append, self.stop)
            for item in moving:
                self.known[item.image] = item.version
                got.append(Path(item.image).name)
                assert item.live
        return got


def test_what_appears_is_taken_once_it_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    touch(folder, "a.png")
    watched = Watched(folder)
    assert watched.look(monkeypatch, 1) == []
    assert watched.look(monkeypatch, 2) == ["a.png"]
    assert watched.look(monkeypatch, 3) == []
    touch(folder, "deep/er/b.png", "c.txt", ".d.png")
    (folder / "a.png").write_bytes(b"other")
    assert watched.look(monkeypatch, 2) == ["a.png", "b.png"]


def test_a_half_copied_file_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It grows at each look for three looks."""
    folder = tmp_path / "in"
    touch(folder, "a.png", "b.png")
    stop, looks = threading.Event(), itertools.count()
    lengths = []

    def wait(seconds: float | None = None) -> bool:
        look = next(looks)
        if 0 < look < 4:
            with (folder / "a.png").open("ab") as stream:
                stream.write(b"more")
        return look == 7

    monkeypatch.setattr(stop, "wait", wait)
    known: set[tuple[str, tuple[int, int]]] = set()
    for item in watching.watch((folder,), lambda image, version: (image, version) in known, (), print, stop):
        known.add((item.image, item.version))
        lengths.append((Path(item.image).name, item.version[0]))
    assert lengths == [("b.png", 1), ("a.png", 13)]


def test_a_folder_that_goes_may_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in"
    touch(folder, "a.png")
    watched = Watched(folder)
    assert watched.look(monkeypatch, 2) == ["a.png"]
    shutil.rmtree(folder)
    assert watched.look(monkeypatch, 3) == []
    assert watched.said == [f"The folder {folder} is gone; it is looked for every second."]
    touch(folder, "b.png")
    assert watched.look(monkeypatch, 2) == ["b.png"]


def test_what_a_folder_holds_beside_images_is_said_once_with_counts(photos: Path) -> None:
    """A NAS's thumbnails, a phone's pictures, an earlier inspection, a run, a contact sheet, a link to nowhere."""
    touch(photos, "@eaDir/a.png", "@eaDir/b.png", "z/phone.CR2", "old/results.jsonl", "old/overlays/a.png")
    touch(photos, "run/config.yaml", "run/model.safetensors", "run/synthetic_defects.png", "z/thumbs.txt")
    write_figure(photos / "sheet.png", np.zeros((4, 4, 3), np.uint8))
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    expected = {"photos/a.png", "photos/b.png", "photos/a/1.png", "photos/a/b/2.JPG", "photos/z/5.bmp"}
    reasons = {
        "photos/@eaDir": 2, "photos/z/phone.CR2": 1, "photos/old": 1, "photos/run": 1, "photos/sheet.png": 1,
    }  # fmt: skip
    for argument in ("photos", "photos/**"):
        said: list[str] = []
        assert set(names(argument, say=said.append)) == expected
        (sentence,) = said
        for place, count in reasons.items():
            assert f"{place} ({count}: " in sentence, argument
    left_out: list[LeftOut] = []
    assert {str(path) for path in list_images([photos], left_out)} == expected
    assert {f"photos/{item.place}": item.count for item in left_out} == {**reasons, "photos/gone.png": 1}


def test_masks_of_a_data_set_are_not_inspected_unless_named(photos: Path) -> None:
    touch(photos, "ground_truth/scratch/1.png", "ground_truth/2.png", "labels/3.png")
    for argument in ("photos", "photos/**"):
        said: list[str] = []
        found = set(names(argument, say=said.append))
        assert "photos/labels/3.png" in found and not any("ground_truth" in name for name in found)
        assert "photos/ground_truth (2: masks" in said[0]
    assert len(names("photos/ground_truth")) == 2


def test_heic_files_are_counted_where_nothing_reads_them(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "IMAGE_SUFFIXES", IMAGE_SUFFIXES - {".heic"})
    touch(photos, "x.heic", "z/y.HEIC")
    touch(Path("phone"), "x.heic")
    said: list[str] = []
    assert not any("heic" in name.lower() for name in names(photos, say=said.append))
    (sentence,) = said
    assert "photos/x.heic (2: HEIC files, which are not read" in sentence and "[heic]" in sentence
    with pytest.raises(UserError, match=r"phone holds no images that can be used \(x.heic: HEIC files, which are not"):
        open_sources(["phone"], Path("out"))
    with pytest.raises(UserError, match=r"phone holds no images that can be used \(x.heic: HEIC files"):
        list_images(["phone"])


def test_linked_folders_are_followed_once(photos: Path) -> None:
    touch(Path("elsewhere"), "e.png")
    (photos / "one").symlink_to(Path("elsewhere").resolve())
    (photos / "two").symlink_to(Path("elsewhere").resolve())
    said: list[str] = []
    found = names(photos, say=said.append)
    assert [name for name in found if "e.png" in name] == ["photos/one/e.png"]
    assert "photos/two (1: a link to a folder that is read already)" in said[0]


def test_a_folder_that_cannot_be_read(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def closed(place: Any) -> Any:
        if Path(place).name in ("z", "secret"):
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    Path("secret").mkdir()
    monkeypatch.setattr(os, "scandir", closed)
    said: list[str] = []
    assert "photos/b.png" in names(photos, say=said.append)
    assert "photos/z (1: a folder that cannot be read (Permission denied))" in said[0]
    for watched in (False, True):
        with pytest.raises(UserError, match=r"secret is a folder that cannot be read \(Permission denied\)"):
            open_sources(["secret"], Path("out"), watched)


def test_standard_input_that_is_closed_or_a_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.open(photos, os.O_RDONLY)
    with pytest.raises(UserError, match=r"Standard input cannot be read \(Is a directory\)"):
        next(lines(folder))
    os.close(folder)
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UserError, match=r"Standard input cannot be read \(closed\): send paths to it"):
        open_sources(["-"], Path("out"))


@pytest.mark.parametrize(
    "spelled", ["photos/a.png", "./photos/a.png", "photos//z/../a.png", "linked/a.png", "{}/photos/a.png"]
)
def test_a_file_has_one_key_however_its_path_is_spelled(photos: Path, spelled: str) -> None:
    Path("linked").symlink_to(photos.resolve())
    here = Path.cwd()
    assert file_item(Path(spelled.format(here))).key == str(here.resolve() / "photos" / "a.png")
    assert file_item(Path(spelled.format(here))).image == str(Path(spelled.format(here))), "called as it was given"


def test_names_that_no_disk_holds_have_keys() -> None:
    assert file_item(Path("a\0b.png")).key != file_item(Path("b.png")).key
