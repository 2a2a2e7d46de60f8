"""What a person meets first: version, completion, devices, names of runs, durations."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import realnet
from realnet.choices import default_run, one_inspector, seconds
from realnet.cli import completion
from realnet.errors import UserError, plural
from realnet.model.devices import choose_device
from tests.cli.process import Finished
from tests.data.layouts import make_mvtec


def test_version_and_short_help(in_process: Callable[..., tuple[int, str]]) -> None:
    assert in_process("--version") == (0, f"realnet {realnet.__version__}\n")
    for call in (["-h"], ["train", "-h"], ["sdas", "train", "-h"]):
        assert in_process(*call)[0] == 0


def test_presets_are_listed_and_quiet_prints_nothing(in_process: Callable[..., tuple[int, str]]) -> None:
    status, said = in_process("presets")
    assert status == 0
    assert all(name in said for name in ("lite (default)", "paper-half", "multiclass", "gpu"))
    assert in_process("presets", "--quiet") == (0, "")


def test_verbose_shows_where_a_mistake_was_noticed(realnet: Callable[..., Finished], tmp_path: Path) -> None:
    short = realnet("info", tmp_path)
    assert short.status == 2
    assert len(short.err.splitlines()) == 1


def test_info_says_what_a_run_is(in_process: Callable[..., tuple[int, str]], trained: Path) -> None:
    status, said = in_process("info", trained)
    assert status == 0
    for part in ("widget", "preset", "Threshold", "validation", "too few"):
        assert part in said


def test_completion_offers_what_there_is(tmp_path: Path) -> None:
    data = make_mvtec(tmp_path / "set", ("bolt", "nut"), train=2)
    context, elsewhere = (SimpleNamespace(params={"data": str(place)}) for place in (data, tmp_path / "nowhere"))
    assert completion.complete_category(context, "b") == ["bolt"]
    assert completion.complete_category(context, "") == ["bolt", "nut", "all"]
    assert completion.complete_category(elsewhere, "") == []
    assert "paper-half" in completion.complete_preset("paper")
    assert completion.complete_kind("cut") == ["cutpaste"]
    assert completion.complete_export("openvino-f") == ["openvino-fp16"]
    assert completion.complete_table("p") == ["parquet"]
    assert "table1" in completion.complete_plan("table")


def test_a_run_is_called_after_the_product_and_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_mvtec(tmp_path / "set", train=2)
    monkeypatch.chdir(tmp_path)
    categories = one_inspector(str(data), None, ())
    with pytest.raises(UserError, match="to resume"):
        default_run(data, categories, True, 1)
    for expected in ("widget", "widget-2", "widget-3"):
        place = default_run(data, categories, False, 1)
        assert place == Path("runs") / expected
        place.mkdir(parents=True)
    assert default_run(data, categories, True, 1) == Path("runs/widget-3")
    with pytest.raises(UserError, match="--output"):
        default_run(data, categories, False, 2)


def test_durations_have_units() -> None:
    assert [seconds(text) for text in ("90s", "2m", "1.5h", None)] == [90, 120, 5400, None]
    for text in ("3", "m", "-1m", "0s", "3 days"):
        with pytest.raises(UserError, match="unit"):
            seconds(text)


def test_devices_have_one_name() -> None:
    assert choose_device("cpu") == "cpu"
    assert choose_device() == choose_device("auto")
    with pytest.raises(UserError, match="no device 'abacus'"):
        choose_device("abacus")


def test_one_is_not_many() -> None:
    assert (plural(1, "image"), plural(2, "image"), plural(0, "image")) == ("1 image", "2 images", "0 images")


def test_results_have_a_folder_of_their_own_where_none_is_named(
    in_process: Callable[..., tuple[int, str]],
    trained: Path,
    product: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run, images = Path(shutil.copytree(trained, tmp_path / "runs/part")), product / "widget" / "test"
    for place in ("results/part", "results/part-2"):
        assert in_process("inspect", run, images)[0] == 0
        assert (tmp_path / place / "results.csv").is_file()
    assert in_process("inspect", run, images, "--resume")[0] == 0
    assert not (tmp_path / "results/part-3").exists(), "the last one goes on"
    status, said = in_process("inspect", run, images, "--ray", "local")
    assert status == 2 and "name the folder of the results" in said
