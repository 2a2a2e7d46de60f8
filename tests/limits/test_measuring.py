"""Shares found by a judge whose limits are known: it counts changed pixels."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from realnet.errors import UserError
from realnet.inspection.judging import Judge
from realnet.limits import Cell, Found, measure_limits, measuring, read_limits, save_limits
from realnet.limits.limits_chart import write_chart
from realnet.progress import Watcher
from realnet.synthesis.image_folder import ImageFolder


class Counting(Judge):
    """Finds what has more than ``least`` pixels that differ from grey by more than 20 levels."""

    def __init__(self, least: int) -> None:
        super().__init__(64, 0.5, 0.5)
        self.least = least

    def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
        changed = [(np.abs(image.astype(int) - 128).max(2) > 20).sum() for image in images]
        return np.zeros((len(images), 64, 64), np.float32), [0.9 if count > self.least else 0.1 for count in changed]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = []
    for number in range(4):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((200, 240, 3), 128, np.uint8))
        paths.append(path)
    return paths


def test_faint_and_small_ones_are_missed_and_others_found(files: list[Path]) -> None:
    limits = measure_limits(Counting(40), files, ("hole",), (2, 20), (10, 60))
    found = {(cell.size, cell.depth): cell.found for cell in limits.cells}
    assert found[2, 10] == found[2, 60] == found[20, 10] == 0
    assert found[20, 60] == 29
    assert (limits.images, limits.left_out, limits.side, limits.threshold) == (4, 0, 200, 0.5)
    assert limits.smallest("hole", 60) == 20
    assert limits.smallest("hole", 10) is None
    assert limits.sentences() == ["hole: smallest 20 px at 60 grey levels: 29 of 29."]


def test_sizes_follow_the_images_where_none_are_given(files: list[Path]) -> None:
    limits = measure_limits(Counting(40), files, ("missing",), each=2)
    assert [cell.size for cell in limits.cells] == [1, 2, 4, 8, 16, 32]
    assert {cell.depth for cell in limits.cells} == {None}
    assert limits.sentences() == ["missing part: none of those tried; at best 32 px: 0 of 2."]


def test_images_above_the_threshold_are_left_out_with_a_count(files: list[Path]) -> None:
    cv2.imwrite(str(files[0]), np.zeros((200, 240, 3), np.uint8))
    limits = measure_limits(Counting(40), files, ("hole",), (4,), (60,), each=3)
    assert (limits.images, limits.left_out) == (3, 1)
    for path in files:
        cv2.imwrite(str(path), np.zeros((200, 240, 3), np.uint8))
    with pytest.raises(UserError, match="calibrate it first"):
        measure_limits(Counting(40), files, ("hole",), (4,), (60,), each=3)


def test_images_that_do_not_fit_in_memory_are_thinned_out_and_that_is_said(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "_MEMORY", 2 * 3 * 200 * 240)
    watcher, said = Watcher(), list[str]()
    monkeypatch.setattr(watcher, "say", said.append)
    limits = measure_limits(Counting(40), files, ("hole",), (20,), (60,), watcher=watcher)
    assert limits.images == 2
    assert said == ["Defects are drawn on 2 of the 4 images: all do not fit in memory at once."]


@pytest.mark.parametrize(
    ("found", "of", "reliable"), [(29, 29, True), (28, 28, False), (28, 29, False), (46, 46, True)]
)
def test_reliable_is_ninety_percent_with_a_confidence_of_ninety_five(found: int, of: int, reliable: bool) -> None:
    cell = Found("hole", 4, 8, found, of)
    assert cell.reliable is reliable
    if found == of:
        assert cell.at_least == pytest.approx(0.05 ** (1 / of)), "the rule of all found"
    assert Found("hole", 4, 8, 0, of).at_least == 0


def test_a_larger_one_that_is_missed_counts_against_smaller_ones(files: list[Path]) -> None:
    limits = measure_limits(Counting(40), files, ("hole",), (8, 20), (60,))
    mixed = limits.model_copy(update={"drawn": (_cell(8, 60, 29), _cell(20, 60, 5))})
    assert mixed.smallest("hole", 60) is None


def _cell(size: float, depth: int, found: int) -> Cell:
    scores = (0.9,) * found + (0.1,) * (29 - found)
    return Cell(kind="hole", size=size, depth=depth, scores=scores, places=((0.5, 0.5),) * 29)


def test_the_smallest_and_the_faintest_are_named(files: list[Path]) -> None:
    limits = measure_limits(Counting(40), files, ("hole",), (8,), (60,), each=1)
    cells = (_cell(4, 60, 29), _cell(8, 60, 29), _cell(4, 10, 3), _cell(8, 10, 29))
    limits = limits.model_copy(update={"drawn": cells})
    assert limits.sentences() == [
        "hole: smallest 4 px at 60 grey levels: 29 of 29; faintest 8 px at 10 grey levels: 29 of 29."
    ]


def test_another_threshold_finds_others_of_the_same_defects(files: list[Path], tmp_path: Path) -> None:
    limits = measure_limits(Counting(40), files, ("hole",), (2, 20), (60,))
    assert [cell.found for cell in limits.cells] == [0, 29]
    assert [cell.found for cell in limits.at(0.05).cells] == [29, 29]
    save_limits(tmp_path, limits)
    assert read_limits(tmp_path, limits.digest, 0.05) == limits.at(0.05)
    assert read_limits(tmp_path, "of another model", 0.5) is None
    (tmp_path / "limits.json").write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        read_limits(tmp_path, limits.digest, 0.5)


def test_generated_images_are_a_kind_of_their_own(files: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "sia"
    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.full((64, 64, 3), 168, np.uint8))
    generated = ImageFolder(folder, "generated images")
    limits = measure_limits(Counting(40), files, (), (20,), generated=generated, each=4)
    assert {cell.depth: cell.found for cell in limits.cells} == {20: 0, 40: 0, 60: 4, 80: 4, 100: 4}


def test_where_it_is_blind(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((200, 200, 3), 128, np.uint8))

    class HalfBlind(Counting):
        def measure(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float]]:
            return super().measure([image[:, : image.shape[1] // 2] for image in images])

    limits = measure_limits(HalfBlind(3), [path], ("hole",), (6, 8), (60, 80), each=200)
    left = [share for row in limits.blind for share in row[:2]]
    right = [share for row in limits.blind for share in row[4:]]
    assert min(share for share in left if share is not None) > 0.9
    assert max(share for share in right if share is not None) == 0


def test_the_chart_and_the_figures_can_be_read_again(files: list[Path], tmp_path: Path) -> None:
    limits = measure_limits(Counting(40), files, sizes=(4, 20), depths=(10, 60), each=3)
    write_chart(tmp_path / "chart.png", limits, "a title")
    assert cv2.imread(str(tmp_path / "chart.png")).shape[1] > 1000
    kept = json.loads(limits.to_json())
    assert len(kept["drawn"]) == 4 * 4 + 2
    assert kept["drawn"][0].keys() == {"kind", "size", "depth", "scores", "places"}
