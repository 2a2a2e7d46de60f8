"""The page with a camera: Chromium's make-believe one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from realnet.history import open_history, search
from realnet.history.searching import Query
from realnet.serving import Settings, open_models
from tests.serving.conftest import serving
from tests.serving.test_page import _CHROMIUM, expect, playwright


@pytest.fixture
def page() -> Iterator[object]:
    camera = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with playwright.sync_playwright() as running:
        try:
            opened = running.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox", *camera])
        except playwright.Error:
            pytest.skip("no Chromium at hand: apt-get install chromium, or playwright install chromium")
        page = opened.new_page(viewport={"width": 1280, "height": 900})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        yield page
        opened.close()
        assert problems == []


def test_a_camera_is_watched(page, own: Path, tmp_path: Path) -> None:
    store = open_history(tmp_path / "realnet.sqlite")
    with serving(open_models([f"part={own}"]), Settings(), store) as address:
        page.goto(address)
        page.click("#live-start")
        # The browser's camera shows a pattern of its own.
        expect(page.locator("#live-verdict")).to_have_text("unknown not a product this inspector knows")
        expect(page.locator("#live-frame svg")).to_have_count(1)
        assert page.locator("#live-camera option").count() >= 1
        page.fill("#live-every", "0.1")
        page.click("#live-keep")
        expect(page.locator("#cards .badge")).to_have_count(1)
        expect(page.locator("#cards h3")).to_have_text(re.compile(r"camera-\d{4}-.*\.png"))
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it fits a phone"
        page.screenshot(path=tmp_path / "live.png")
        page.click("#live-stop")
        expect(page.locator("#live")).to_be_hidden()
        tracks = "document.querySelector('#live-video').srcObject.getTracks()"
        assert page.evaluate(f"{tracks}.every((track) => track.readyState === 'ended')"), "the camera is let go"
    found = search(store, Query())
    assert len(found) >= 2 and all(entry.image.startswith("camera-") for entry in found), "every picture is a result"
    store.close()
