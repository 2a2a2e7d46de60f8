"""Which images are known, and what their overlays are called."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnet.inspection.index import Index, Registration

part = st.sampled_from(["a", "A", "b", "a-a", "b-a", "a-2", "c d", "ä", "\udcff"])
places = st.lists(st.tuples(st.lists(part, max_size=3), part, st.sampled_from([".png", ".jpg"])), unique_by=str)


def names(files: list[Path], index: Index | None = None) -> list[str]:
    index = index or Index()
    registered = [index.register(str(file), file.stem, file.parent, (1, 1)) for file in files]
    return [claim.name for claim in registered if claim is not None]


@settings(max_examples=60, deadline=None)
@given(places)
def test_names_of_overlays_are_unique_on_any_disk(found: list[tuple[list[str], str, str]]) -> None:
    files = [Path("/data", *folders, stem + suffix) for folders, stem, suffix in found]
    given_names = names(files)
    assert len(given_names) == len(files)
    assert len({name.lower() for name in given_names}) == len(given_names)
    assert all("/" not in name for name in given_names)


def test_the_first_of_a_name_keeps_it() -> None:
    assert names([Path("x/a.png"), Path("y/b.png"), Path("y/a.png")]) == ["a", "b", "y-a"]
    assert names([Path("a.png"), Path("a.jpg"), Path("a.bmp")]) == ["a", "a-2", "a-3"]


def test_long_names_are_cut_and_stay_apart() -> None:
    files = [Path(folder, "ä" * 120 + suffix) for folder in ("x", "y") for suffix in (".png", ".jpg")]
    files += [Path("z" * 190, "b.png"), Path("b.png"), Path("w" * 200, "b.jpg")]
    found = names(files)
    assert len(set(found)) == len(files)
    assert all(len(name.encode()) <= 200 for name in found)
    assert found[0] == "ä" * 100


def test_names_of_an_earlier_inspection_are_kept() -> None:
    index = Index()
    index.load("y/a.png", "a", (1, 1), 0)
    assert names([Path("x/a.png"), Path("y/a.png")], index) == ["x-a", "a"]
    with pytest.raises(ValueError, match="two images are named A"):
        index.load("z/a.png", "A", (1, 1), 9)


def test_an_image_is_taken_up_once_a_version() -> None:
    index = Index()
    assert not index.is_known("a.png", (5, 5))
    assert index.register("a.png", "a", Path(), (5, 5)) == Registration("a", False)
    assert index.is_known("a.png", (5, 5)) and not index.is_known("a.png", (5, 6))
    assert index.register("a.png", "a", Path(), (5, 5)) is None
    assert index.register("a.png", "a", Path(), (5, 6)) == Registration("a", False)


def test_rows_stand_in_the_order_of_the_sources_after_earlier_ones() -> None:
    index = Index()
    for line, image in enumerate("abcd"):
        index.load(image, image, (1, 1), line)
    index.load("b", "b", (2, 2), 4)
    assert index.register("c", "c", Path(), (1, 1)) == Registration("c", True)
    assert index.register("b", "b", Path(), (1, 1)) == Registration("b", False), "its last version is another"
    assert index.register("e", "e", Path(), (1, 1)) == Registration("e", False)
    index.wrote("b", 5)
    assert list(index.lines()) == [0, 3, 2, 5], "what was taken up without a row has none"
