"""The page through a day on the line, in a real browser: a server that goes away, feedback, history, new thresholds."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from realnet.calibration import read_calibration
from realnet.history import Store, open_history, search
from realnet.history.searching import Query
from realnet.serving import Settings, open_models
from realnet.training.correcting import correct_by_store
from realnet.view.polygons import read_polygons
from tests.serving.conftest import serving
from tests.serving.test_page import browser, expect, give, page, photos  # noqa: F401 - fixtures

pytest.importorskip("playwright.sync_api")
KEY = "correct horse"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_history(tmp_path / "realnet.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def line(own: Path, store: Store) -> Iterator[str]:
    """A server of two inspectors that keeps results and takes thresholds."""
    models = open_models([f"first={own}", f"second={own}"])
    with serving(models, Settings(api_key=KEY), store) as address:
        yield address


def enter(page, line: str) -> None:  # noqa: F811
    page.goto(line)
    page.fill("#key", KEY)
    page.press("#key", "Enter")
    expect(page.locator("#problem")).to_be_hidden()
    page.fill("#who", "Ann")
    page.press("#who", "Tab")


def test_images_wait_for_a_server_that_went_away(page, line: str, store: Store, photos: list[Path]) -> None:  # noqa: F811
    # The first image is judged and recorded, but its answer is lost; then nobody answers.
    page.add_init_script("""
        const fetched = window.fetch;
        let lost = false;
        window.fetch = async (place, options) => {
            const response = await fetched(place, options);
            if (String(place).endsWith("/v1/inspect") && !lost) { lost = true; throw new TypeError("gone"); }
            return response;
        };
    """)
    enter(page, line)
    page.route("**/health", lambda route: route.abort(), times=1)
    page.set_input_files("#files", photos)
    expect(page.locator("#away")).to_have_text(re.compile("will be sent again; next try in 1 s"))
    expect(page.locator("#away")).to_be_hidden()
    expect(page.locator("#cards .badge")).to_have_count(5)
    expect(page.locator("#summary")).to_contain_text("1 not readable")
    expect(page.locator("#progress")).to_be_hidden()
    names = [entry.image for entry in search(store, Query())]
    assert sorted(names) == ["0.png", "1.png", "2.png", "3.png", "broken.png"], "each once"


def test_what_a_person_says_is_kept(page, line: str, store: Store, photos: list[Path]) -> None:  # noqa: F811
    enter(page, line)
    give(page, photos[:4])
    first = page.locator("#cards .item").first
    name = first.locator("h3").inner_text()
    first.focus()
    page.keyboard.press("d")
    expect(first.locator(".label.defective")).to_have_attribute("aria-pressed", "true")
    (entry,) = search(store, Query(label="defective"))
    assert (entry.image, entry.who) == (name, "Ann")
    # Enlarged: keys and buttons lead on, and say what the next one is.
    first.click()
    expect(page.locator("#large-place")).to_have_text("1 of 4")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#large-place")).to_have_text("2 of 4")
    page.keyboard.press("g")
    expect(page.locator("dialog .label.good")).to_have_attribute("aria-pressed", "true")
    assert len(search(store, Query(label="good"))) == 1
    # The view is drawn again when the server's answer is there, so the width is asked for until it is as it should be.
    wide = "(width) => Math.abs((document.querySelector('dialog .frame')?.clientWidth ?? 0) - width) < 30"
    width = page.wait_for_function("() => document.querySelector('dialog .frame')?.clientWidth").json_value()
    page.keyboard.press("+")
    page.wait_for_function(wide, arg=2 * width)
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#calibration")).to_contain_text("Of 1 confirmed defect")


def test_results_are_browsed_and_reviewed(page, line: str, store: Store, photos: list[Path]) -> None:  # noqa: F811
    enter(page, line)
    give(page, photos)
    expect(page.locator("#history-cards .item")).to_have_count(5)
    expect(page.locator("#history-count")).to_have_text("5 results")
    expect(page.locator("#trend rect")).to_have_count(1)
    picture = page.locator("#history-cards img").first
    assert picture.evaluate("async (i) => { await i.decode(); return i.naturalWidth; }") == 64
    page.select_option("#history-verdict", "unreadable")
    expect(page.locator("#history-cards h3")).to_have_text(["broken.png"])
    page.select_option("#history-what", "review")
    expect(page.locator("#history-cards .item")).to_have_count(4)
    page.locator("#history-cards .item").first.focus()
    page.keyboard.press("g")
    expect(page.locator("#history-cards .item").first.locator(".label.good")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#history-cards .item")).to_have_count(3)
    page.locator("#history-cards .item").first.click()
    expect(page.locator("dialog table.facts")).to_contain_text("calibration 1")


def test_a_moved_threshold_is_marked_and_saved(page, line: str, own: Path, photos: list[Path]) -> None:  # noqa: F811
    enter(page, line)
    give(page, photos[:2])
    expect(page.locator(".moved")).to_be_hidden()
    slider = page.locator("input[type=range]")
    slider.evaluate("(s) => { s.value = 0.001; s.dispatchEvent(new Event('input')); }")
    expect(page.locator(".moved")).to_have_text(re.compile("on this page only: the inspector judges by"))
    page.get_by_role("button", name="Save as calibration").click()
    page.locator("dialog input").nth(1).fill("too many slipped through")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#news")).to_contain_text("calibration 2 is in force")
    expect(page.locator(".moved")).to_be_hidden()
    expect(page.locator("#calibration")).to_contain_text("moved by hand by Ann: too many slipped through.")
    assert (own / "calibrations" / "0002.json").is_file()


def test_without_a_key_thresholds_are_not_saved(page, server: str, photos: list[Path]) -> None:  # noqa: F811
    page.goto(server)
    give(page, photos[:1])
    page.locator("input[type=range]").evaluate("(s) => { s.value = 0.001; s.dispatchEvent(new Event('input')); }")
    expect(page.get_by_role("button", name="Save as calibration")).to_be_disabled()
    expect(page.locator("#history")).to_be_hidden()
    expect(page.locator(".labels")).to_have_count(0)


def test_disagreements_are_filtered(page, line: str, photos: list[Path]) -> None:  # noqa: F811
    enter(page, line)
    give(page, photos[:4])
    page.select_option("#compare", "second")
    expect(page.locator("#cards .badge")).to_have_count(8)
    page.select_option("#filter", "disagree")
    expect(page.locator("#cards .item")).to_have_count(0)
    page.locator("input[type=range]").last.evaluate("(s) => { s.value = 0; s.dispatchEvent(new Event('input')); }")
    good = page.locator("#cards .item")
    expect(good).to_have_count(
        page.evaluate("() => document.querySelectorAll('.slider')[0].querySelectorAll('ellipse.good').length")
    )


def test_the_report_enlarges_without_scripts(page, line: str, photos: list[Path], tmp_path: Path) -> None:  # noqa: F811
    enter(page, line)
    give(page, photos[:4])
    page.locator("input[type=range]").evaluate("(s) => { s.value = 0; s.dispatchEvent(new Event('input')); }")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download report").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert "calibration 1" in text and "moved by hand" in text and "<polygon" in text
    page.goto("about:blank")  # without the policy of the page that it comes from
    page.set_content(text)
    levels = [float(cell) for cell in page.locator("tbody tr td:nth-child(5)").all_inner_texts()]
    assert levels == sorted(levels, reverse=True) and len(levels) == 4
    picture = page.locator("details img").first
    small = picture.evaluate("(i) => i.clientWidth")
    page.locator("summary").first.click()
    assert picture.evaluate("(i) => i.clientWidth") > 2 * small


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_scrolls_sideways(page, line: str, photos: list[Path], width: int) -> None:  # noqa: F811
    page.set_viewport_size({"width": width, "height": 800})
    enter(page, line)
    give(page, photos)
    expect(page.locator("#history-cards .item")).to_have_count(5)
    page.locator("#cards .item").first.click()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("wide", [1280, 390])
def test_where_to_look_is_drawn_and_saved(page, line: str, photos: list[Path], tmp_path: Path, wide: int) -> None:  # noqa: F811
    page.set_viewport_size({"width": wide, "height": 844})
    enter(page, line)
    give(page, photos[:1])
    page.locator("#cards .item").first.click()
    page.get_by_role("button", name="Draw where to look").click()
    surface = page.locator("dialog .frame")
    save = page.get_by_role("button", name="Save view.json")
    expect(save).to_be_disabled()
    expect(page.locator("dialog")).to_contain_text("realnet train GOOD_IMAGES --view view.json")
    box = surface.evaluate("async (f) => { await f.firstChild.decode(); const b = f.getBoundingClientRect(); "
                           "return { width: b.width, height: b.height }; }")  # fmt: skip

    def click(x: float, y: float) -> None:
        surface.click(position={"x": x * box["width"], "y": y * box["height"]})

    for x, y in ((0.1, 0.1), (0.9, 0.1), (0.9, 0.5), (0.5, 0.95)):
        click(x, y)
    page.keyboard.press("Backspace")
    click(0.1, 0.9)
    click(0.1, 0.1)  # the first corner closes it
    expect(page.locator("dialog")).to_contain_text("1 polygon. A polygon within another is a hole.")
    for x, y in ((0.3, 0.3), (0.6, 0.3), (0.4, 0.5)):
        click(x, y)
    expect(save).to_be_disabled()
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_contain_text("2 polygons. A polygon within another is a hole.")
    with page.expect_download() as caught:
        save.click()
    caught.value.save_as(tmp_path / "view.json")
    first, hole = read_polygons(tmp_path / "view.json")
    assert [tuple(round(value, 1) for value in corner) for corner in first] == [
        (0.1, 0.1), (0.9, 0.1), (0.9, 0.5), (0.1, 0.9),
    ]  # fmt: skip
    assert len(hole) == 3
    assert page.evaluate("document.documentElement.scrollWidth") <= wide


def test_what_was_confirmed_is_taught(page, own: Path, photos: list[Path], tmp_path: Path) -> None:  # noqa: F811
    opened = open_history(tmp_path / "originals.sqlite", "originals")
    with serving(open_models([f"part={own}"]), None, opened, correct_by_store) as address:
        page.goto(address)
        page.fill("#who", "Ann")
        give(page, photos[:3])
        page.get_by_role("button", name="Teach it the images").click()
        page.get_by_role("button", name="Teach", exact=True).click()
        expect(page.locator("dialog .bad")).to_contain_text("Nobody has confirmed an image")
        page.get_by_role("button", name="Close").click()
        for item in page.locator("#cards .item").all()[:2]:
            item.focus()
            page.keyboard.press("g")
            expect(item.locator(".label.good")).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Teach it the images").click()
        page.get_by_role("button", name="Teach", exact=True).click()
        expect(page.locator("dialog .learned")).to_contain_text("2 good images joined 6")
        expect(page.locator("#news")).to_contain_text("calibration 2 is in force")
        for wide in (1280, 390):
            page.set_viewport_size({"width": wide, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= wide
    opened.close()
    made = read_calibration(own)
    assert made is not None and (made.version, made.taught) == (2, 1)


def test_a_server_without_the_option_teaches_nothing(page, line: str) -> None:  # noqa: F811
    enter(page, line)
    expect(page.locator("#calibration li").first).to_be_visible()
    expect(page.locator("#teach")).to_be_hidden()
    answer = page.request.post(f"{line}/v1/models/first/teach", headers={"X-API-Key": KEY})
    assert answer.status == 403 and "--teach" in answer.json()["error"]
    assert page.request.post(f"{line}/v1/models/first/teach").status == 401
