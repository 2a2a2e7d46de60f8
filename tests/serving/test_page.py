"""The page in a real browser."""

import csv
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realnet import load
from realnet.limits import Cell, Limits, save_limits
from realnet.run_folder import Run
from realnet.serving import ServedModel, Settings, open_models
from tests.data.layouts import picture
from tests.serving.conftest import as_png, serving

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=30_000)
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as running:
        try:
            # Containers have no user namespaces, which its sandbox needs.
            opened = running.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        except playwright.Error:
            pytest.skip("no Chromium at hand: apt-get install chromium, or playwright install chromium")
        yield opened
        opened.close()


@pytest.fixture
def page(browser: object) -> Iterator[object]:
    opened = browser.new_page()  # type: ignore[attr-defined]
    opened.set_default_timeout(60_000)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    foreign: list[str] = []
    opened.on("request", lambda r: r.url.startswith(("http://127.0.0.1", "blob:", "data:")) or foreign.append(r.url))
    yield opened
    opened.close()
    assert problems == []
    assert foreign == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two good ones, two defective ones, and a file that is no image."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(7)
    for number in range(4):
        (folder / f"{number}.png").write_bytes(as_png(picture(rng, defect=number >= 2)[0]))
    (folder / "broken.png").write_bytes(b"no image")
    return sorted(folder.iterdir())


def give(page: object, photos: list[Path]) -> None:
    page.set_input_files("#files", photos)  # type: ignore[attr-defined]
    expect(page.locator("#cards .badge")).to_have_count(len(photos))  # type: ignore[attr-defined]
    expect(page.locator("#progress")).to_be_hidden()  # type: ignore[attr-defined]


def test_verdicts_follow_the_threshold(page, server: str, trained: Path, photos: list[Path]) -> None:
    page.goto(server)
    give(page, photos)
    inspector = load(trained)
    scores = [inspector.inspect(photo).score for photo in photos[:4]]
    anomalous = sum(score > inspector.threshold for score in scores)
    expect(page.locator("#summary")).to_have_text(f"4 judged, {anomalous} anomalous, 1 not readable")
    expect(page.locator(".badge.error")).to_have_count(1)
    # The most suspicious first, the unreadable one last.
    names = page.locator(".item h3").all_inner_texts()
    assert names == [f"{i}.png" for i in sorted(range(4), key=lambda i: -scores[i])] + ["broken.png"]
    slider = page.locator("input[type=range]")
    slider.evaluate("(s) => { s.value = 0; s.dispatchEvent(new Event('input')); }")
    expect(page.locator(".badge.anomalous")).to_have_count(4)
    middle = float(np.mean(sorted(scores)[1:3]))
    slider.evaluate("(s, v) => { s.value = v; s.dispatchEvent(new Event('input')); }", middle)
    expect(page.locator(".badge.anomalous")).to_have_count(sum(score > middle for score in scores))
    expect(page.locator(".slider output")).to_have_text(f"{middle:.4f}")
    page.select_option("#filter", "good")
    expect(page.locator(".item")).to_have_count(sum(score <= middle for score in scores))
    page.get_by_role("button", name="Back to the calibrated one").click()
    expect(page.locator(".slider output")).to_have_text(f"{inspector.threshold:.4f}")
    page.select_option("#filter", "all")
    page.fill("#area", "5000")
    expect(page.locator(".badge.anomalous")).to_have_count(0)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".item")).to_have_count(0)


def test_regions_are_drawn_and_listed(page, server: str, trained: Path, photos: list[Path]) -> None:
    page.goto(server)
    give(page, photos[2:3])
    page.locator("input[type=range]").evaluate("(s) => { s.value = 0; s.dispatchEvent(new Event('input')); }")
    regions = load(trained).inspect(photos[2], threshold=0).regions
    expect(page.locator(".item polygon")).to_have_count(len(regions))
    page.locator(".item").click()
    expect(page.locator("dialog tbody tr")).to_have_count(len(regions))
    assert page.locator("dialog tbody tr").first.inner_text().split("\t")[1] == str(regions[0].area)
    page.get_by_role("button", name="Close").click()
    expect(page.locator("dialog")).to_be_hidden()


def test_two_inspectors_side_by_side(page, server: str, photos: list[Path]) -> None:
    page.goto(server)
    give(page, photos[:2])
    page.select_option("#compare", "second")
    expect(page.locator(".badge")).to_have_count(4)
    expect(page.locator(".item").first.locator(".picture")).to_have_count(2)
    expect(page.locator(".slider")).to_have_count(2)
    expect(page.locator("#summary")).to_have_text(re.compile(r"first: 2 judged, .* second: 2 judged"))


def test_synthetic_defects_can_be_looked_at(page, server: str) -> None:
    page.goto(server)
    expect(page.locator("#calibration li").first).to_have_text(re.compile("^Threshold "))
    page.get_by_role("button", name="Synthetic defects").click()
    sheet = page.locator("dialog img.sheet")
    expect(sheet).to_be_visible()
    assert sheet.evaluate("async (i) => { await i.decode(); return i.naturalWidth; }") > 100
    expect(page.get_by_role("button", name="Report of its evaluation")).to_be_disabled()


def test_what_it_finds_of_drawn_defects_can_be_looked_at(page, own: Path) -> None:
    holes = Cell(kind="hole", size=4, depth=16, scores=(1.0,) * 29, places=((0.5, 0.5),) * 29)
    limits = Limits(drawn=(holes,), images=3, left_out=0, side=64, threshold=0.9, digest=Run(own).digest)
    models = open_models([str(own)])
    with serving(models) as address:
        page.goto(address)
        button = page.get_by_role("button", name="What it finds")
        expect(button).to_be_disabled()
        save_limits(own, limits)
        page.reload()
        button.click()
        sheet = page.locator("dialog img.sheet")
        expect(sheet).to_be_visible()
        assert sheet.evaluate("async (i) => { await i.decode(); return i.naturalWidth; }") > 300
        expect(page.locator("dialog li")).to_have_text("hole: smallest 4 px at 16 grey levels: 29 of 29.")


def test_report_and_table_are_downloaded(page, server: str, photos: list[Path], tmp_path: Path) -> None:
    page.goto(server)
    hostile = tmp_path / "=1+1<img src=x onerror=alert(1)>.png"
    hostile.write_bytes(photos[0].read_bytes())
    give(page, [*photos[2:], hostile])
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download report").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 3
    assert "<img src=x" not in text
    assert "http" not in text.replace("http-equiv", "")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text(encoding="utf-8"))))
    assert {row["image"] for row in rows} == {"2.png", "3.png", "broken.png", f"'{hostile.name}"}
    assert {row["verdict"] for row in rows} <= {"good", "anomalous", "unreadable"}


def test_a_key_is_asked_for(page, models: dict[str, ServedModel], photos: list[Path]) -> None:
    with serving(models, Settings(api_key="correct horse")) as address:
        page.goto(address)
        expect(page.locator("#problem")).to_have_text(re.compile("wants an API key"))
        page.fill("#key", "correct horse")
        page.press("#key", "Enter")
        expect(page.locator("#problem")).to_be_hidden()
        give(page, photos[:1])


def test_formats_that_browsers_do_not_show_are_shown_by_their_heat_map(page, server: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.tif"
    Image.fromarray(picture(np.random.default_rng(1))[0]).save(photo)
    page.goto(server)
    give(page, [photo])
    page.uncheck("#heat")
    shown = page.locator(".item img")
    expect(shown).to_have_attribute("src", re.compile("^data:image/png"))
    assert shown.evaluate("(i) => i.naturalWidth") == 64


def test_what_was_read_differently_is_said(page, server: str, tmp_path: Path) -> None:
    good = Image.fromarray(picture(np.random.default_rng(1))[0])
    good.save(tmp_path / "pages.tif", save_all=True, append_images=[good])
    good.save(tmp_path / "plain.tif")
    page.goto(server)
    give(page, [tmp_path / "pages.tif", tmp_path / "plain.tif"])
    expect(page.locator(".item .note")).to_have_text(["pages.tif holds several pages: the largest is read."])


def test_narrow_screens_do_not_scroll_sideways(page, server: str, photos: list[Path]) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(server)
    give(page, photos)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_images_given_before_the_models_are_known_wait_for_them(page, server: str, photos: list[Path]) -> None:
    held: list[object] = []
    page.route("**/v1/models", lambda route: held.append(route), times=1)
    page.goto(server)
    page.set_input_files("#files", photos)
    expect(page.locator("#cards > *")).to_have_count(len(photos))
    expect(page.locator(".badge")).to_have_count(0)
    held.pop().continue_()  # type: ignore[attr-defined]
    expect(page.locator(".badge")).to_have_count(len(photos))
    expect(page.locator("#summary")).to_contain_text("1 not readable")
