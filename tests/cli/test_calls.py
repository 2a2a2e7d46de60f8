"""What a call says and refuses: thresholds, folders in use, names with brackets, runs that cannot be written."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from realnet import load
from tests.data.layouts import make_good, make_mvtec, picture, save

Call = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good images."""
    folder = tmp_path_factory.mktemp("photos")
    make_good(folder, 3, np.random.default_rng(5))
    return folder


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-0.1", "1.0001"])
@pytest.mark.parametrize("more", [[], ["--ray", "local"]])
def test_a_threshold_is_a_score(
    in_process: Call, trained: Path, photos: Path, tmp_path: Path, value: str, more: list[str]
) -> None:
    out = tmp_path / "out"
    status, said = in_process("inspect", trained, photos, "--output", out, "--threshold", value, *more)
    assert (status, said) == (2, f"Error: A threshold is a score in 0..1, not {float(value):g}.\n")
    assert not out.exists()


def test_results_are_replaced_only_where_that_is_asked(
    in_process: Call, trained: Path, photos: Path, tmp_path: Path
) -> None:
    call = ["inspect", trained, photos, "--output", tmp_path / "out"]
    assert in_process(*call)[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    status, said = in_process(*call)
    assert status == 2 and "--resume" in said and "--overwrite" in said and len(said.splitlines()) == 1
    assert {path: path.read_bytes() for path in before} == before
    status, said = in_process(*call, "--overwrite", "--threshold", "0")
    assert status == 0 and "3 images judged, 3 anomalous" in said
    status, said = in_process(*call, "--overwrite", "--resume")
    assert status == 2 and "choose one" in said
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "results.csv").write_text("the user's own")
    status, said = in_process("inspect", trained, photos, "--output", tmp_path / "tables")
    assert status == 2 and "results.csv" in said
    assert (tmp_path / "tables" / "results.csv").read_text() == "the user's own"


def test_resume_knows_a_file_however_its_path_is_spelled(
    in_process: Call, trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linked").symlink_to(photos)
    monkeypatch.chdir(photos.parent)
    call = ["inspect", trained, "--output", tmp_path / "out"]
    assert in_process(*call, photos)[0] == 0
    for spelled in (
        f"./{photos.name}",
        f"{photos.name}/../{photos.name}/",
        tmp_path / "linked",
        f"{photos.name}/*.png",
    ):
        status, said = in_process(*call, spelled, "--resume")
        assert status == 0 and "3 images judged, 3 of them before" in said, spelled
    twice = in_process("inspect", trained, photos, f"./{photos.name}", "--output", tmp_path / "twice")
    assert "3 images judged" in twice[1]


def test_an_image_that_passes_by_the_minimum_area_says_so(
    in_process: Call, trained: Path, photos: Path, tmp_path: Path
) -> None:
    out, size = tmp_path / "out", 64 * 64 + 1
    status, said = in_process(
        "inspect", trained, photos, "--output", out, "--threshold", "0", "--minimum-area", str(size)
    )
    assert status == 0 and "3 images judged, 0 anomalous" in said
    rows = json.loads((out / "results.json").read_text())
    assert {row["verdict"] for row in rows} == {"good"}
    for row in rows:
        assert row["score"] > row["threshold"]
        assert row["note"] == f"score above the threshold, but no region of {size} pixels or more (minimum area)"
    assert "no region of" in (out / "results.csv").read_text()
    found = load(trained).inspect(next(photos.iterdir()), threshold=1.0)
    assert (found.is_anomalous, found.note) == (False, ""), "below the threshold there is nothing to say"


def test_names_with_brackets_are_printed_as_they_are(
    in_process: Call, trained: Path, photos: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "[red]run[/red] :smile:"))
    out = tmp_path / "[bold]out[/] [1]"
    status, said = in_process("inspect", run, photos, "--output", out)
    assert status == 0 and f"Results: {out}\n" in said
    status, said = in_process("inspect", run, tmp_path / "[/none]", "--output", out)
    assert status == 2 and f"{tmp_path / '[/none]'}" in said
    data = make_mvtec(tmp_path / "set", ("[b]part",))
    status, said = in_process("evaluate", run, data, "--force")
    assert status == 0 and "[b]part: judging" in said and "set ([b]part), test images" in said
    assert f"Report: {run}" in said


@pytest.fixture
def read_only(trained: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the run that nobody can write to: mounted so for the superuser, by its permissions for others."""
    run = tmp_path / "kept"
    if os.name != "posix":
        pytest.skip("permissions of POSIX")
    if os.geteuid() != 0:
        shutil.copytree(trained, run)
        run.chmod(0o500)
        yield run
        run.chmod(0o700)
        return
    run.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(run)], capture_output=True, check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        shutil.copytree(trained, run, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", str(run)], check=True, capture_output=True)
        yield run
    finally:
        subprocess.run(["umount", str(run)], check=True)


def test_a_run_that_cannot_be_written_is_evaluated_all_the_same(
    in_process: Call, read_only: Path, product: Path, tmp_path: Path
) -> None:
    before = (read_only / "metrics.json").read_bytes()
    options = ["--json", tmp_path / "figures.json", "--maps", tmp_path / "maps", "--report", tmp_path / "report.html"]
    status, said = in_process("evaluate", read_only, product, *options)
    assert status == 0, said
    assert "scratch" in said and "AUROC" in said
    assert json.loads((tmp_path / "figures.json").read_text())["provenance"]["split"] == "test"
    assert len(list((tmp_path / "maps").rglob("*.tiff"))) == 7
    assert (tmp_path / "report.html").stat().st_size > 1000
    assert (read_only / "metrics.json").read_bytes() == before


def test_a_run_that_cannot_be_written_is_said_not_to_be_filed_under(
    trained: Path, product: Path, read_only: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from realnet.cli.app import main

    monkeypatch.setattr(sys, "argv", ["realnet", "evaluate", str(read_only), str(product)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert not end.value.code
    assert "AUROC" in out
    assert err.startswith("Not filed under the run: Cannot write ") and len(err.splitlines()) == 1


def test_standard_input_that_is_closed(trained: Path, tmp_path: Path) -> None:
    command = f'exec "{sys.executable}" -m realnet inspect "{trained}" - --output "{tmp_path / "out"}" <&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2
    assert (
        done.stderr.startswith("Error: Standard input cannot be read (closed)") and len(done.stderr.splitlines()) == 1
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_export_is_calibrated(in_process: Call, trained: Path, product: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    export, good = tmp_path / "export", tmp_path / "good"
    made = in_process("export", trained, "--format", "onnx", "--data", product, "--output", export)
    assert made[0] == 0, made[1]
    rng = np.random.default_rng(7)
    make_good(good / "OK", 24, rng)
    save(good / "NOK" / "0.png", picture(rng, defect=True)[0])
    status, said = in_process("calibrate", export, good, "--false-alarms", "10%")
    assert status == 0 and "Calibrating on 24 good images." in said and "NOK (1: defective)" in said, said
    calibration = json.loads((export / "calibration.json").read_text())
    inspector = load(export)
    assert (inspector.threshold, inspector.pixel_threshold) == (calibration["score"], calibration["pixel"])
    scores = sorted(result.score for result in inspector.inspect_many(sorted((good / "OK").iterdir())))
    assert calibration["score"] == pytest.approx(scores[22], abs=1e-4), "of 24 good images two may be above"
    status, said = in_process("inspect", export, good / "OK", "--output", tmp_path / "out")
    assert status == 0 and f"(score above {calibration['score']:.4f})" in said
    status, said = in_process("calibrate", export, product / "widget" / "train" / "good", "--false-alarms", "20%")
    assert status == 2 and "were trained on" in said
